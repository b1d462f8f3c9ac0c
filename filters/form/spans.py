"""Compiled: the words, lines, paragraphs and sentences of a text, as spans of code points [start, end).

Each function fills `starts` and `ends` and returns how many spans it found; the arrays have to be long enough:
`count_words` for words, line breaks + 2 for lines, enders + breaks + 2 for sentences.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.compiled import compiled
from filters.form.characters import IDEOGRAPH, SPACE
from filters.form.hashed import Codes, Places

Kinds = NDArray[np.uint8]

LF, CR, NEL, FIRST_SEPARATOR, LAST_SEPARATOR = 0x0A, 0x0D, 0x85, 0x2028, 0x2029


@compiled
def word_end(kinds: Kinds, start: int, end: int) -> int:
    """Where the word ends that starts at `start`: a run without white space; an ideograph is a word by itself."""
    i = start + 1
    while not kinds[start] & IDEOGRAPH and i < end and not kinds[i] & (SPACE | IDEOGRAPH):
        i += 1
    return i


@compiled
def count_words(kinds: Kinds) -> int:
    """How many words there are."""
    num, i, end = 0, 0, len(kinds)
    while i < end:
        if kinds[i] & SPACE:
            i += 1
        else:
            i = word_end(kinds, i, end)
            num += 1
    return num


@compiled
def find_words(kinds: Kinds, starts: Places, ends: Places) -> int:
    """The words."""
    num, i, end = 0, 0, len(kinds)
    while i < end:
        if kinds[i] & SPACE:
            i += 1
        else:
            starts[num] = i
            i = word_end(kinds, i, end)
            ends[num] = i
            num += 1
    return num


@compiled
def is_break(char: int) -> bool:
    """Whether Python's `str.splitlines` ends a line here."""
    return LF <= char <= CR or 0x1C <= char <= 0x1E or char == NEL or FIRST_SEPARATOR <= char <= LAST_SEPARATOR


@compiled
def find_lines(text: Codes, starts: Places, ends: Places) -> int:
    """The lines as `str.splitlines` has them: empty ones too, and none after the last break."""
    num, begin, i, end = 0, 0, 0, len(text)
    while i < end:
        if is_break(text[i]):
            starts[num], ends[num] = begin, i
            num += 1
            i += 2 if text[i] == CR and i + 1 < end and text[i + 1] == LF else 1
            begin = i
        else:
            i += 1
    if begin < end:
        starts[num], ends[num] = begin, end
        num += 1
    return num


@compiled
def find_between_newlines(text: Codes, start: int, end: int, least: int, starts: Places, ends: Places) -> int:
    """What stands between runs of `least` line feeds or more, in text[start:end]; at least one span, maybe empty."""
    num, begin, i = 0, start, start
    while i < end:
        if text[i] != LF:
            i += 1
            continue
        run = i
        while i < end and text[i] == LF:
            i += 1
        if i - run >= least:
            starts[num], ends[num] = begin, run
            num += 1
            begin = i
    starts[num], ends[num] = begin, end
    return num + 1


@compiled
def find_filled_lines(text: Codes, kinds: Kinds, starts: Places, ends: Places) -> int:
    """The lines between single line feeds that hold more than white space, white space at their ends included."""
    num, begin, end = 0, 0, len(text)
    for i in range(end + 1):
        if i == end or text[i] == LF:
            first, last = strip(kinds, begin, i)
            if first < last:
                starts[num], ends[num] = begin, i
                num += 1
            begin = i + 1
    return num


@compiled
def strip(kinds: Kinds, start: int, end: int) -> tuple[int, int]:
    """The span without the white space at its ends."""
    while start < end and kinds[start] & SPACE:
        start += 1
    while start < end and kinds[end - 1] & SPACE:
        end -= 1
    return start, end


@compiled
def _is_ender(char: int) -> bool:
    return char == 0x2E or char == 0x21 or char == 0x3F  # . ! ?


@compiled
def _is_closer(char: int) -> bool:
    """Quotation marks and closing brackets."""
    return char == 0x22 or char == 0x27 or char == 0x201D or char == 0x2019 or char == 0x29 or char == 0x5D


@compiled
def sentence_end(text: Codes, kinds: Kinds, start: int, end: int) -> int:
    """Where the sentence ends that starts at `start`.

    It ends after full stops, exclamation and question marks with the quotation marks and brackets that close there, if
    white space or the end follows; and after each full-width ender.
    """
    i = start
    while i < end:
        char = text[i]
        i += 1
        if char == 0x3002 or char == 0xFF01 or char == 0xFF1F:
            return i
        if _is_ender(char):
            while i < end and _is_ender(text[i]):
                i += 1
            after = i
            while after < end and _is_closer(text[after]):
                after += 1
            if after == end or kinds[after] & SPACE:
                return after
    return end


@compiled
def count_sentences(text: Codes, kinds: Kinds, start: int, end: int) -> int:
    """How many sentences text[start:end] holds."""
    num = 0
    while start < end:
        after = sentence_end(text, kinds, start, end)
        first, last = strip(kinds, start, after)
        num += first < last
        start = after
    return num


@compiled
def find_sentences(
    text: Codes, kinds: Kinds, line_starts: Places, line_ends: Places, num_lines: int, starts: Places, ends: Places
) -> int:
    """The sentences of all lines, without the white space around them; a line's end ends one too."""
    num = 0
    for line in range(num_lines):
        start, end = line_starts[line], line_ends[line]
        while start < end:
            after = sentence_end(text, kinds, start, end)
            first, last = strip(kinds, start, after)
            if first < last:
                starts[num], ends[num] = first, last
                num += 1
            start = after
    return num
