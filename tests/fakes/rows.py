"""Rows with every column of their table, for tests that care about a few of them."""

from __future__ import annotations

from corpus.store.schema import TABLES


def row(table: str, **values: object) -> dict[str, object]:
    """A row of `table` with the values given and nothing elsewhere."""
    columns = dict.fromkeys(name for name, _ in TABLES[table].columns)
    assert values.keys() <= columns.keys(), values.keys() - columns.keys()
    return columns | values
