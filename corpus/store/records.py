"""Rows as Python dictionaries on one side, as Arrow on the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import NoneType

import pyarrow as pa

from corpus.store.schema import BOOL, FLOAT, INT, STRING, STRINGS, TIME, Table

_PLAIN: dict[pa.DataType, frozenset[type]] = {
    STRING: frozenset({str, NoneType}),
    FLOAT: frozenset({float, NoneType}),
    BOOL: frozenset({bool, NoneType}),
}
"""Python types that a column takes whatever the value; Arrow is asked about all others."""


def check_rows(table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Refuse rows that the table could not hold, before they are written: a wrong row is a bug of ours."""
    names = {name for name, _ in table.columns}
    for row in rows:
        assert row.keys() == names, (table.name, sorted(names ^ row.keys()))
    # Arrow takes a third of a millisecond for a row, however plain it is.
    asked = [(name, kind) for name, kind in table.columns if not all(_is_plain(row[name], kind) for row in rows)]
    for name, kind in asked:
        pa.array([row[name] for row in rows], type=kind)


def _is_plain(value: object, kind: pa.DataType) -> bool:
    if kind == INT:
        return value is None or (type(value) is int and -(2**63) <= value < 2**63)
    if kind == STRINGS:
        return type(value) is list and all(type(one) is str for one in value)
    return type(value) in _PLAIN.get(kind, ())


def rows_table(table: Table, rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """Rows that came out of the journal as an Arrow table of the table's types."""
    times = [name for name, kind in table.columns if kind == TIME]
    restored = [
        {**row, **{name: datetime.fromisoformat(str(row[name])) for name in times if row[name] is not None}}
        for row in rows
    ] if times else list(rows)  # fmt: skip
    return pa.Table.from_pylist(restored, schema=table.schema)
