"""Calls and documents as a store takes them, and the ids that it has."""

from __future__ import annotations

from pathlib import Path

from fakes.rows import row

from corpus.store import open_reader


def call(number: int, **values: object) -> dict[str, object]:
    return row("calls", call_id=f"call-{number}", room="corpus", outcome="ok", attempt=0, seconds=0.5, **values)


def document(number: int, **values: object) -> dict[str, object]:
    return row("documents", **{"doc_id": f"doc-{number}", "text": f"text {number}", "clause_ids": ["c"]} | values)


def ids(root: Path, table: str = "documents", key: str = "doc_id") -> list[object]:
    return open_reader(root).query(f"SELECT {key} FROM all_{table} ORDER BY {key}")[key].to_pylist()
