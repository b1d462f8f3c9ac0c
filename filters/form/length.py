"""Too short and too long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import NonNegativeInt, PositiveInt, model_validator

from corpus.recipe import Section
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.text import words


class LengthSettings(Section):
    """How long a text has to be and may be."""

    min_words: NonNegativeInt = 50
    """Shortest document (words; Gopher, arXiv 2112.11446: 50)."""
    max_words: PositiveInt = 100_000
    """Longest document (words; Gopher: 100,000)."""
    min_answer_words: NonNegativeInt = 1
    """Shortest turn of the assistant (words; ours: an answer may be one word, but not none)."""
    max_answer_words: PositiveInt = 100_000
    """Longest turn of the assistant (words; as for documents)."""

    @model_validator(mode="after")
    def _some_length_is_kept(self) -> LengthSettings:
        for least, most in (("min_words", "max_words"), ("min_answer_words", "max_answer_words")):
            if getattr(self, least) > getattr(self, most):
                raise ValueError(f"{least} is {getattr(self, least)} and {most} {getattr(self, most)}: nothing is kept")
        return self


class Length(TextFilter):
    """Counts words: of a document, or of the shortest and the longest answer of a chat."""

    name = "length"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {
        "min_words": "words",
        "max_words": "words",
        "min_answer_words": "shortest_answer_words",
        "max_answer_words": "longest_answer_words",
    }
    settings: LengthSettings

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`."""
        return [self._score(row) for row in rows]

    def _score(self, row: Row) -> list[Score]:
        if row.kind == "documents":
            return [Score("words", len(words(row.text)))]
        lengths = [len(words(answer)) for answer in row.answers]
        shortest, longest = min(lengths, default=0), max(lengths, default=0)
        return [Score("shortest_answer_words", shortest), Score("longest_answer_words", longest)]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        if "words" in scores:
            least, most = self.settings.min_words, self.settings.max_words
            shortest = longest = scores["words"].value
        else:
            least, most = self.settings.min_answer_words, self.settings.max_answer_words
            shortest, longest = scores["shortest_answer_words"].value, scores["longest_answer_words"].value
        assert shortest is not None and longest is not None, scores
        if shortest < least:
            return Verdict("drop", "too short")
        return Verdict("drop", "too long") if longest > most else KEEP
