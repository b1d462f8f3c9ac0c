"""Text that says the same thing again and again, as small models do when they loop."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import Field, NonNegativeInt

from corpus.recipe import Section
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.text import lines, sentences, words

_LINE_WORDS = 3
"""Shorter lines and sentences (a speaker's name, a bullet's label, "Yes.") recur in good dialogue."""


class RepetitionSettings(Section):
    """How much of a text may be repetition. Gopher is arXiv 2112.11446, table A1."""

    max_duplicate_line_fraction: float = Field(0.3, ge=0, le=1)
    """Lines, of three words or more, that stood in the text before (fraction of lines; Gopher: 0.30)."""
    max_duplicate_sentence_fraction: float = Field(0.3, ge=0, le=1)
    """The same for sentences (fraction of sentences; ours, after Gopher's for lines and paragraphs)."""
    max_top_2gram_fraction: float = Field(0.2, ge=0, le=1)
    """Characters in the most frequent pair of words (fraction; Gopher: 0.20)."""
    max_top_3gram_fraction: float = Field(0.18, ge=0, le=1)
    """Characters in the most frequent three words in a row (fraction; Gopher: 0.18)."""
    max_top_4gram_fraction: float = Field(0.16, ge=0, le=1)
    """Characters in the most frequent four words in a row (fraction; Gopher: 0.16)."""
    max_duplicate_5gram_fraction: float = Field(0.15, ge=0, le=1)
    """Characters in five words in a row that stood in the text before (fraction; Gopher: 0.15)."""
    min_zlib_fraction: float = Field(0.2, ge=0, le=1)
    """Compressed size by size (fraction of bytes; ours: prose lies at 0.4 to 0.6, loops below 0.1)."""
    min_words: NonNegativeInt = 50
    """Shorter texts are judged by lines and sentences only: in few words any pair is frequent (words)."""


class Repetition(TextFilter):
    """Duplicated lines, sentences and word sequences, and how well the text compresses."""

    name = "repetition"
    version = 1
    settings: RepetitionSettings

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`."""
        return [self._score(row.text) for row in rows]

    def _score(self, text: str) -> list[Score]:
        found = words(text)
        data = text.encode("utf-8")
        return [
            Score("words", len(found)),
            _duplicate_fraction("duplicate_line_fraction", lines(text)),
            _duplicate_fraction("duplicate_sentence_fraction", sentences(text)),
            *(_top_ngram_fraction(found, size) for size in (2, 3, 4)),
            _duplicate_ngram_fraction(found, 5),
            Score("zlib_fraction", len(zlib.compress(data, 6)) / len(data) if data else 1.0),
        ]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        value = {name: score.value for name, score in scores.items() if score.value is not None}
        most = {
            "duplicate_line_fraction": self.settings.max_duplicate_line_fraction,
            "duplicate_sentence_fraction": self.settings.max_duplicate_sentence_fraction,
        }
        if value["words"] >= self.settings.min_words:
            most |= {
                "top_2gram_fraction": self.settings.max_top_2gram_fraction,
                "top_3gram_fraction": self.settings.max_top_3gram_fraction,
                "top_4gram_fraction": self.settings.max_top_4gram_fraction,
                "duplicate_5gram_fraction": self.settings.max_duplicate_5gram_fraction,
            }
            if value["zlib_fraction"] < self.settings.min_zlib_fraction:
                return Verdict("drop", "compresses too well")
        for name, limit in most.items():
            if value[name] > limit:
                return Verdict("drop", name.removesuffix("_fraction").replace("_", " "))
        return KEEP


def _duplicate_fraction(name: str, units: Sequence[str]) -> Score:
    """Share of the units that are repeated, with the most frequent one as evidence."""
    folded = (words(unit) for unit in units)
    counted = Counter(" ".join(found) for found in folded if len(found) >= _LINE_WORDS)
    if not counted:
        return Score(name, 0.0)
    unit, count = counted.most_common(1)[0]
    return Score(name, 1 - len(counted) / counted.total(), evidence=unit[:200] if count > 1 else None)


def _top_ngram_fraction(found: Sequence[str], size: int) -> Score:
    """Share of the words' characters that the most frequent n-gram takes; of equally frequent ones, the longest."""
    name = f"top_{size}gram_fraction"
    counted = Counter(zip(*(found[start:] for start in range(size)), strict=False))
    top = max(counted, key=lambda ngram: (counted[ngram], sum(map(len, ngram)), ngram), default=())
    if counted[top] < 2:
        return Score(name, 0.0)
    # An n-gram such as "no no no" overlaps itself, and would be counted more often than it fits.
    num_chars = min(counted[top] * sum(map(len, top)), sum(map(len, found)))
    return Score(name, num_chars / sum(map(len, found)), evidence=" ".join(top))


def _duplicate_ngram_fraction(found: Sequence[str], size: int) -> Score:
    """Share of the words' characters that lie in an n-gram that stood in the text before."""
    name = f"duplicate_{size}gram_fraction"
    seen: set[tuple[str, ...]] = set()
    repeated: set[int] = set()
    evidence = None
    for start in range(len(found) - size + 1):
        ngram = tuple(found[start : start + size])
        if ngram in seen:
            repeated.update(range(start, start + size))
            evidence = evidence or " ".join(ngram)
        seen.add(ngram)
    num_chars = sum(map(len, found))
    return Score(name, sum(len(found[index]) for index in repeated) / max(1, num_chars), evidence=evidence)
