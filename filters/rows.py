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
from corpus.store import Store
from filters.base import Kind, Row

READ_ROWS = 2_048
"""Rows whose texts are in memory at a time: some 10 MB. Each block reads the text column once."""
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
_DOCUMENTS = """
    SELECT doc_id AS id, text, brief_id, idea, description, voice, form, realism, avoid,
        coalesce(sampling ->> 'opening', '') AS opening
    FROM documents LEFT JOIN briefs USING (brief_id) LEFT JOIN genres ON genres.name = briefs.genre
    WHERE doc_id IN (SELECT unnest($ids)) ORDER BY id
"""
_CHATS = """
    SELECT chat_id AS id, messages, brief_id, question_kind, reasoning FROM chats
    WHERE chat_id IN (SELECT unnest($ids)) ORDER BY id
"""
_TURNS = "array_to_string([turn.content FOR turn IN messages IF turn.role {} 'assistant'], chr(10) || chr(10))"
_TEXTS: Mapping[Kind, str] = {
    "documents": "SELECT place, text FROM documents JOIN wanted ON doc_id = id",
    "chats": f"SELECT place, {_TURNS.format('<>')} || chr(10) || chr(10) || {_TURNS.format('=')} AS text "
    "FROM chats JOIN wanted ON chat_id = id",
}
Item = TypeVar("Item")


def in_blocks(items: Sequence[Item], size: int = READ_ROWS) -> Iterator[Sequence[Item]]:
    """The items in order, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def read_rows(store: Store, kind: Kind, ids: Sequence[str]) -> list[Row]:
    """The rows with these ids, sorted by id."""
    found = store.rows(_DOCUMENTS if kind == "documents" else _CHATS, {"ids": list(ids)})
    return [_document(row) if kind == "documents" else _chat(row) for row in found]


def read_texts(
    store: Store, kind: Kind, ids: pa.Array | pa.ChunkedArray
) -> Iterator[tuple[NDArray[np.int64], pa.Array]]:
    """The texts of these rows, of a chat all turns: batches of places in `ids` and the texts there, in any order.

    The table is read once, and no Python string is made.
    """
    wanted = pa.table({"place": np.arange(len(ids)), "id": ids})
    for batch in store.stream(_TEXTS[kind], wanted, READ_ROWS):
        yield batch["place"].to_numpy(), batch["text"]


def _document(row: Mapping[str, object]) -> Row:
    told: list[str] = []
    if row["brief_id"] is not None:
        told = [
            *chain.from_iterable(map(_fixed_words, _DOCUMENT_PROMPTS)),
            *(str(row[name]) for name in _BRIEF_FIELDS if row[name] is not None),
        ]
    return Row(
        str(row["id"]), "documents", str(row["text"]), instructions=tuple(told), opening=str(row["opening"])
    )  # fmt: skip


def _chat(row: Mapping[str, object]) -> Row:
    messages = cast("list[dict[str, str]]", row["messages"])
    answers = tuple(message["content"] for message in messages if message["role"] == "assistant")
    asked = [message["content"] for message in messages if message["role"] != "assistant"]
    told: list[str] = []
    if row["brief_id"] is not None:
        kinds = prompts.question_kinds()
        told = list(chain.from_iterable(map(_fixed_words, _CHAT_PROMPTS)))
        told += [kinds[kind] for kind in [str(row["question_kind"])] if kind in kinds]
    return Row(
        str(row["id"]), "chats", "\n\n".join(answers), "\n\n".join(asked), answers, tuple(told),
        reasoning=bool(row["reasoning"]),
    )  # fmt: skip


@lru_cache
def _fixed_words(name: str) -> tuple[str, ...]:
    """What a prompt says whatever its values are."""
    prompt = prompts.load(name)
    return tuple(piece for piece in _PLACE.split(f"{prompt.system}\n{prompt.user}") if piece.strip())
