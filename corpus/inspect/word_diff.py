"""What differs between two texts, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

MAX_WORDS = 400
"""Words compared of each text: comparing takes the square of it."""
_AROUND = 8
"""Words shown on each side of a difference; what lies between is an ellipsis."""


class Piece(NamedTuple):
    """A stretch that both texts have, or one of them."""

    kind: Literal["both", "first", "second", "skipped"]
    text: str


def word_diff(first: str, second: str) -> list[Piece]:
    """The pieces of two texts in order, equal stretches shortened."""
    one, other = (re.findall(r"\S+", text)[:MAX_WORDS] for text in (first, second))
    pieces: list[Piece] = []
    for kind, start, end, begin, stop in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces += _shortened(one[start:end], is_first=start == 0, is_last=end == len(one))
        else:
            pieces += [Piece("first", " ".join(one[start:end]))] if end > start else []
            pieces += [Piece("second", " ".join(other[begin:stop]))] if stop > begin else []
    return pieces


def _shortened(words: list[str], *, is_first: bool, is_last: bool) -> list[Piece]:
    head, tail = ([] if is_first else words[:_AROUND]), ([] if is_last else words[-_AROUND:])
    if len(words) <= len(head) + len(tail) + _AROUND:
        return [Piece("both", " ".join(words))]
    left_out = Piece("skipped", f"… {len(words) - len(head) - len(tail)} equal words …")
    return [*([Piece("both", " ".join(head))] if head else []), left_out,
            *([Piece("both", " ".join(tail))] if tail else [])]  # fmt: skip
