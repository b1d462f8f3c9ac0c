"""From one row back to all that made it, and on to all that became of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from corpus.errors import CorruptFileError, QueryError
from corpus.inspect.difference import Difference, differences
from corpus.inspect.look import Look, Row
from corpus.store.identity import PREFIX

Kind = Literal["document", "chat", "brief", "clause", "call", "cluster"]
_KEYS: Mapping[Kind, tuple[str, str]] = {
    "document": ("documents", "doc_id"),
    "chat": ("chats", "chat_id"),
    "brief": ("briefs", "brief_id"),
    "clause": ("clauses", "clause_id"),
    "call": ("calls", "call_id"),
    "cluster": ("duplicates", "cluster_id"),
}
"""Table and column of each kind of id. Where two kinds share an id, the first one is meant."""
_ORDER = {
    "briefs": "brief_id",
    "calls": "purpose, attempt, call_id",
    "clauses": "ordinal, clause_id",
    "scores": "scorer, name, scorer_hash",
    "verdicts": "filter, filter_hash",
    "mixes": "mix, position, pass_hash",
}
_PREFIX_DIGITS = 6
"""Fewest hexadecimal digits that may stand for an id."""
_SHOWN_MATCHES = 10
MAX_ROWS = 50
"""Rows of one table in a trace: a clause may have thousands of documents."""


@dataclass(frozen=True)
class Trace:
    """One row, and the rows around it. Each row has all columns of its table, and `stale`."""

    kind: Kind
    row_id: str
    made: list[Row] = field(default_factory=list)
    """Documents and chats: the row itself, its parent or twin, or what was made from it; each with its `id`."""
    briefs: list[Row] = field(default_factory=list)
    calls: list[Row] = field(default_factory=list)
    clauses: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
    verdicts: list[Row] = field(default_factory=list)
    duplicates: list[Row] = field(default_factory=list)
    """Members of the clusters that the row is in, the row itself first, then survivors."""
    differences: list[Difference] = field(default_factory=list)
    """Of a row that gave way: what differs from the row that it matched, and from the one that survived it."""
    mixes: list[Row] = field(default_factory=list)
    num_made: int = 0
    """Documents and chats in all, where `made` holds only the first `MAX_ROWS`."""
    faults: tuple[CorruptFileError, ...] = ()
    """Files that do not read back: their rows are missing here."""


def trace(root: Path, row_id: str) -> Trace:
    """Everything around a row of the run in `root`, stale rows included.

    Args:
        root: the run's folder.
        row_id: the id of a document, chat, brief, clause, call or cluster, or its beginning: at least 6 hexadecimal
            digits, with or without `b2:`.

    Raises:
        QueryError: no id begins so, more than one does (they are listed), or it is no id.
        StoreError: there is no run in that folder.
    """
    with Look(root) as look:
        kind, whole_id = _find(look, row_id)
        num_made, made = _made(look, kind, whole_id)
        own = [whole_id] if kind in ("document", "chat") else []
        made_ids = [str(row["id"]) for row in made]
        call_rows = _by_key(look, "calls", "call_id", [whole_id]) if kind == "call" else []
        items = [str(row["item_id"]) for row in call_rows]
        of_briefs = [*_values(made, "brief_id"), *items, whole_id]
        briefs = _by_key(look, "briefs", "brief_id", of_briefs)
        brief_ids = _values(briefs, "brief_id")
        if kind in ("document", "chat", "brief"):
            call_rows = _rows(
                look,
                "SELECT * FROM all_calls WHERE list_contains($ids, call_id) OR list_contains($items, item_id) "
                f"ORDER BY {_ORDER['calls']}",
                ids=_values(made, "call_id"), items=[*brief_ids, *made_ids],
            )  # fmt: skip
        duplicates = _clusters(look, [*own, whole_id])
        lost = [row for row in duplicates if row["doc_id"] == whole_id != row["survivor_id"] and not row["stale"]]
        clause_ids = [whole_id] if kind == "clause" else _listed([*made, *briefs], "clause_ids")
        return Trace(
            kind=kind,
            row_id=whole_id,
            made=made,
            briefs=briefs,
            calls=call_rows,
            clauses=_by_key(look, "clauses", "clause_id", clause_ids),
            scores=_by_key(look, "scores", "doc_id", own),
            verdicts=_by_key(look, "verdicts", "doc_id", own),
            duplicates=duplicates,
            differences=[found for row in lost for found in differences(look, row)],
            mixes=_by_key(look, "mixes", "doc_id", own),
            num_made=num_made,
            faults=tuple(look.faults),
        )


def _find(look: Look, row_id: str) -> tuple[Kind, str]:
    digits = row_id.strip().removeprefix(PREFIX)
    if not re.fullmatch(r"[0-9a-f]+", digits):
        raise QueryError(
            f"{row_id!r:.80} is no id: ids are {PREFIX} and hexadecimal digits, such as those of the column doc_id"
        )
    if len(digits) < _PREFIX_DIGITS:
        raise QueryError(f"{row_id!r} is too short for an id: give at least {_PREFIX_DIGITS} of its digits")
    choices = " UNION ALL ".join(
        f"SELECT {rank} AS rank, '{kind}' AS kind, {column} AS id FROM all_{table}"
        for rank, (kind, (table, column)) in enumerate(_KEYS.items())
    )
    found = look.rows(
        f"SELECT id, arg_min(kind, rank) AS kind FROM ({choices}) WHERE starts_with(id, $prefix) "
        "GROUP BY id ORDER BY id",
        {"prefix": PREFIX + digits},
    )
    if not found and look.faults:
        raise QueryError(
            f"no row that reads back has an id that begins with {digits}, and some do not read back: "
            + "; ".join(map(str, look.faults))
        )
    if not found:
        raise QueryError(
            f"no row of {look.root.name} has an id that begins with {digits}; the columns doc_id, chat_id, brief_id, "
            "clause_id, call_id and cluster_id have them"
        )
    if len(found) > 1:
        listed = "\n".join(f"  {row['id']}  {row['kind']}" for row in found[:_SHOWN_MATCHES])
        more = f"\n  and {len(found) - _SHOWN_MATCHES} more" if len(found) > _SHOWN_MATCHES else ""
        raise QueryError(f"{len(found)} ids begin with {digits}; give more digits:\n{listed}{more}")
    return cast("Kind", found[0]["kind"]), str(found[0]["id"])


def _made(look: Look, kind: Kind, row_id: str) -> tuple[int, list[Row]]:
    """Documents and chats around a row, with their number."""
    conditions: Mapping[Kind, str] = {
        "document": "doc_id = $id OR parent_id = $id "
        "OR doc_id = (SELECT parent_id FROM all_documents WHERE doc_id = $id)",
        "chat": "chat_id = $id OR chat_id = (SELECT twin_id FROM all_chats WHERE chat_id = $id)",
        "brief": "brief_id = $id",
        "clause": "list_contains(clause_ids, $id)",
        "call": "call_id = $id OR {key} = (SELECT item_id FROM all_calls WHERE call_id = $id)",
        "cluster": "{key} IN (SELECT doc_id FROM all_duplicates WHERE cluster_id = $id)",
    }
    made: list[Row] = []
    num_made = 0
    kinds: tuple[Kind, ...] = (kind,) if kind in ("document", "chat") else ("document", "chat")
    for which in kinds:
        table, key = _KEYS[which]
        where = conditions[kind].replace("{key}", key)
        num_made += len(look.rows(f"SELECT {key} FROM all_{table} WHERE {where}", {"id": row_id}))
        made += look.rows(
            f"SELECT '{which}' AS kind, {key} AS id, * FROM all_{table} WHERE {where} "
            f"ORDER BY {key} <> $id, stale, {key} LIMIT {MAX_ROWS}",
            {"id": row_id},
        )
    return num_made, made


def _clusters(look: Look, ids: list[str]) -> list[Row]:
    return _rows(
        look,
        "SELECT * FROM all_duplicates WHERE cluster_id IN "
        "(SELECT cluster_id FROM all_duplicates WHERE list_contains($ids, doc_id) OR list_contains($ids, cluster_id)) "
        "ORDER BY stale, NOT list_contains($ids, doc_id), doc_id <> survivor_id, doc_id",
        ids=ids,
    )


def _by_key(look: Look, table: str, key: str, ids: Iterable[str]) -> list[Row]:
    """Rows of a table by id, those of the current recipe first; a row that two recipes share comes once."""
    once = (
        f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY stale) = 1" if table in ("briefs", "clauses") else ""
    )
    return _rows(
        look,
        f"SELECT * FROM all_{table} WHERE list_contains($ids, {key}) {once} ORDER BY stale, {_ORDER[table]}",
        ids=sorted(set(ids)),
    )


def _rows(look: Look, sql: str, **lists: list[str]) -> list[Row]:
    return look.rows(f"{sql} LIMIT {MAX_ROWS}", lists) if any(lists.values()) else []


def _values(rows: Iterable[Row], column: str) -> list[str]:
    return [str(row[column]) for row in rows if row.get(column) is not None]


def _listed(rows: Iterable[Row], column: str) -> list[str]:
    found = [cast("list[str] | None", row.get(column)) or [] for row in rows]
    return sorted({item for items in found for item in items})
