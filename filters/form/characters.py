"""What kind of character each code point is, as a table that compiled kernels look up."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

SPACE, SYMBOL, ALPHABETIC, SENTENCE_END, IDEOGRAPH = (1 << bit for bit in range(5))
"""The bits of a character's kind. A symbol is punctuation, a sign or a control character; an ideograph (Chinese,
Japanese) is a word by itself."""
NUM_KNOWN = 0x34000
"""Code points from here on (private use, tags) are of no kind."""

_SENTENCE_ENDS = (
    "21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 "
    "17d4-17d6 17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f "
    "203c-203d 2047-2049 2e2e 2e3c 2e53-2e54 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f "
    "a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f ff61"
)
"""Unicode's property Sentence_Terminal up to U+FFFF: hexadecimal code points and ranges."""


def code_points(text: str) -> NDArray[np.uint32]:
    """The characters of a text as numbers, (characters,); a lone surrogate is one too."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def kinds(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """The kind of each character, (characters,)."""
    return cast("NDArray[np.uint8]", _table()[np.minimum(codes, NUM_KNOWN)])


NO_CHARACTER = np.uint32(0xFFFFFFFF)
"""Behind the end of a phrase; a NUL is a character that a text may hold."""


def patterns(phrases: Sequence[str]) -> NDArray[np.uint32]:
    """One row of code points for each phrase, (phrases, longest), filled up with NO_CHARACTER."""
    rows = np.full((len(phrases), max(map(len, phrases))), NO_CHARACTER)
    for row, phrase in zip(rows, phrases, strict=True):
        row[: len(phrase)] = code_points(phrase)
    return rows


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint8]:
    table = np.zeros(NUM_KNOWN + 1, dtype=np.uint8)
    table[:NUM_KNOWN] = [_kind(chr(code)) for code in range(NUM_KNOWN)]
    for ends in _SENTENCE_ENDS.split():
        first, _, last = ends.partition("-")
        table[int(first, 16) : int(last or first, 16) + 1] |= SENTENCE_END
    for first_code, end_code in ((0x3040, 0x3100), (0x3400, 0xA000)):
        table[first_code:end_code] |= IDEOGRAPH
    return table


def _kind(char: str) -> int:
    category = unicodedata.category(char)
    kind = SYMBOL if category[0] in "PS" or category == "Cc" else 0
    kind |= SPACE if char.isspace() else 0
    return kind | (ALPHABETIC if char.isalpha() else 0)
