"""Brings documents and chats from elsewhere into a run: JSONL or Parquet with `text` or `messages`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import DataError
from corpus.store import WritingStore
from corpus.store.identity import content_id
from corpus.store.schema import TABLES

BATCH_ROWS = 4_096
"""Rows whose tokens are counted at a time."""
ROLES = ("system", "user", "assistant", "tool")


class Line(NamedTuple):
    """One row of an imported file."""

    where: str
    """File and line (or row), both counted from 1."""
    fields: Mapping[str, object]


@dataclass(frozen=True)
class ImportReport:
    """What an import did."""

    set_name: str
    documents: int
    """Documents added."""
    chats: int
    """Chats added."""
    known: int
    """Rows that were there already."""

    def rows(self) -> list[dict[str, object]]:
        """A table for a person."""
        return [
            {"rows": "documents added", "count": self.documents},
            {"rows": "chats added", "count": self.chats},
            {"rows": "there already", "count": self.known},
        ]


def import_rows(
    store: WritingStore,
    files: Sequence[Path],
    set_name: str,
    count_text: Callable[[Sequence[str]], list[int]],
    count_chat: Callable[[Sequence[Sequence[Mapping[str, str]]]], list[int]],
) -> ImportReport:
    """Add the rows of `files` to the set `set_name`; rows that are there already are counted and left.

    Raises:
        DataError: a file is not there or a row has the wrong form; it names file and line, and nothing is added.
    """
    if set_name == "generated":
        raise DataError("the set 'generated' is for what this run writes itself; name another with --as")
    documents: list[dict[str, object]] = []
    chats: list[dict[str, object]] = []
    occurrences: Counter[str] = Counter()
    for file in files:
        for line in _read(file):
            row = _row(line, set_name, occurrences)
            (documents if "doc_id" in row else chats).append(row)
    added_documents = _add(
        store, "documents", "doc_id", documents, lambda rows: count_text([str(r["text"]) for r in rows])
    )
    added_chats = _add(
        store, "chats", "chat_id", chats,
        lambda rows: count_chat([cast("list[dict[str, str]]", r["messages"]) for r in rows]),
    )  # fmt: skip
    known = len(documents) + len(chats) - added_documents - added_chats
    return ImportReport(set_name, added_documents, added_chats, known)


def _read(file: Path) -> Iterator[Line]:
    if not file.is_file():
        raise DataError(f"there is no file {file}; import takes .jsonl and .parquet files")
    if file.suffix == ".parquet":
        try:
            rows = pq.read_table(file).to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{file} is not a whole Parquet file: {error}") from None
        yield from (Line(f"{file.name}:{number}", row) for number, row in enumerate(rows, 1))
        return
    if file.suffix not in (".jsonl", ".ndjson"):
        raise DataError(f"{file} ends in '{file.suffix}'; import takes .jsonl and .parquet files")
    with file.open("rb") as lines:
        for number, data in enumerate(lines, 1):
            if not data.strip():
                continue
            try:
                fields = json.loads(data)
            except ValueError as error:
                raise DataError(f"{file}, line {number}: not JSON ({error}); mend that line and import again") from None
            if not isinstance(fields, dict):
                raise DataError(f"{file}, line {number}: holds {fields!r:.60}, not an object with 'text' or 'messages'")
            yield Line(f"{file.name}:{number}", fields)


def _row(line: Line, set_name: str, occurrences: Counter[str]) -> dict[str, object]:
    fields = line.fields
    own_id = fields.get("id")
    if isinstance(fields.get("text"), str) and str(fields["text"]).strip():
        text = _clean(line, str(fields["text"]))
        row_id = _row_id(set_name, own_id, text, occurrences)
        row: dict[str, object] = {name: None for name, _ in TABLES["documents"].columns}
        return row | {
            "doc_id": row_id, "set": set_name, "genre": _label(line, "genre"), "domain": _label(line, "domain"),
            "subdomain": _label(line, "subdomain"), "clause_ids": [], "text": text, "num_chars": len(text),
            "source": line.where,
        }  # fmt: skip
    if fields.get("messages"):
        messages = _messages(line)
        row_id = _row_id(set_name, own_id, messages, occurrences)
        row = {name: None for name, _ in TABLES["chats"].columns}
        return row | {
            "chat_id": row_id, "set": set_name, "reasoning": False, "clause_ids": [], "messages": messages,
            "source": line.where,
        }  # fmt: skip
    raise DataError(f"{line.where}: has neither a 'text' nor 'messages' with something in it; it has {sorted(fields)}")


def _row_id(set_name: str, own_id: object, content: object, occurrences: Counter[str]) -> str:
    same = content_id("content", set_name, own_id if own_id is None else str(own_id), content)
    occurrences[same] += 1
    return content_id("imported", same, occurrences[same] - 1)


def _messages(line: Line) -> list[dict[str, str]]:
    turns = line.fields["messages"]
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        raise DataError(f"{line.where}: 'messages' holds {turns!r:.60}; it should be a list of role and content")
    messages = []
    for turn in turns:
        role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
        if role not in ROLES or not isinstance(content, str):
            raise DataError(
                f"{line.where}: a message is {turn!r:.60}; it needs a role of {', '.join(ROLES)} and a content"
            )
        messages.append({"role": str(role), "content": _clean(line, content)})
    return messages


def _label(line: Line, key: str) -> str | None:
    value = line.fields.get(key)
    return None if value is None else _clean(line, str(value))


def _clean(line: Line, text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{line.where}: holds half a character ({error.reason}); mend that row and import again"
        ) from None
    return text


def _add(
    store: WritingStore,
    table: str,
    key: str,
    rows: list[dict[str, object]],
    count: Callable[[Sequence[Mapping[str, object]]], list[int]],
) -> int:
    known = {row[key] for row in store.rows(f"SELECT {key} FROM all_{table}")} if rows else set()
    new = [row for row in rows if row[key] not in known]
    for start in range(0, len(new), BATCH_ROWS):
        batch = new[start : start + BATCH_ROWS]
        for row, num_tokens in zip(batch, count(batch), strict=True):
            row["num_tokens"] = num_tokens
    store.writer("corpus").add_part(table, pa.Table.from_pylist(new, schema=TABLES[table].schema))
    return len(new)
