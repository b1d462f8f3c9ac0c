"""Structured replies: flat JSON schemas of one list, and reading such a list item by item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from corpus.foreign import has_half_character, read_json

Item = Mapping[str, object]


class Unreadable(Exception):
    """A reply that holds nothing usable; the message says why."""


_TYPES: Mapping[str, Mapping[str, object]] = {
    "string": {"type": "string"},
    "integers": {"type": "array", "items": {"type": "integer"}},
}


def list_of(name: str, count: int | None, /, **fields: str) -> dict[str, object]:
    """The schema of an object with one list, whose items have these fields and no others."""
    item = {
        "type": "object",
        "properties": {key: dict(_TYPES[kind]) for key, kind in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }
    return list_schema(name, item, count)


def list_schema(name: str, item: Mapping[str, object], count: int | None) -> dict[str, object]:
    """At least one item, and at most `count`: more constraints than these not every server takes."""
    bounds = {"minItems": 1} if count is None else {"minItems": 1, "maxItems": count}
    return {
        "type": "object",
        "properties": {name: {"type": "array", "items": dict(item), **bounds}},
        "required": [name],
        "additionalProperties": False,
    }


def read_items(
    reply: str, schema: Mapping[str, object], check: Callable[[Item], str | None]
) -> tuple[list[Item], list[str]]:
    """A reply's usable items, and what is wrong with the others; a plain string becomes an item with `value`.

    Raises:
        Unreadable: there is no usable item.
    """
    (name, within), = cast("dict[str, dict[str, object]]", schema["properties"]).items()  # fmt: skip
    try:
        whole = read_json(reply)
    except ValueError as error:
        raise Unreadable(f"not JSON: {error}") from None
    given = whole.get(name) if isinstance(whole, dict) else None
    if not isinstance(given, list):
        raise Unreadable(f"no list '{name}' in it")
    expected = cast("dict[str, object]", within["items"])
    usable: list[Item] = []
    problems: list[str] = []
    for number, one in enumerate(given, 1):
        item: object = {"value": one} if expected["type"] == "string" and isinstance(one, str) else one
        problem = _shape_problem(item, expected) or check(cast("Item", item))
        if problem is None:
            usable.append(cast("Item", item))
        else:
            problems.append(f"item {number}: {problem}")
    if not usable:
        raise Unreadable(f"no usable item among {len(given)}: {'; '.join(problems[:3]) or 'the list is empty'}")
    return usable, problems


def _shape_problem(item: object, expected: Mapping[str, object]) -> str | None:
    """What an item lacks of what its schema asks for; servers without structured output send anything."""
    if not isinstance(item, dict):
        return f"{item!r:.60} is no object"
    for key, value in item.items():
        if isinstance(value, str) and has_half_character(value):
            return f"{key!r:.60} holds half of a surrogate pair"
    for key, kind in cast("dict[str, Mapping[str, object]]", expected.get("properties", {})).items():
        value = item.get(key)
        if kind["type"] == "string" and not (isinstance(value, str) and value.strip()):
            return f"no '{key}'"
        if kind["type"] == "array" and not (
            isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
        ):
            return f"'{key}' is no list of numbers"
    return None
