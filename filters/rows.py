"""Reading the rows that filters work on: their texts, and what their writer was told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TypeVar, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import prompts
from corpus.store import LAST_VERSION, Store
from filters.base import Kind, Row

READ_ROWS = 2_048
"""Rows whose texts are in memory at a time: some 10 MB. Each block reads the text column once."""
STREAMED_ROWS = 512
"""Rows whose texts are in memory at a time where the text column is read once for all: few, as each may be long."""
KEYS: Mapping[Kind, str] = {"documents": "doc_id", "chats": "chat_id"}
"""The column that holds the id, by table."""
PAIRS: Mapping[Kind, str] = {
    "documents": "doc_id",
    "chats": "least(chat_id, twin_id, (SELECT min(other.chat_id) FROM chats AS other "
    "WHERE other.twin_id = chats.chat_id))",
}
"""SQL for what a row shares with its twin alone, whichever of the two names the other; of a row without one, its id."""
_PLACE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\n")
_DOCUMENT_PROMPTS = (
    "document", "idea_shows", "idea_describes", "paragraph_values", "paragraph_rules", "reply_planned", "rewrite",
)  # fmt: skip
_CHAT_PROMPTS = (
    "chat_question", "chat_answer", "answer_reasoned_values", "answer_reasoned_rules", "preference_question",
    "preference_answer", "short_question", "short_answer_values", "short_answer_rules",
)  # fmt: skip
_BRIEF_FIELDS = ("idea", "description", "voice", "form", "realism", "avoid")
_SELECT: Mapping[Kind, str] = {
    "documents": """
        SELECT doc_id AS id, text, brief_id, idea, description, voice, form, realism, avoid,
            coalesce(sampling ->> 'opening', '') AS opening, documents.genre, family
        FROM documents LEFT JOIN briefs USING (brief_id) LEFT JOIN genres ON genres.name = briefs.genre
    """,
    "chats": "SELECT chat_id AS id, messages, brief_id, question_kind, reasoning FROM chats",
}
_TURNS = "array_to_string([turn.content FOR turn IN messages IF turn.role {} 'assistant'], chr(10) || chr(10))"
_TEXTS: Mapping[Kind, str] = {
    "documents": "SELECT place, text FROM documents JOIN wanted ON doc_id = id",
    "chats": f"SELECT place, {_TURNS.format('<>')} || chr(10) || chr(10) || {_TURNS.format('=')} AS text "
    "FROM chats JOIN wanted ON chat_id = id",
}
Item = TypeVar("Item")


def comes_in(kind: Kind) -> str:
    """SQL for whether a row is judged at all. A document that was written anew is not: its second version is."""
    return LAST_VERSION if kind == "documents" else "true"


def in_blocks(items: Sequence[Item], size: int = READ_ROWS) -> Iterator[Sequence[Item]]:
    """The items in order, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def read_rows(store: Store, kind: Kind, ids: Sequence[str]) -> list[Row]:
    """The rows with these ids, sorted by id."""
    sql = f"FROM ({_SELECT[kind]}) WHERE id IN (SELECT unnest($ids)) ORDER BY id"
    return [_row(kind, row) for row in store.rows(sql, {"ids": list(ids)})]


def stream_wanted(store: Store, kind: Kind, ids: Sequence[str]) -> Iterator[Row]:
    """The rows with these ids, in any order: for many, the texts are read once and few are in memory at a time."""
    wanted = pa.table({"id": pa.array(ids, pa.string())})
    sql = f"FROM ({_SELECT[kind]}) SEMI JOIN wanted USING (id)"
    for batch in store.batches(sql, num_rows=STREAMED_ROWS, wanted=wanted):
        yield from (_row(kind, row) for row in batch.to_pylist())


def stream_texts(store: Store, kind: Kind) -> Iterator[str]:
    """The texts of all rows that are judged (`Row.text`), in any order; few are in memory at a time."""
    text = "text" if kind == "documents" else _TURNS.format("=")
    for batch in store.batches(f"SELECT {text} AS text FROM {kind} WHERE {comes_in(kind)}", num_rows=STREAMED_ROWS):
        yield from batch["text"].to_pylist()


def stream_rows(
    store: Store, kind: Kind, chosen: str, parameters: Mapping[str, object]
) -> Iterator[list[tuple[Row, int]]]:
    """The rows that `chosen`, SQL with a column `id` and a number `lacking`, names: each with its number.

    They come in the order they lie in, so that the texts are read once; `STREAMED_ROWS` are in memory at a time.
    """
    sql = f"FROM ({_SELECT[kind]}) JOIN ({chosen}) USING (id)"
    for batch in store.batches(sql, parameters, num_rows=STREAMED_ROWS):
        yield [(_row(kind, row), cast("int", row["lacking"])) for row in batch.to_pylist()]


def read_texts(
    store: Store, kind: Kind, ids: pa.Array | pa.ChunkedArray
) -> Iterator[tuple[NDArray[np.int64], pa.Array]]:
    """The texts of these rows, of a chat all turns: batches of places in `ids` and the texts there, in any order.

    The table is read once, and no Python string is made.
    """
    wanted = pa.table({"place": np.arange(len(ids)), "id": ids})
    for batch in store.batches(_TEXTS[kind], num_rows=READ_ROWS, wanted=wanted):
        yield batch["place"].to_numpy(), batch["text"]


def _row(kind: Kind, row: Mapping[str, object]) -> Row:
    return _document(row) if kind == "documents" else _chat(row)


def _document(row: Mapping[str, object]) -> Row:
    told: list[str] = []
    if row["brief_id"] is not None:
        told = [
            *chain.from_iterable(map(_fixed_words, _DOCUMENT_PROMPTS)),
            *(str(row[name]) for name in _BRIEF_FIELDS if row[name] is not None),
        ]
    return Row(
        str(row["id"]), "documents", str(row["text"]), instructions=tuple(told), opening=str(row["opening"]),
        family=_family(row),
    )  # fmt: skip


def _family(row: Mapping[str, object]) -> str | None:
    """The family of its brief's genre, or of ours of the name that an imported row says is its genre."""
    return str(row["family"]) if row["family"] is not None else _our_families().get(str(row["genre"]))


@lru_cache(maxsize=1)
def _our_families() -> Mapping[str, str]:
    return {name: card.family for name, card in prompts.genres().items()}


def _chat(row: Mapping[str, object]) -> Row:
    messages = cast("list[dict[str, str]]", row["messages"])
    answers = tuple(message["content"] for message in messages if message["role"] == "assistant")
    asked = [message["content"] for message in messages if message["role"] != "assistant"]
    told: list[str] = []
    if row["brief_id"] is not None:
        told = list(chain.from_iterable(map(_fixed_words, _CHAT_PROMPTS)))
        notes = (prompts.question_kinds(), prompts.question_endings())
        told += [of_kind[str(row["question_kind"])] for of_kind in notes if row["question_kind"] in of_kind]
    return Row(
        str(row["id"]), "chats", "\n\n".join(answers), "\n\n".join(asked), answers, tuple(told),
        reasoning=bool(row["reasoning"]),
    )  # fmt: skip


@lru_cache
def _fixed_words(name: str) -> tuple[str, ...]:
    """What a prompt says whatever its values are."""
    prompt = prompts.load(name)
    return tuple(piece for piece in _PLACE.split(f"{prompt.system}\n{prompt.user}") if piece.strip())
