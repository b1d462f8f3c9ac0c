"""The texts that a corpus must not hold because something is measured on them: questions, answers, held-out clauses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pydantic import Field

from corpus.errors import DataError, nearest
from corpus.recipe import Section
from corpus.store import Store

Role = Literal["question", "answer", "held_out"]
OWN_ITEMS = Path(__file__).resolve().parents[2] / "eval" / "items"
"""Read as data: the rooms share a checkout, and this one imports nothing of that one."""
_ID_FIELDS = ("item_id", "id")


class ItemFile(Section):
    """A file of eval items: JSON Lines, one object a line."""

    path: Path = Field(exclude=True)
    """The file, beside the recipe."""
    question: str = "question"
    """The field that holds what is asked."""
    answers: tuple[str, ...] = ()
    """The fields that hold answers or options: a text, or a list of texts."""


OWN_FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "preference.jsonl": ("question", ("aligned", "other")),
    "control.jsonl": ("text", ()),
    "spec_qa.jsonl": ("question", ("principle",)),
    "capability.jsonl": ("question", ()),
}
"""The fields of our own item files: question and answers."""


@dataclass(frozen=True, slots=True)
class EvalText:
    """One text that something is measured on."""

    role: Role
    item: str
    """Which item it is of: `file:id`, or a clause's id."""
    text: str


def own_files() -> list[ItemFile]:
    """The items that our own tasks ask about."""
    return [
        ItemFile(path=OWN_ITEMS / name, question=question, answers=answers)
        for name, (question, answers) in OWN_FIELDS.items()
    ]


def read_items(file: ItemFile) -> Iterator[EvalText]:
    """The questions and answers of one file, in its order; blank lines are passed over.

    Raises:
        DataError: the file cannot be read, a line is no JSON object, or a field that is named is not there or holds
            no text. The message names the line, counted from 1.
    """
    where = f"contamination.files: {file.path}"
    try:
        lines = file.path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(
            f"{where} cannot be read ({error.strerror}); give a JSON Lines file beside the recipe"
        ) from None
    num_items = 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            num_items += 1
            yield from _read_item(file, line, f"{where}, line {number}", number)
    if not num_items:
        raise DataError(f"{where} holds no item; write one JSON object a line")


def _read_item(file: ItemFile, line: bytes, where: str, number: int) -> Iterator[EvalText]:
    try:
        item = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where} is not JSON ({error}); write one JSON object a line") from None
    if not isinstance(item, dict):
        raise DataError(f"{where} holds {item!r:.60}; write one JSON object a line")
    name = next((str(item[field]) for field in _ID_FIELDS if field in item), str(number))
    for role, field in (("question", file.question), *(("answer", field) for field in file.answers)):
        if field not in item:
            raise DataError(f"{where} has no field '{field}'; {nearest(field, map(str, item))}")
        texts = item[field] if isinstance(item[field], list) else [item[field]]
        for text in texts:
            if not isinstance(text, str):
                raise DataError(f"{where}: the field '{field}' should hold text; it holds {text!r:.60}")
            yield EvalText(cast("Role", role), f"{file.path.name}:{name}", text)


def held_out_clauses(store: Store) -> list[EvalText]:
    """The clauses that no prompt shows, whose wording is measured."""
    rows = store.rows("SELECT clause_id, text FROM clauses WHERE split = 'held_out' ORDER BY ordinal")
    return [EvalText("held_out", str(row["clause_id"]), str(row["text"])) for row in rows]


def shown_clauses(store: Store) -> list[str]:
    """The texts of the clauses that are not held out."""
    return [
        str(row["text"]) for row in store.rows("SELECT text FROM clauses WHERE split <> 'held_out' ORDER BY ordinal")
    ]


def clause_texts(store: Store) -> list[str]:
    """Every clause of the run's spec, in its order."""
    return [str(row["text"]) for row in store.rows("SELECT text FROM clauses ORDER BY ordinal")]
