"""What each Unicode character is to the kernel: part of a word, white space, or a case for Python.

A text in which every character is normalised by itself, combines with none and folds to one character is normalised as
it stands, and folds character by character: such a text the kernel reads alone. Accented letters, Greek, Cyrillic,
Chinese, quotation marks, dashes and emoji are of that kind; combining marks, Korean jamo and letters such as the German
sharp s are not, and a text that holds one is normalised and folded by Python first.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from filters.text import ALONE_PATTERN, APOSTROPHES, WORD_PATTERN

_LOOKED_AT = 0x20000
"""Characters from here on (rare ideographs) are left to Python, which spares looking at a million of them."""
_JAMO = range(0x1100, 0x1200)
"""Korean letters that join to syllables, though they are no combining marks."""


@dataclass(frozen=True)
class Characters:
    """Two arrays over all code points."""

    folds: NDArray[np.int64]
    """The character that each folds to; itself where Python has to do it."""
    classes: NDArray[np.uint8]
    """Bits of `filters.copies.kernel`."""


@lru_cache(maxsize=1)
def characters() -> Characters:
    """The tables of this Python's Unicode; made once a process."""
    from filters.copies import kernel

    num_points = sys.maxunicode + 1
    everything = np.arange(num_points, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    classes = np.zeros(num_points, np.uint8)
    for pattern, bit in ((WORD_PATTERN, kernel.WORD), (ALONE_PATTERN, kernel.ALONE), (r"\s", kernel.SPACE)):
        for run in re.finditer(f"(?:{pattern})+", everything):
            classes[run.start() : run.end()] |= bit
    classes[[ord(mark) for mark in APOSTROPHES]] |= kernel.APOSTROPHE
    classes[_LOOKED_AT:] |= kernel.COMPLEX
    folds = np.arange(num_points)
    for point, character in enumerate(everything[:_LOOKED_AT]):
        folded = character.casefold()
        if len(folded) == 1:
            folds[point] = ord(folded)
        if len(folded) != 1 or not _stands_alone(character):
            classes[point] |= kernel.COMPLEX
    classes[_JAMO.start : _JAMO.stop] |= kernel.COMPLEX
    return Characters(folds, classes)


def _stands_alone(character: str) -> bool:
    return unicodedata.category(character)[0] != "M" and unicodedata.is_normalized("NFC", character)
