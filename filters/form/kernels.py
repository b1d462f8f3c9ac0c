"""Compiled: every measure of a text at once, in a few passes over its code points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.compiled import compiled
from filters.form import c4_lines as c4
from filters.form.c4_lines import measure_c4_lines
from filters.form.characters import ALPHABETIC, NO_CHARACTER, SENTENCE_END, SYMBOL, patterns
from filters.form.hashed import Codes, Places, extend_ngrams, find_repeated, find_slot, hash_span, mixed
from filters.form.spans import (
    LF,
    Kinds,
    count_words,
    find_between_newlines,
    find_filled_lines,
    find_lines,
    find_sentences,
    find_words,
    is_break,
    strip,
)

NAMES = (
    "words", "mean_word_chars", "hashes_per_word", "ellipses_per_word", "bullet_line_fraction",
    "ellipsis_line_fraction", "alphabetic_word_fraction", "stop_words", "duplicate_line_fraction",
    "duplicate_line_char_fraction", "duplicate_paragraph_fraction", "duplicate_paragraph_char_fraction",
    "duplicate_sentence_char_fraction", "top_2gram_fraction", "top_3gram_fraction", "top_4gram_fraction",
    "duplicate_5gram_fraction", "duplicate_6gram_fraction", "duplicate_7gram_fraction", "duplicate_8gram_fraction",
    "duplicate_9gram_fraction", "duplicate_10gram_fraction", "punctuated_line_fraction", "short_line_fraction",
    "duplicate_filled_line_char_fraction", "newlines_per_word", "c4_sentences", "c4_kept_line_fraction",
    "lorem_ipsum_lines", "curly_bracket_lines", "long_word_lines", "unpunctuated_lines", "few_word_lines",
    "javascript_lines", "policy_lines",
)  # fmt: skip
"""What is measured, in the order of the columns."""
(
    _WORDS, _MEAN_WORD_CHARS, _HASHES, _ELLIPSES, _BULLET_LINES, _ELLIPSIS_LINES, _ALPHABETIC_WORDS, _STOP_WORDS,
    _LINES, _LINE_CHARS, _PARAGRAPHS, _PARAGRAPH_CHARS, _SENTENCE_CHARS, _TOP_2, _TOP_3, _TOP_4, _DUPLICATE_5,
    _DUPLICATE_6, _DUPLICATE_7, _DUPLICATE_8, _DUPLICATE_9, _DUPLICATE_10, _PUNCTUATED, _SHORT_LINES,
    _FILLED_LINE_CHARS, _NEWLINES, _C4_SENTENCES, _C4_KEPT, _LOREM_IPSUM, _CURLY_BRACKET, _LONG_WORD, _UNPUNCTUATED,
    _FEW_WORDS, _JAVASCRIPT, _POLICY,
) = range(len(NAMES))  # fmt: skip

SHORT_LINE_CHARS = 30
"""A line of so many characters or fewer is a short one (FineWeb, arXiv 2406.17557)."""
_STOP = patterns(["the", "be", "to", "of", "and", "that", "have", "with"])  # Gopher's, arXiv 2112.11446
_HASH, _DOT, _ELLIPSIS, _BULLET, _HYPHEN = 0x23, 0x2E, 0x2026, 0x2022, 0x2D


@compiled
def measure_texts(
    text: Codes, kinds: Kinds, offsets: NDArray[np.int64], values: NDArray[np.float64], places: NDArray[np.int32]
) -> None:
    """Measure texts that lie one after another; text i is text[offsets[i]:offsets[i + 1]].

    Fills in `values`, (texts, NAMES), and `places`, (texts, NAMES, 2): the span of the text that stands for the value,
    -1 if none does.
    """
    for i in range(len(offsets) - 1):
        start, end = offsets[i], offsets[i + 1]
        _measure(text[start:end], kinds[start:end], values[i], places[i])


@compiled
def _measure(text: Codes, kinds: Kinds, values: NDArray[np.float64], places: NDArray[np.int32]) -> None:
    values[:] = 0.0
    places[:] = -1
    num_words, num_units = count_words(kinds), _count_breaks(text) + 2
    size = 8
    while size < 2 * max(num_words, num_units):
        size *= 2
    keys, stamps = np.empty(size, np.uint64), np.zeros(size, np.int32)
    starts, ends = np.empty(num_units, np.int32), np.empty(num_units, np.int32)
    _measure_newline_units(text, kinds, starts, ends, keys, stamps, num_words, values, places)
    num_lines = find_lines(text, starts, ends)
    _measure_lines(text, kinds, starts, ends, num_lines, values)
    _measure_sentences(text, kinds, starts, ends, num_lines, keys, stamps, values, places)
    starts, ends = np.empty(num_words, np.int32), np.empty(num_words, np.int32)
    find_words(kinds, starts, ends)
    hashes = np.empty(num_words, np.uint64)
    for i in range(num_words):
        hashes[i] = hash_span(text, starts[i], ends[i])
    _measure_words(text, kinds, starts, ends, values)
    ngrams = np.zeros(num_words, np.uint64)
    extend_ngrams(ngrams, hashes, 1)
    for n in range(2, 11):
        extend_ngrams(ngrams, hashes, n)
        if n <= 4:
            _measure_top_ngram(n, starts, ends, ngrams, keys, stamps, len(text), values, places)
        else:
            _measure_duplicate_ngrams(n, starts, ends, ngrams, keys, stamps, len(text), values, places)


@compiled
def _count_breaks(text: Codes) -> int:
    """Line breaks and what may end a sentence: no unit of a text is without one, but the last."""
    num = 0
    for char in text:
        ender = char == 0x2E or char == 0x21 or char == 0x3F or char == 0x3002 or char == 0xFF01 or char == 0xFF1F
        num += is_break(char) or ender
    return num


@compiled
def _measure_newline_units(
    text: Codes, kinds: Kinds, starts: Places, ends: Places, keys: NDArray[np.uint64], stamps: Places, num_words: int,
    values: NDArray[np.float64], places: NDArray[np.int32],
) -> None:  # fmt: skip
    """Gopher's lines and paragraphs, and FineWeb's lines."""
    num_newlines = 0
    for char in text:
        num_newlines += char == LF
    values[_NEWLINES] = num_newlines / max(1, num_words)
    begin, end = strip(kinds, 0, len(text))
    for least, part, chars in ((1, _LINES, _LINE_CHARS), (2, _PARAGRAPHS, _PARAGRAPH_CHARS)):
        num = find_between_newlines(
            text, begin if least == 2 else 0, end if least == 2 else len(text), least, starts, ends
        )
        num_repeated, num_chars, first = find_repeated(text, starts, ends, num, keys, stamps, least)
        values[part] = num_repeated / num
        values[chars] = num_chars / max(1, len(text))
        if first >= 0:
            places[part] = places[chars] = np.array([starts[first], ends[first]], np.int32)
    num = find_filled_lines(text, kinds, starts, ends)
    if num:
        num_punctuated, num_short = 0, 0
        for i in range(num):
            num_punctuated += kinds[ends[i] - 1] & SENTENCE_END > 0
            num_short += ends[i] - starts[i] <= SHORT_LINE_CHARS
        _, num_chars, first = find_repeated(text, starts, ends, num, keys, stamps, 3)
        values[_PUNCTUATED] = num_punctuated / num
        values[_SHORT_LINES] = num_short / num
        values[_FILLED_LINE_CHARS] = num_chars / max(1, len(text) - num_newlines)
        if first >= 0:
            places[_FILLED_LINE_CHARS] = np.array([starts[first], ends[first]], np.int32)


@compiled
def _measure_lines(
    text: Codes, kinds: Kinds, starts: Places, ends: Places, num_lines: int, values: NDArray[np.float64]
) -> None:
    """Gopher's bullets and ellipses, and C4's lines."""
    if num_lines == 0:
        return
    num_bullets, num_ellipses, num_filled = 0, 0, 0
    for line in range(num_lines):
        start, end = strip(kinds, starts[line], ends[line])
        if start < end:
            num_filled += 1
            num_bullets += text[start] == _BULLET or text[start] == _HYPHEN
            dots = end - start >= 3 and text[end - 1] == _DOT and text[end - 2] == _DOT and text[end - 3] == _DOT
            num_ellipses += dots or text[end - 1] == _ELLIPSIS
    values[_BULLET_LINES] = num_bullets / num_lines
    values[_ELLIPSIS_LINES] = num_ellipses / num_lines
    counts = np.zeros(c4.NUM_COUNTS, np.int64)
    measure_c4_lines(text, kinds, starts, ends, num_lines, counts)
    values[_C4_SENTENCES] = counts[c4.SENTENCES]
    values[_C4_KEPT] = counts[c4.KEPT] / max(1, num_filled)
    values[_LOREM_IPSUM] = counts[c4.LOREM_IPSUM]
    values[_CURLY_BRACKET] = counts[c4.CURLY_BRACKET]
    values[_LONG_WORD] = counts[c4.LONG_WORD]
    # A line without a character is no line that lacks punctuation.
    values[_UNPUNCTUATED] = counts[c4.UNPUNCTUATED] - (num_lines - num_filled)
    values[_FEW_WORDS] = counts[c4.FEW_WORDS]
    values[_JAVASCRIPT] = counts[c4.JAVASCRIPT]
    values[_POLICY] = counts[c4.POLICY]


@compiled
def _measure_sentences(
    text: Codes, kinds: Kinds, line_starts: Places, line_ends: Places, num_lines: int, keys: NDArray[np.uint64],
    stamps: Places, values: NDArray[np.float64], places: NDArray[np.int32],
) -> None:  # fmt: skip
    starts, ends = np.empty(len(line_starts), np.int32), np.empty(len(line_starts), np.int32)
    num = find_sentences(text, kinds, line_starts, line_ends, num_lines, starts, ends)
    _, num_chars, first = find_repeated(text, starts, ends, num, keys, stamps, 4)
    values[_SENTENCE_CHARS] = num_chars / max(1, len(text))
    if first >= 0:
        places[_SENTENCE_CHARS] = np.array([starts[first], ends[first]], np.int32)


@compiled
def _measure_words(text: Codes, kinds: Kinds, starts: Places, ends: Places, values: NDArray[np.float64]) -> None:
    """What Gopher asks of words: a word of symbols alone is no word to count or to take the length of."""
    num_words = len(starts)
    if num_words == 0:
        return
    num_plain, num_plain_chars, num_alphabetic = 0, 0, 0
    seen = np.zeros(len(_STOP), np.bool_)
    for i in range(num_words):
        plain = alphabetic = False
        for place in range(starts[i], ends[i]):
            plain = plain or not kinds[place] & SYMBOL
            alphabetic = alphabetic or kinds[place] & ALPHABETIC > 0
        num_plain += plain
        num_plain_chars += ends[i] - starts[i] if plain else 0
        num_alphabetic += alphabetic
        if ends[i] - starts[i] <= _STOP.shape[1]:
            for stop in range(len(_STOP)):
                seen[stop] = seen[stop] or _is_word(text, starts[i], ends[i], _STOP[stop])
    num_hashes, num_ellipses, i = 0, 0, 0
    while i < len(text):
        num_hashes += text[i] == _HASH
        if text[i] == _ELLIPSIS:
            num_ellipses += 1
        elif text[i] == _DOT and i + 2 < len(text) and text[i + 1] == _DOT and text[i + 2] == _DOT:
            num_ellipses += 1
            i += 2
        i += 1
    values[_WORDS] = num_plain
    values[_MEAN_WORD_CHARS] = num_plain_chars / max(1, num_plain)
    values[_HASHES] = num_hashes / num_words
    values[_ELLIPSES] = num_ellipses / num_words
    values[_ALPHABETIC_WORDS] = num_alphabetic / num_words
    values[_STOP_WORDS] = seen.sum()


@compiled
def _is_word(text: Codes, start: int, end: int, word: Codes) -> bool:
    for i in range(len(word)):
        char = text[start + i] if start + i < end else NO_CHARACTER
        if char != word[i]:
            return False
    return True


@compiled
def _measure_top_ngram(
    size: int, starts: Places, ends: Places, ngrams: NDArray[np.uint64], keys: NDArray[np.uint64], stamps: Places,
    num_chars: int, values: NDArray[np.float64], places: NDArray[np.int32],
) -> None:  # fmt: skip
    """The most frequent n-gram, of equally frequent ones the first: its characters, single spaces between its words."""
    counts, firsts = np.empty(len(keys), np.int32), np.empty(len(keys), np.int32)
    column, stamp, most, first = _TOP_2 + size - 2, 10 + size, 0, -1
    for i in range(len(starts) - size + 1):
        key = mixed(ngrams[i])
        slot = find_slot(keys, stamps, stamp, key)
        if stamps[slot] != stamp:
            stamps[slot], keys[slot], counts[slot], firsts[slot] = stamp, key, 0, i
        counts[slot] += 1
        if counts[slot] > most or (counts[slot] == most and firsts[slot] < first):
            most, first = counts[slot], firsts[slot]
    if first >= 0:
        length = size - 1
        for i in range(first, first + size):
            length += ends[i] - starts[i]
        values[column] = most * length / num_chars
        places[column] = np.array([starts[first], ends[first + size - 1]], np.int32)


@compiled
def _measure_duplicate_ngrams(
    size: int, starts: Places, ends: Places, ngrams: NDArray[np.uint64], keys: NDArray[np.uint64], stamps: Places,
    num_chars: int, values: NDArray[np.float64], places: NDArray[np.int32],
) -> None:  # fmt: skip
    """Characters in n-grams that stood before, counted without overlap from left to right; no spaces."""
    column, stamp, num_repeated, i = _DUPLICATE_5 + size - 5, 10 + size, 0, 0
    while i <= len(starts) - size:
        key = mixed(ngrams[i])
        slot = find_slot(keys, stamps, stamp, key)
        if stamps[slot] != stamp:
            stamps[slot], keys[slot] = stamp, key
            i += 1
            continue
        if num_repeated == 0:
            places[column] = np.array([starts[i], ends[i + size - 1]], np.int32)
        for word in range(i, i + size):
            num_repeated += ends[word] - starts[word]
        i += size
    values[column] = num_repeated / max(1, num_chars)
