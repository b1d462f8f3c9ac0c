"""What can be measured in a text without a model: one place for each measure, whatever filter or preset asks for it.

A word here is what stands between white space, punctuation included, and each ideograph by itself; a sentence ends
as `filters.form.spans.sentence_end` says. Shares of characters are shares of the whole text's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from filters.base import Score

MEASURES: Mapping[str, str] = {
    "words": "words that hold more than symbols (words)",
    "mean_word_chars": "mean length of those (characters)",
    "hashes_per_word": "signs # per word",
    "ellipses_per_word": "ellipses, as three dots or one character, per word",
    "bullet_line_fraction": "lines that begin with a bullet or a hyphen (fraction of lines)",
    "ellipsis_line_fraction": "lines that end in an ellipsis (fraction of lines)",
    "alphabetic_word_fraction": "words with a letter in them (fraction of words)",
    "stop_words": "how many of Gopher's eight stop words occur (words)",
    "duplicate_line_fraction": "lines that stood before (fraction of lines)",
    "duplicate_line_char_fraction": "characters in lines that stood before (fraction)",
    "duplicate_paragraph_fraction": "paragraphs that stood before (fraction of paragraphs)",
    "duplicate_paragraph_char_fraction": "characters in paragraphs that stood before (fraction)",
    "duplicate_sentence_char_fraction": "characters in sentences that stood before (fraction)",
    **{f"top_{n}gram_fraction": f"characters in the most frequent {n} words in a row (fraction)" for n in (2, 3, 4)},
    **{
        f"duplicate_{n}gram_fraction": f"characters in {n} words in a row that stood before (fraction)"
        for n in range(5, 11)
    },
    "punctuated_line_fraction": "lines with something in them that end a sentence (fraction of those lines)",
    "short_line_fraction": "lines with something in them of 30 characters or fewer (fraction of those lines)",
    "duplicate_filled_line_char_fraction": "characters in lines with something in them that stood before (fraction)",
    "newlines_per_word": "line feeds per word",
    "c4_sentences": "sentences in the lines that C4 keeps (sentences)",
    "c4_kept_line_fraction": "lines that C4 keeps (fraction of lines with something in them)",
    "lorem_ipsum_lines": "lines with 'lorem ipsum' that no line rule of C4 removes (lines)",
    "curly_bracket_lines": "lines with '{' that no line rule of C4 removes (lines)",
    "long_word_lines": "lines with a word of more than 1,000 characters (lines)",
    "unpunctuated_lines": "other lines that end in no . ! ? or straight quotation mark, or in three dots (lines)",
    "few_word_lines": "other lines of fewer than three words (lines)",
    "javascript_lines": "other lines that name JavaScript (lines)",
    "policy_lines": "other lines that speak of cookies, terms of use or a privacy policy (lines)",
    "zlib_fraction": "compressed size by size (fraction of bytes)",
}
"""Each measure and what it is, with its unit. 'Other lines' are those that no C4 rule listed before removes."""

_EVIDENCE_FROM = 0.1
"""A repeated piece is worth showing from this share on (fraction; ours: the least published limit)."""
_EVIDENCE_CHARS = 200


def measure(texts: Sequence[str], names: Iterable[str]) -> list[list[Score]]:
    """The named measures of each text, in the order of `MEASURES`; a text without words has zeros.

    What a share of repeated text comes from is its evidence: the most frequent words in a row, or the first piece that
    stood before.
    """
    from filters.form.characters import code_points, kinds
    from filters.form.kernels import NAMES, measure_texts

    wanted = set(names)
    codes = code_points("".join(texts))
    offsets = np.fromiter(accumulate(map(len, texts), initial=0), dtype=np.int64, count=len(texts) + 1)
    values = np.empty((len(texts), len(NAMES)))
    places = np.empty((len(texts), len(NAMES), 2), dtype=np.int32)
    measure_texts(codes, kinds(codes), offsets, values, places)
    columns = [column for column, name in enumerate(NAMES) if name in wanted]
    kept = [NAMES[column] for column in columns]
    values, places = values[:, columns], places[:, columns]
    found = [
        [Score(name, value) for name, value in zip(kept, of_text, strict=True)]
        + ([Score("zlib_fraction", _zlib_fraction(text))] if "zlib_fraction" in wanted else [])
        for text, of_text in zip(texts, values.tolist(), strict=True)
    ]
    # Few measures have something to show: looking for them at once spares a look at each.
    for number, column in np.argwhere((places[:, :, 0] >= 0) & (values >= _EVIDENCE_FROM)).tolist():
        start, end = places[number, column].tolist()
        found[number][column] = replace(found[number][column], evidence=texts[number][start:end][:_EVIDENCE_CHARS])
    return found


def _zlib_fraction(text: str) -> float:
    data = text.encode("utf-8", "surrogatepass")
    return len(zlib.compress(data, 6)) / len(data) if data else 1.0
