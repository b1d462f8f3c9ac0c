"""Brings documents and chats from elsewhere into a run: JSONL or Parquet with a `text` or a conversation."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.conversations import FORMS, BadRow, Fields, read_conversation
from corpus.errors import DataError
from corpus.foreign import has_half_character
from corpus.inspect.answers import plain
from corpus.store import WritingStore
from corpus.store.identity import content_id
from corpus.store.schema import TABLES

BATCH_ROWS = 4_096
"""Rows that are read, counted and written at a time."""
_KEYS = {"documents": "doc_id", "chats": "chat_id"}
_LABELS = ("genre", "domain", "subdomain")
"""Columns that a document brings along under their own names."""


class Line(NamedTuple):
    """One row of an imported file."""

    where: str
    """File and line (or row), both counted from 1."""
    fields: Fields | BadRow
    """What it holds, or why that cannot be read."""


class BadRows(NamedTuple):
    """The bad rows of one kind."""

    num_rows: int
    first: str
    """File and line of the first one."""


@dataclass
class Tally:
    """What one reading of the files met."""

    forms: Counter[str] = field(default_factory=Counter)
    """Rows by the columns that they were read from."""
    extra: Counter[str] = field(default_factory=Counter)
    """Rows by each column that went into `extra`."""
    bad: dict[str, BadRows] = field(default_factory=dict)
    """Rows that were skipped, by kind."""


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
    tally: Tally

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person."""
        counts = {"documents added": self.documents, "chats added": self.chats, "there already": self.known}
        return [
            (f"imported as {self.set_name}", [{"rows": name, "count": count} for name, count in counts.items()]),
            ("read from", [{"columns": name, "rows": count} for name, count in self.tally.forms.most_common()]),
            ("kept in `extra`", [{"column": name, "rows": count} for name, count in self.tally.extra.most_common()]),
            ("skipped", [
                {"reason": kind, "rows": rows.num_rows, "first": rows.first} for kind, rows in self.tally.bad.items()
            ]),
        ]  # fmt: skip


def import_rows(
    store: WritingStore,
    files: Sequence[Path],
    set_name: str,
    count_text: Callable[[Sequence[str]], list[int]],
    count_chat: Callable[[Sequence[Sequence[Mapping[str, str]]]], list[int]],
    *,
    skip_bad: bool = False,
) -> ImportReport:
    """Add the rows of `files` to the set `set_name`; rows that are there already are counted and left.

    The files are read once to see that every row can be used, and once more for each table that gets some: what is
    held in memory is one batch, and an id of every row.

    Args:
        store: the run.
        files: .jsonl, .ndjson and .parquet files.
        set_name: the set the rows belong to.
        count_text: tokens of each document.
        count_chat: tokens of each chat.
        skip_bad: leaves rows that cannot be used out and counts them.

    Raises:
        DataError: a file is not there, no row can be used, or, without `skip_bad`, one cannot; it names file and
            line, and nothing is added.
    """
    if set_name == "generated":
        raise DataError("the set 'generated' is for what this run writes itself; name another with --as")
    tally = Tally()
    found = Counter(table for table, _ in _rows(files, set_name, skip_bad, tally))
    if tally.bad and not found:
        kinds = ", ".join(f"{rows.num_rows} x {kind} (first {rows.first})" for kind, rows in tally.bad.items())
        raise DataError(f"not one row can be used: {kinds}; mend the rows and import again")
    counters: dict[str, Callable[[Sequence[Mapping[str, object]]], list[int]]] = {
        "documents": lambda rows: count_text([str(row["text"]) for row in rows]),
        "chats": lambda rows: count_chat([cast("list[dict[str, str]]", row["messages"]) for row in rows]),
    }
    added = {
        table: _add(store, table, _rows(files, set_name, skip_bad, Tally()), count) if found[table] else 0
        for table, count in counters.items()
    }
    return ImportReport(set_name, added["documents"], added["chats"], found.total() - sum(added.values()), tally)


def _add(
    store: WritingStore,
    table: str,
    rows: Iterator[tuple[str, dict[str, object]]],
    count: Callable[[Sequence[Mapping[str, object]]], list[int]],
) -> int:
    """Write those of `rows` that are of `table` and not in it yet, as one part."""
    key = _KEYS[table]
    known = {row[key] for row in store.rows(f"SELECT {key} FROM all_{table}")}
    new = (row for its_table, row in rows if its_table == table and row[key] not in known)
    num_added = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal num_added
        while batch := list(itertools.islice(new, BATCH_ROWS)):
            for row, num_tokens in zip(batch, count(batch), strict=True):
                row["num_tokens"] = num_tokens
            num_added += len(batch)
            yield pa.RecordBatch.from_pylist(batch, schema=TABLES[table].schema)

    store.writer("corpus").add_part(table, batches())
    return num_added


def _rows(
    files: Sequence[Path], set_name: str, skip_bad: bool, tally: Tally
) -> Iterator[tuple[str, dict[str, object]]]:
    """The rows of all files, each with its table."""
    occurrences: Counter[str] = Counter()
    for line in itertools.chain.from_iterable(map(_read, files)):
        try:
            if isinstance(line.fields, BadRow):
                raise line.fields
            table, form, content, rest = _content(line.fields)
            extra = _extra(rest)
        except BadRow as bad:
            if not skip_bad:
                raise DataError(
                    f"{line.where}: {bad}; nothing was imported. Mend that row, or leave out all rows that cannot be "
                    f"used with --skip-bad"
                ) from None
            before = tally.bad.get(bad.kind, BadRows(0, line.where))
            tally.bad[bad.kind] = before._replace(num_rows=before.num_rows + 1)
            continue
        tally.forms[form] += 1
        tally.extra.update(extra.keys())
        row: dict[str, object] = {name: None for name, _ in TABLES[table].columns}
        row |= content
        row[_KEYS[table]] = _row_id(set_name, line.fields.get("id"), content, occurrences)
        row |= {"set": set_name, "clause_ids": [], "source": line.where}
        row["extra"] = json.dumps(extra, ensure_ascii=False) if extra else None
        yield table, row


def _content(fields: Fields) -> tuple[str, str, dict[str, object], Fields]:
    """Table, form, the columns of it that a row fills, and what else the row holds."""
    conversation = read_conversation(fields)
    if conversation is not None:
        for message in conversation.messages:
            _check_whole(message["content"])
        content: dict[str, object] = {"messages": conversation.messages, "reasoning": False}
        return "chats", conversation.form.name, content, conversation.rest
    text = fields.get("text")
    if not isinstance(text, str) or not text.strip():
        known = "; ".join(["text", *(form.name for form in FORMS)])
        raise BadRow("nothing in a known form", f"it has {sorted(map(str, fields))}, and the forms are: {known}")
    labels = {name: str(fields[name]) for name in _LABELS if fields.get(name) is not None}
    for value in (text, *labels.values()):
        _check_whole(value)
    rest = {name: value for name, value in fields.items() if name not in ("text", *labels)}
    return "documents", "text", {"text": text, "num_chars": len(text), **labels}, rest


def _extra(rest: Fields) -> dict[str, object]:
    """What a row holds besides its content, as JSON has it; what is null is left out."""
    extra = {str(name): plain(value) for name, value in rest.items() if value is not None}
    _check_whole(json.dumps(extra, ensure_ascii=False))
    return extra


def _row_id(set_name: str, own_id: object, content: Mapping[str, object], occurrences: Counter[str]) -> str:
    told = content.get("messages", content.get("text"))
    same = content_id("content", set_name, own_id if own_id is None else str(own_id), told)
    occurrences[same] += 1
    return content_id("imported", same, occurrences[same] - 1)


def _check_whole(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadRow("half a character", error.reason) from None


def _read(file: Path) -> Iterator[Line]:
    if not file.is_file():
        raise DataError(f"there is no file {file}; import takes .jsonl and .parquet files")
    if file.suffix not in (".parquet", ".jsonl", ".ndjson"):
        raise DataError(f"{file} ends in '{file.suffix}'; import takes .jsonl and .parquet files")
    if has_half_character(file.name):  # how Python shows a byte that is not UTF-8
        raise DataError(f"the name of {str(file)!r} is not UTF-8, and each row keeps it as its source; rename the file")
    rows = _parquet_rows(file) if file.suffix == ".parquet" else _json_rows(file)
    try:
        yield from (Line(f"{file.name}:{number}", fields) for number, fields in rows)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}; nothing was imported") from None


def _parquet_rows(file: Path) -> Iterator[tuple[int, Fields]]:
    try:
        with pq.ParquetFile(file) as parquet:
            batches = parquet.iter_batches(batch_size=BATCH_ROWS, use_threads=False)
            yield from enumerate(itertools.chain.from_iterable(batch.to_pylist() for batch in batches), 1)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not a whole Parquet file: {error}") from None


def _json_rows(file: Path) -> Iterator[tuple[int, Fields | BadRow]]:
    with file.open("rb") as lines:
        for number, data in enumerate(lines, 1):
            if not data.strip():
                continue
            try:
                fields = json.loads(data)
            except (ValueError, RecursionError) as error:
                yield number, BadRow("not JSON", str(error))
            else:
                yield number, fields if isinstance(fields, dict) else BadRow("no JSON object", f"{fields!r:.60}")
