"""Words, lines and sentences as every filter counts them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Chinese and Japanese are written without spaces: each of their characters counts as a word.
_CJK = r"\u3040-\u30ff\u3400-\u9fff"
ALONE_PATTERN = f"[{_CJK}]"
"""A character that is a word by itself."""
WORD_PATTERN = rf"[^\W_{_CJK}]"
"""A character of a word of several; apostrophes join two runs of them."""
APOSTROPHES = "'\u2019"
_WORD = re.compile(rf"{ALONE_PATTERN}|{WORD_PATTERN}+(?:[{APOSTROPHES}]{WORD_PATTERN}+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")


def words(text: str) -> list[str]:
    """The words of a text in order: letters and digits, NFC, case folded; punctuation is left out."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def lines(text: str) -> list[str]:
    """The lines that hold something, without the white space around them."""
    return [line for line in (part.strip() for part in text.splitlines()) if line]


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line's end ends one too."""
    return [sentence for sentence in (part.strip() for part in _SENTENCE_END.split(text)) if sentence]


def snippet(text: str, start: int, end: int, margin_chars: int = 30) -> str:
    """What stands at [start, end) with a little around it, on one line, at most 200 characters."""
    return " ".join(text[max(0, start - margin_chars) : end + margin_chars].split())[:200]


def longest_shared_span(these: Sequence[str], those: Sequence[str]) -> list[str]:
    """The longest run of words that stands in both; of several, the first in `these`."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(those):
        places.setdefault(word, []).append(place)
    longest = end = 0
    ending_before: dict[int, int] = {}  # place in `those` -> words shared up to there and to the word before
    for index, word in enumerate(these):
        ending_here = {place: ending_before.get(place - 1, 0) + 1 for place in places.get(word, ())}
        for length in ending_here.values():
            if length > longest:
                longest, end = length, index + 1
        ending_before = ending_here
    return list(these[end - longest : end])
