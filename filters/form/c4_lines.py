"""Compiled: what C4 (arXiv 1910.10683) would do to each line of a text, and what it would be left with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.compiled import compiled
from filters.form.characters import NO_CHARACTER, SPACE, patterns
from filters.form.hashed import Codes, Places
from filters.form.spans import Kinds, count_sentences, strip

KEPT, LONG_WORD, UNPUNCTUATED, FEW_WORDS, LOREM_IPSUM, JAVASCRIPT, CURLY_BRACKET, POLICY, SENTENCES = range(9)
"""What is counted: lines by what becomes of them, those that cost the document, and sentences in those kept."""
NUM_COUNTS = 9
MAX_WORD_CHARS, MIN_LINE_WORDS = 1_000, 3
"""Both stand in C4's code as numbers; the measures count lines by them."""
_CITATIONS = patterns(["[edit]", "[citation needed]"])
_PHRASES = patterns(
    ["lorem ipsum", "javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
     "use cookies"]
)  # fmt: skip
_SQUARE, _CURLY, _DOT = ord("["), ord("{"), ord(".")


@compiled
def measure_c4_lines(
    text: Codes, kinds: Kinds, starts: Places, ends: Places, num_lines: int, counts: NDArray[np.int64]
) -> None:
    """Count each line at the first rule that removes it, or as kept.

    "lorem ipsum" or a curly bracket in a line that no rule before has removed costs C4 the whole document; here such
    lines are counted besides.
    """
    counts[:] = 0
    longest = 0
    for line in range(num_lines):
        longest = max(longest, ends[line] - starts[line])
    cleaned, cleaned_kinds = np.empty(longest, np.uint32), np.empty(longest, np.uint8)
    for line in range(num_lines):
        start, end = strip(kinds, starts[line], ends[line])
        num_words, longest_word = _words_of(kinds, start, end)
        size = _without_citations(text, kinds, start, end, cleaned, cleaned_kinds)
        if longest_word > MAX_WORD_CHARS:
            counts[LONG_WORD] += 1
        elif not _ends_sentence(cleaned, size):
            counts[UNPUNCTUATED] += 1
        elif num_words < MIN_LINE_WORDS:
            counts[FEW_WORDS] += 1
        else:
            lorem_ipsum, javascript, curly_bracket, policy = _find_phrases(cleaned, size)
            counts[LOREM_IPSUM] += lorem_ipsum
            counts[CURLY_BRACKET] += curly_bracket and not javascript
            if javascript or policy:
                counts[JAVASCRIPT if javascript else POLICY] += 1
            else:
                counts[KEPT] += 1
                counts[SENTENCES] += count_sentences(cleaned, cleaned_kinds, 0, size)


@compiled
def _words_of(kinds: Kinds, start: int, end: int) -> tuple[int, int]:
    """Runs without white space: how many, and the longest (characters)."""
    num, longest, size = 0, 0, 0
    for i in range(start, end):
        if kinds[i] & SPACE:
            size = 0
        else:
            num += size == 0
            size += 1
            longest = max(longest, size)
    return num, longest


@compiled
def _matches(text: Codes, start: int, end: int, phrase: Codes, fold: bool) -> int:
    """Where the phrase ends that stands at `start`, or 0; `fold`: capitals of ASCII count as small letters."""
    for offset in range(len(phrase)):
        wanted = phrase[offset]
        if wanted == NO_CHARACTER:
            return start + offset
        if start + offset >= end:
            return 0
        char = text[start + offset]
        if fold and 0x41 <= char <= 0x5A:
            char += np.uint32(0x20)
        if char != wanted:
            return 0
    return start + len(phrase)


@compiled
def _without_citations(text: Codes, kinds: Kinds, start: int, end: int, cleaned: Codes, cleaned_kinds: Kinds) -> int:
    """Copy a line without Wikipedia's marks ([3], [], [edit], [citation needed]); returns how long it is then."""
    size, i = 0, start
    while i < end:
        if text[i] == _SQUARE:
            after = i + 1
            while after < end and 0x30 <= text[after] <= 0x39:
                after += 1
            after = after + 1 if after < end and text[after] == 0x5D else 0
            for phrase in range(len(_CITATIONS)):
                after = max(after, _matches(text, i, end, _CITATIONS[phrase], False))
            if after:
                i = after
                continue
        cleaned[size] = text[i]
        cleaned_kinds[size] = kinds[i]
        size += 1
        i += 1
    return size


@compiled
def _ends_sentence(line: Codes, size: int) -> bool:
    """Whether the last character is . ! ? or a straight quotation mark, and the line ends in no three dots."""
    if size == 0:
        return False
    last = line[size - 1]
    if last == _DOT:
        return not (size >= 3 and line[size - 2] == _DOT and line[size - 3] == _DOT)
    return bool(last == 0x21 or last == 0x3F or last == 0x22 or last == 0x27)


@compiled
def _find_phrases(line: Codes, size: int) -> tuple[bool, bool, bool, bool]:
    """Whether a line holds "lorem ipsum", "javascript", a curly bracket, a phrase of policies."""
    lorem_ipsum = javascript = curly_bracket = policy = False
    for i in range(size):
        char = line[i]
        if 0x41 <= char <= 0x5A:
            char += np.uint32(0x20)
        curly_bracket = curly_bracket or char == _CURLY
        for phrase in range(len(_PHRASES)):
            if _PHRASES[phrase, 0] == char and _matches(line, i, size, _PHRASES[phrase], True):
                lorem_ipsum = lorem_ipsum or phrase == 0
                javascript = javascript or phrase == 1
                policy = policy or phrase > 1
    return lorem_ipsum, javascript, curly_bracket, policy
