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

from corpus.conversations import FORMS, BadRow, Fields, read_conversation
from corpus.errors import DataError
from corpus.import_files import BATCH_ROWS, EXCERPT_CHARS, Line, check_files, read_lines
from corpus.inspect.answers import plain
from corpus.inspect.visible import visible
from corpus.recipe import Imports
from corpus.store import WritingStore
from corpus.store.identity import content_id
from corpus.store.schema import TABLES

BATCH_CHARS = 1 << 20
"""Characters of text whose tokens are counted at a time (a tokenizer holds some 100 bytes a token); one row always
fits."""
PART_BYTES = 64 << 20
"""Rows are gathered in memory until they hold this (bytes, uncompressed), then they become a part."""
_KEYS = {"documents": "doc_id", "chats": "chat_id", "rejected": "rejected_id"}
_LABELS = ("genre", "domain", "subdomain")
"""Columns that a document brings along under their own names, where they hold text or a number."""


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
            ("skipped; each row with its line: specmill sql RECIPE rejected", [
                {"reason": kind, "rows": rows.num_rows, "first": rows.first} for kind, rows in self.tally.bad.items()
            ]),
        ]  # fmt: skip


class _Read(NamedTuple):
    """A row as a table takes it, but for what can only be said beside the other rows."""

    table: str
    columns: dict[str, object]
    identity: tuple[object, ...]
    """What its id is made of, with the number of rows before it that have the same."""
    num_chars: int


def import_rows(
    store: WritingStore,
    files: Sequence[Path],
    set_name: str,
    count_text: Callable[[Sequence[str]], list[int]],
    count_chat: Callable[[Sequence[Sequence[Mapping[str, str]]]], list[int]],
    settings: Imports | None = None,
) -> ImportReport:
    """Add the rows of `files` to the set `set_name`; rows that are there already are counted and left.

    The files are read once to see that every row can be used, and once more to write: what is held in memory is one
    part, and an id of every row. Killed on the way, the parts that are finished stay, and importing again adds the
    rest.

    Args:
        store: the run.
        files: see `import_files.TAKES`.
        set_name: the set the rows belong to.
        count_text: tokens of each document.
        count_chat: tokens of each chat.
        settings: what becomes of rows that cannot be used.

    Raises:
        DataError: a file is not there or not whole, none holds a row that can be used, or, unless they are skipped,
            one row cannot be used (the message has file and line); nothing is added.
    """
    settings = settings or Imports()
    if set_name == "generated":
        raise DataError("the set 'generated' is for what this run writes itself; name another with --as")
    check_files(files)
    tally = Tally()
    found = Counter(row.table for row in _rows(files, settings, tally))
    num_usable = found["documents"] + found["chats"]
    if tally.bad and not num_usable:
        kinds = ", ".join(f"{rows.num_rows} x {kind} (first {rows.first})" for kind, rows in tally.bad.items())
        raise DataError(f"not one row can be used: {kinds}; mend the rows and import again")
    if not num_usable:
        raise DataError(f"{', '.join(map(str, files))}: no rows; nothing was imported")
    counters: dict[str, _Count] = {
        "documents": lambda rows: count_text([str(row["text"]) for row in rows]),
        "chats": lambda rows: count_chat([cast("list[dict[str, str]]", row["messages"]) for row in rows]),
    }
    adding = {table: _Adding(store, table, set_name, counters.get(table)) for table, count in found.items() if count}
    occurrences: Counter[str] = Counter()
    for row in _rows(files, settings, Tally()):
        same = content_id("rejected" if row.table == "rejected" else "content", set_name, *row.identity)
        occurrences[same] += 1
        row_id = content_id("imported", same, occurrences[same] - 1)
        adding[row.table].take({**row.columns, _KEYS[row.table]: row_id, "set": set_name}, row.num_chars)
    for one in adding.values():
        one.write()
    added = {table: one.num_added for table, one in adding.items() if table != "rejected"}
    num_known = num_usable - sum(added.values())
    return ImportReport(set_name, added.get("documents", 0), added.get("chats", 0), num_known, tally)


_Count = Callable[[Sequence[Mapping[str, object]]], list[int]]


class _Adding:
    """Adds to a table the rows of a set that are not in it yet: rows become batches, batches become parts."""

    def __init__(self, store: WritingStore, table: str, set_name: str, count: _Count | None) -> None:
        """`count` gives the tokens of rows; None for a table that has none."""
        self.num_added = 0
        self._writer = store.writer("corpus")
        self._table = TABLES[table]
        self._count = count
        key = _KEYS[table]
        known = store.query(f'SELECT {key} FROM all_{table} WHERE "set" = ?', [set_name])
        self._known = set(known.column(0).to_pylist())
        self._rows: list[dict[str, object]] = []
        self._num_chars = 0
        self._batches: list[pa.RecordBatch] = []
        self._num_bytes = 0

    def take(self, row: dict[str, object], num_chars: int) -> None:
        """Add a row, now or with those that come."""
        if row[_KEYS[self._table.name]] in self._known:
            return
        self._rows.append(row)
        self._num_chars += num_chars
        if len(self._rows) >= BATCH_ROWS or self._num_chars >= BATCH_CHARS:
            self._make_batch()
            if self._num_bytes >= PART_BYTES:
                self.write()

    def write(self) -> None:
        """Write what was taken."""
        self._make_batch()
        rows = pa.Table.from_batches(self._batches, schema=self._table.schema)
        self._batches, self._num_bytes = [], 0
        self._writer.add_part(self._table.name, rows.combine_chunks())  # small batches would be small row groups
        self.num_added += rows.num_rows

    def _make_batch(self) -> None:
        rows, self._rows, self._num_chars = self._rows, [], 0
        if self._count is not None:
            for row, num_tokens in zip(rows, self._count(rows), strict=True):
                row["num_tokens"] = num_tokens
        if rows:
            batch = pa.RecordBatch.from_pylist(rows, schema=self._table.schema)
            self._batches.append(batch)
            self._num_bytes += batch.nbytes


def _rows(files: Sequence[Path], settings: Imports, tally: Tally) -> Iterator[_Read]:
    """The rows of all files; of those that cannot be used, rows of the table `rejected`."""
    for line in itertools.chain.from_iterable(map(read_lines, files)):
        try:
            if isinstance(line.fields, BadRow):
                raise line.fields
            yield _usable(line, line.fields, settings, tally)
        except BadRow as bad:
            if not settings.skip_bad:
                raise DataError(
                    f"{line.where}: {bad}; nothing was imported. Mend that row, or leave out all rows that cannot be "
                    f"used with --skip-bad (in the recipe: imports.skip_bad)"
                ) from None
            before = tally.bad.get(bad.kind, BadRows(0, line.where))
            tally.bad[bad.kind] = before._replace(num_rows=before.num_rows + 1)
            yield _rejected(line, bad)


def _usable(line: Line, fields: Fields, settings: Imports, tally: Tally) -> _Read:
    try:
        table, form, content, rest = _content(fields, settings.max_text_chars)
        extra = {str(name): plain(value) for name, value in rest.items() if value is not None}
        extra_json = json.dumps(extra, ensure_ascii=False) if extra else None
    except RecursionError:
        raise BadRow("nested too deeply") from None
    _check_whole(extra_json or "")
    tally.forms[form] += 1
    tally.extra.update(extra.keys())
    columns: dict[str, object] = {name: None for name, _ in TABLES[table].columns}
    columns |= {**content, "clause_ids": [], "source": line.where, "extra": extra_json}
    own_id, told = fields.get("id"), content.get("messages", content.get("text"))
    identity = (own_id if own_id is None else str(own_id), told)
    return _Read(table, columns, identity, _num_chars(content) + len(extra_json or ""))


def _rejected(line: Line, bad: BadRow) -> _Read:
    reason, detail, excerpt = visible(bad.kind), visible(str(bad))[:EXCERPT_CHARS], line.excerpt
    columns: dict[str, object] = {"reason": reason, "detail": detail, "excerpt": excerpt, "source": line.where}
    return _Read("rejected", columns, (reason, detail, excerpt), len(detail) + len(excerpt))


def _content(fields: Fields, max_chars: int) -> tuple[str, str, dict[str, object], Fields]:
    """Table, form, the columns of it that a row fills, and what else the row holds."""
    conversation = read_conversation(fields)
    if conversation is not None:
        content: dict[str, object] = {"messages": conversation.messages, "reasoning": False}
        _check_texts([message["content"] for message in conversation.messages], max_chars)
        return "chats", conversation.form.name, content, conversation.rest
    text = _document_text(fields)
    labels = {name: str(fields[name]) for name in _LABELS if isinstance(fields.get(name), str | int | float)}
    _check_texts([text, *labels.values()], max_chars)
    rest = {name: value for name, value in fields.items() if name not in ("text", *labels)}
    return "documents", "text", {"text": text, "num_chars": len(text), **labels}, rest


def _document_text(fields: Fields) -> str:
    if "text" not in fields:
        known = "; ".join(["text", *(form.name for form in FORMS)])
        raise BadRow("nothing in a known form", f"it has {sorted(map(str, fields))}, and the forms are: {known}")
    text = fields["text"]
    if text is None:
        raise BadRow("no text", "`text` is null")
    if isinstance(text, bytes):
        raise BadRow("a text that is no text", "`text` holds bytes; cast the column to a string")
    if not isinstance(text, str):
        raise BadRow("a text that is no text", f"`text` is {text!r:.60}")
    if not text.strip():
        raise BadRow("an empty text", f"`text` is {text!r:.60}")
    return text


def _num_chars(content: Mapping[str, object]) -> int:
    messages = cast("Sequence[Mapping[str, str]]", content.get("messages", ()))
    return len(str(content.get("text", ""))) + sum(len(message["content"]) for message in messages)


def _check_texts(texts: Sequence[str], max_chars: int) -> None:
    num_chars = sum(map(len, texts))
    if num_chars > max_chars:
        raise BadRow(
            f"a text of more than {max_chars:,} characters",
            f"it has {num_chars:,}; split it, or raise imports.max_text_chars",
        )
    for text in texts:
        if "\0" in text:
            raise BadRow("a NUL character", f"at character {text.index(chr(0))}")
        _check_whole(text)


def _check_whole(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadRow("half a character", error.reason) from None
