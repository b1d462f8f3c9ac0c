"""What others wrote (models, servers, files), read so that nothing in it can stop a run."""

from __future__ import annotations

import json
import re

_HALF = re.compile(r"[\ud800-\udfff]")
"""Half of a surrogate pair: JSON can carry one (`\\ud83d`), no UTF-8 file can."""


def read_json(data: str | bytes) -> object:
    """A JSON value.

    Raises:
        ValueError: it does not read, or is nested deeper than Python follows.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def has_half_character(text: str) -> bool:
    """Whether half of a surrogate pair stands in a text: no row can hold it."""
    return _HALF.search(text) is not None


def without_half_characters(text: str) -> str:
    """`text` with U+FFFD for every half of a surrogate pair."""
    return _HALF.sub("\N{REPLACEMENT CHARACTER}", text)
