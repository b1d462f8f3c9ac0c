"""The items our evals ask about: forced choices between two courses of action, and control texts.

An item file is JSON Lines: one object a line, every field a non-empty string. The two that are read by
default lie in `eval/items/`. A cluster groups items that stand or fall together; errors are computed between
clusters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from corpus.errors import SpecmillError
from corpus.store.identity import content_id

ITEMS_FOLDER = Path(__file__).parent / "items"

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


class ControlItem(Item):
    """A passage in the register of a spec's clauses on an unrelated subject."""

    text: Text
    """60 to 120 words in the files of ours."""


AnyItem = TypeVar("AnyItem", PreferenceItem, ControlItem)


def load_preference(path: Path | None = None) -> list[PreferenceItem]:
    """Read forced-choice items, in the file's order; our own 72 in 9 clusters when `path` is None.

    Raises:
        ItemError: the file cannot be read, holds no item, repeats an id, or a line breaks the model.
    """
    source = path or ITEMS_FOLDER / "preference.jsonl"
    items = _load(source, PreferenceItem)
    for line_number, item in items.items():
        if item.aligned.split() == item.other.split():
            raise ItemError(
                f"{source}, line {line_number}, field other: the two options of {item.item_id!r} are equal "
                f"up to white space ({item.other!r}); write two different ones"
            )
    return list(items.values())


def load_control(path: Path | None = None) -> list[ControlItem]:
    """Read control texts, in the file's order; our own 24 in 8 clusters when `path` is None.

    Raises:
        ItemError: as for `load_preference`.
    """
    return list(_load(path or ITEMS_FOLDER / "control.jsonl", ControlItem).values())


def item_hash(*items: PreferenceItem | ControlItem) -> str:
    """Hash of the items' whole content, in their order: part of a score's key, for one item or a set."""
    return content_id("items", *(item.model_dump() for item in items))


def _load(source: Path, model: type[AnyItem]) -> dict[int, AnyItem]:
    """The items by line number, counted from 1; blank lines are passed over."""
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ItemError(f"{source}: cannot be read ({error}); give a JSON Lines file in UTF-8") from error
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
        seen = repr(first["input"])
        raise ItemError(
            f"{where}: {first['msg']}; seen: {seen if len(seen) <= 80 else seen[:77] + '...'}; "
            f"an item has the fields {_fields(model)}, each a non-empty string"
        ) from invalid


def _fields(model: type[Item]) -> str:
    return ", ".join(model.model_fields)
