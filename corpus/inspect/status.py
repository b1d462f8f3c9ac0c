"""Where a run stands."""

from __future__ import annotations

from pathlib import Path

from corpus.inspect.look import Look, Row
from corpus.inspect.named import named_queries

_SHOWN = ("funnel", "outcomes", "failures", "verdict_reasons", "mix_against_target", "stages", "arms")
_LAST_INVOCATIONS = 5
_LEFT_OUT = ("checkpoint", "data_hash")
"""Columns of the stages that would make a line four; the query `stages` has them."""


def funnel(root: Path) -> list[Row]:
    """Rows of the named query `funnel`: step, documents, chats."""
    with Look(root) as look:
        return look.rows(named_queries()["funnel"].sql)


def status_tables(root: Path) -> list[tuple[str, list[Row]]]:
    """Tables that say how far a run is, each with its title; all are of the same moment.

    Raises:
        StoreError: there is no run in that folder.
    """
    with Look(root) as look:
        tables = [(name.replace("_", " "), look.rows(named_queries()[name].sql)) for name in _SHOWN]
        invocations = look.rows(named_queries()["invocations"].sql)[-_LAST_INVOCATIONS:]
        faults: list[Row] = [{"file": str(fault)} for fault in look.faults]
    tables = [(title, _narrow(rows) if title == "outcomes" else rows) for title, rows in tables]
    tables = [
        (title, [{name: value for name, value in row.items() if name not in _LEFT_OUT} for row in rows])
        for title, rows in tables
    ]
    return [*tables, ("last invocations", invocations), ("files that do not read back", faults)]


def _narrow(rows: list[Row]) -> list[Row]:
    """Rows without the columns that hold nothing but 0 and null: the outcomes that never came up."""
    names = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
    return [{name: row[name] for name in names} for row in rows]
