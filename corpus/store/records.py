"""Rows as Python dictionaries on one side, as Arrow on the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from corpus.store.schema import TIME, Table


def check_rows(table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Refuse rows that the table could not hold, before they are written: a wrong row is a bug of ours."""
    names = {name for name, _ in table.columns}
    for row in rows:
        assert row.keys() == names, (table.name, sorted(names ^ row.keys()))
    pa.Table.from_pylist(list(rows), schema=table.schema)


def rows_table(table: Table, rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """Rows that came out of the journal as an Arrow table of the table's types."""
    times = [name for name, kind in table.columns if kind == TIME]
    restored = [
        {**row, **{name: datetime.fromisoformat(str(row[name])) for name in times if row[name] is not None}}
        for row in rows
    ] if times else list(rows)  # fmt: skip
    return pa.Table.from_pylist(restored, schema=table.schema)
