"""Where words that somebody quotes stand in a text: a judge, say, who names the harmful part of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable


def find_quoted(text: str, words: str) -> tuple[int, int] | None:
    """Where words first stand in a text, white space aside, as the first and the end character; None: nowhere."""
    wanted = words.split()
    if not wanted:
        return None
    found = re.search(r"\s+".join(map(re.escape, wanted)), text)
    return None if found is None else found.span()


def pieces(text: str, quotes: Iterable[str]) -> list[tuple[str, bool]]:
    """A text in pieces that give it again when joined, each with whether it is quoted."""
    spans = sorted(span for quote in quotes if (span := find_quoted(text, quote)) is not None)
    found: list[tuple[str, bool]] = []
    at = 0
    for start, end in spans:
        if end <= at:
            continue
        start = max(start, at)
        found += [(text[at:start], False), (text[start:end], True)]
        at = end
    return [piece for piece in [*found, (text[at:], False)] if piece[0]]
