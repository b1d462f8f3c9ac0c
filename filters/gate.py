"""Which rows reach a filter: cheap filters see all, those that compare or ask see what the filters before them keep.

So a kept row never gives way to a dropped one, and nothing is paid for a row that is dropped anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from corpus.store import Store
from filters.base import Filter, Kind
from filters.rows import KEYS, comes_in


@dataclass(frozen=True)
class Gate:
    """Open for the rows that every filter before it keeps; without one before it, for all."""

    unjudged: Literal["keep", "drop"]
    """What the recipe says of rows that a filter could not judge."""
    before: tuple[str, ...] = ()
    """`filter_hash` of the filters before it: together with a row, they say whether it comes through."""

    def after(self, filters: Sequence[Filter]) -> Gate:
        """The gate behind these filters."""
        return replace(self, before=(*self.before, *(one.filter_hash for one in filters)))

    def condition(self, kind: Kind) -> str:
        """SQL for whether a row of `kind` comes through, with the parameters of `parameters`."""
        if not self.before:
            return comes_in(kind)
        return f"""
            {comes_in(kind)} AND {KEYS[kind]} IN (
                SELECT doc_id FROM all_verdicts
                WHERE filter_hash IN (SELECT unnest($before))
                AND (outcome = 'keep' OR (outcome = 'unjudged' AND $unjudged = 'keep'))
                GROUP BY doc_id HAVING count(*) = $num_before
            )
        """

    def parameters(self) -> dict[str, object]:
        """What `condition` names."""
        if not self.before:
            return {}
        return {"before": list(self.before), "num_before": len(self.before), "unjudged": self.unjudged}

    def rows(self, store: Store, kind: Kind, columns: str = "") -> list[dict[str, object]]:
        """The rows that come through, sorted by id: `id`, and what `columns` (SQL) names."""
        return list(self.table(store, kind, columns).to_pylist())

    def table(self, store: Store, kind: Kind, columns: str = "") -> pa.Table:
        """`rows`, as columns."""
        asked = f"{KEYS[kind]} AS id{columns and ','} {columns}"
        return store.query(f"SELECT {asked} FROM {kind} WHERE {self.condition(kind)} ORDER BY id", self.parameters())

    def ids(self, store: Store, kind: Kind) -> list[str]:
        """The ids of the rows that come through, sorted."""
        return [str(row["id"]) for row in self.rows(store, kind)]
