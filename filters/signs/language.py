"""Texts in another language than they should be, wholly or in part: each piece of a text is looked at by itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field, NonNegativeInt

from corpus.recipe import Section
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.signs.language_model import LanguageModel
from filters.text import snippet

_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`|https?://\S+", re.DOTALL)
_PIECE_CHARS = 240
"""A piece of some forty words: enough to tell close languages apart, small enough to find a change of language."""
_PIECE = re.compile(rf".{{1,{_PIECE_CHARS}}}(?:\s|\Z)|.{{{_PIECE_CHARS}}}")


class LanguageSettings(Section):
    """The language that texts should be in."""

    language: str = "en"
    """As the model calls it: two letters of ISO 639-1 for the packaged one and for lid.176."""
    model_file: Path | None = Field(None, exclude=True)
    """A fastText model whose labels are languages, beside the recipe; left out: the packaged model (py3langid)."""
    min_fraction: float = Field(0.65, ge=0, le=1)
    """Least part of a text in that language (fraction of the letters in pieces whose language was recognised; ours: a
    third may be quotation)."""
    min_probability: float = Field(0.5, ge=0, le=1)
    """A piece is recognised from this probability on (fraction; ours: more likely than all others together)."""
    min_letters: NonNegativeInt = 60
    """With fewer letters in recognised pieces a text is unjudged (letters; ours: ten words or so)."""


class Language(TextFilter):
    """The part of a text that is in the language it should be in; of a chat, of its answers."""

    name = "language"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {"min_fraction": "language_fraction", "min_letters": "letters"}
    settings: LanguageSettings

    def __init__(self, settings: LanguageSettings, model: LanguageModel) -> None:
        """Judge by what this model says."""
        super().__init__(settings)
        self._model = model

    def scored_with(self) -> list[object]:
        """The model and what is asked of it; see `Filter.scored_with`."""
        asked = self.settings.model_dump(mode="json", include={"language", "min_probability"})
        return [*self._model.made_by, asked]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`; the label is the text's main language, evidence its first piece in another."""
        pieces = [_pieces(row.text) for row in rows]
        found = iter(self._model.identify([piece for of_row in pieces for piece in of_row]))
        return [self._score(of_row, [next(found) for _ in of_row]) for of_row in pieces]

    def _score(self, pieces: Sequence[str], found: Sequence[tuple[str, float]]) -> list[Score]:
        letters: Counter[str] = Counter()
        evidence = None
        for piece, (language, probability) in zip(pieces, found, strict=True):
            if probability >= self.settings.min_probability:
                letters[language] += sum(map(str.isalpha, piece))
                if language != self.settings.language:
                    evidence = evidence or snippet(piece, 0, len(piece), margin_chars=0)
        total = letters.total()
        if not total:
            return [Score("language_fraction", None, "unjudged", "no language was recognised"), Score("letters", 0)]
        main = max(letters, key=lambda language: (letters[language], language))
        return [
            Score("language_fraction", letters[self.settings.language] / total, main, evidence),
            Score("letters", total),
        ]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        fraction, letters = scores["language_fraction"].value, scores["letters"].value
        assert letters is not None, scores
        if fraction is None or letters < self.settings.min_letters:
            return Verdict("unjudged", "too little text")
        return KEEP if fraction >= self.settings.min_fraction else Verdict("drop", "other language")


def _pieces(text: str) -> list[str]:
    """A text's prose in pieces of `_PIECE_CHARS` or a little less, white space folded; each has letters."""
    folded = " ".join(_NO_PROSE.sub(" ", text).split())
    return [piece for piece in _PIECE.findall(folded) if any(map(str.isalpha, piece))]
