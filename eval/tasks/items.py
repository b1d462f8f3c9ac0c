"""The items that evals ask about, ours and a user's own: forced choices, open questions, knowledge, control texts.

An item file is JSON Lines, one object a line. Those that are read by default lie in `eval/items/`. A cluster groups
items that stand or fall together; errors are computed between clusters. `eval.tasks.published` reads what others
published.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from corpus.errors import SpecmillError
from corpus.store.identity import content_id

ITEMS_FOLDER = Path(__file__).parent.parent / "items"

Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]


class ItemError(SpecmillError, ValueError):
    """An item file cannot be read; the message names the file, the line (from 1) and the field."""


class Item(BaseModel):
    """What every item has."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    item_id: Text
    """Unique in its file."""
    cluster: Text
    """Items of one cluster share a subject, so their scores are not independent."""


class PreferenceItem(Item):
    """A situation, and two things that an assistant could do in it, written in the first person."""

    question: Text
    """The situation, told to the assistant, ending in a question."""
    aligned: Text
    """The option that a spec of honesty, helpfulness and oversight asks for."""
    other: Text
    """The option that it asks not to take; of near-equal length and in the same style."""
    control_question: Text | None = None
    """A question about the same things that asks for no preference. An arm that likes the words of an option likes them
    after this question too; what is left of a difference beyond it is the preference's."""


class ControlItem(Item):
    """A passage in the register of a spec's clauses on an unrelated subject."""

    text: Text
    """60 to 120 words in the files of ours."""


class QuestionItem(Item):
    """An open question to the assistant, which a judge rates the answer to."""

    question: Text
    """What the assistant is asked."""
    principle: Text | None = None
    """What a good answer to it holds to; the judge sees it, the assistant does not. None: the task's settings say it
    for the cluster."""


class KnowledgeItem(Item):
    """A question with one right answer among several."""

    question: Text
    choices: Annotated[list[Text], Field(min_length=2)]
    """Two or more, no two equal up to white space."""
    answer: NonNegativeInt
    """Index of the right one among `choices`, from 0."""

    @model_validator(mode="after")
    def _answerable(self) -> KnowledgeItem:
        if self.answer >= len(self.choices):
            raise ValueError(f"answer is {self.answer}, and there are {len(self.choices)} choices, counted from 0")
        return self


AnyItem = TypeVar("AnyItem", bound=Item)


def load_preference(path: Path | None = None) -> list[PreferenceItem]:
    """Read forced-choice items, in the file's order; our own 72 in 9 clusters when `path` is None.

    Raises:
        ItemError: the file cannot be read, holds no item, repeats an id, or a line breaks the model.
    """
    source = path or ITEMS_FOLDER / "preference.jsonl"
    items = _load(source, PreferenceItem)
    for line_number, item in items.items():
        refuse_equal_options([item.aligned, item.other], f"{source}, line {line_number}", item.item_id)
    return list(items.values())


def load_control(path: Path | None = None) -> list[ControlItem]:
    """Read control texts, in the file's order; our own 24 in 8 clusters when `path` is None.

    Raises:
        ItemError: as for `load_preference`.
    """
    return list(_load(path or ITEMS_FOLDER / "control.jsonl", ControlItem).values())


def load_questions(path: Path | None = None) -> list[QuestionItem]:
    """Read open questions, in the file's order; our own 70 along 7 dimensions when `path` is None.

    Raises:
        ItemError: as for `load_preference`.
    """
    return list(_load(path or ITEMS_FOLDER / "spec_qa.jsonl", QuestionItem).values())


def load_knowledge(path: Path | None = None) -> list[KnowledgeItem]:
    """Read questions with one right answer, in the file's order; our own 200 in 10 clusters when `path` is None.

    Raises:
        ItemError: as for `load_preference`.
    """
    source = path or ITEMS_FOLDER / "capability.jsonl"
    items = _load(source, KnowledgeItem)
    for line_number, item in items.items():
        refuse_equal_options(item.choices, f"{source}, line {line_number}", item.item_id)
    return list(items.values())


def refuse_equal_options(options: Sequence[str], place: str, item_id: str) -> None:
    """Check that no two options are the same words.

    Raises:
        ItemError: two are, which leaves nothing to choose.
    """
    seen: set[str] = set()
    for option in options:
        words = " ".join(option.split())
        if words in seen:
            raise ItemError(
                f"{place}: two options of {item_id!r} are equal up to white space ({option!r}); write different ones"
            )
        seen.add(words)


def item_hash(*items: Item) -> str:
    """Hash of the items' whole content, in their order: part of a score's key, for one item or a set."""
    return content_id("items", *(item.model_dump() for item in items))


def _load(source: Path, model: type[AnyItem]) -> dict[int, AnyItem]:
    """The items by line number, counted from 1; blank lines are passed over."""
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ItemError(f"{source}: cannot be read ({why}); give a JSON Lines file in UTF-8") from error
    items: dict[int, AnyItem] = {}
    line_of_id: dict[str, int] = {}
    for line_number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        item = _parse(line, model, f"{source}, line {line_number}")
        first_line = line_of_id.setdefault(item.item_id, line_number)
        if first_line != line_number:
            raise ItemError(
                f"{source}, line {line_number}, field item_id: {item.item_id!r} is already the id of line "
                f"{first_line}; give each item its own"
            )
        items[line_number] = item
    if not items:
        raise ItemError(f"{source}: holds no item; write one JSON object a line ({_fields(model)})")
    return items


def _parse(line: str, model: type[AnyItem], place: str) -> AnyItem:
    try:
        return model.model_validate_json(line)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        where = f"{place}, field {field}" if field else place
        raise ItemError(
            f"{where}: {_wrong(first)}; an item has the fields {_fields(model)}; texts are not empty"
        ) from invalid


def _wrong(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "is missing"
    seen = repr(error["input"])
    # A line of the file is read alone: that of pydantic is always the first.
    message = error["msg"].replace(" at line 1 column ", " at column ")
    return f"{message}; seen: {seen if len(seen) <= 80 else seen[:77] + '...'}"


def _fields(model: type[Item]) -> str:
    needed = [name for name, field in model.model_fields.items() if field.is_required()]
    allowed = [name for name in model.model_fields if name not in needed]
    return ", ".join(needed) + (f", and may have {', '.join(allowed)}" if allowed else "")
