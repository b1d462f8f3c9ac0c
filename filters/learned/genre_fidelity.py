"""Whether a text looks like its genre, by classifiers that learn the genres from the corpus itself.

The documents are dealt to folds (`folds`), and each is scored by the model of its fold, which was trained on
the other folds: documents of one brief, rewrites and near-duplicates never stand on both sides. The score is the
probability of the document's own genre, its label the genre it looks most like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
from pydantic import Field, PositiveInt

from filters.base import KEEP, Kind, Row, Score, TextFilter, Verdict
from filters.learned.fasttext_model import PREFIX
from filters.learned.fasttext_settings import FastTextSettings
from filters.learned.guessing import Guesser

SCORE = "own_genre_probability"


class GenreFidelitySettings(FastTextSettings):
    """How the genres are learned, and from which probability on a document is kept."""

    min_probability: float = Field(0.05, ge=0, le=1)
    """Kept from this probability of its own genre on (fraction; ours: what is left looks like anything else)."""
    folds: PositiveInt = Field(5, ge=2)
    """Parts of the corpus, each scored by a model of the others (ours; customary)."""
    min_documents: PositiveInt = Field(10, ge=2)
    """Documents of different origin that a genre needs; those of smaller ones are not judged (documents; ours)."""
    max_documents: PositiveInt = 500
    """Documents of one genre that are learned from; all are scored (documents; ours: bounds the time of training)."""
    seed: int = 0
    """fastText's seed, and that of the folds."""
    buckets: PositiveInt = 50_000
    """Hash buckets of the word pairs: 32 x 4 bytes each, 6 MB for each fold (ours; fastText: 2,000,000)."""

    def trained_with(self) -> dict[str, object]:
        """All but the threshold."""
        return self.model_dump(mode="json", exclude={"min_probability"})


class GenreFidelity(TextFilter):
    """The probability of a document's own genre."""

    name = "genre_fidelity"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {"min_probability": SCORE}
    applies_to = frozenset[Kind]({"documents"})
    settings: GenreFidelitySettings

    def __init__(self, settings: GenreFidelitySettings, model_id: str, folder: Path, genres: Sequence[str]) -> None:
        """Judge with the models of that id in `folder`; `genres`: those they know, in the order of their labels."""
        super().__init__(settings)
        self.model_id = model_id
        self.folder = folder
        self._genres = genres
        self._guesser = Guesser(words_only=True)

    def scored_with(self) -> list[object]:
        """The models; see `Filter.scored_with`."""
        return [self.model_id]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`."""
        scores: dict[str, Score] = {}
        by_fold: dict[int, list[Row]] = {}
        for row in rows:
            genre, fold = self._dealt[row.id]
            if genre is None:
                scores[row.id] = Score(SCORE, None, label="no genre")
            elif fold is None:
                why_not = f"fewer than {self.settings.min_documents} of its genre, or no other genre"
                scores[row.id] = Score(SCORE, None, label="unjudged", evidence=why_not)
            else:
                by_fold.setdefault(fold, []).append(row)
        numbers = {genre: f"{PREFIX}{number}" for number, genre in enumerate(self._genres)}
        for fold, of_fold in by_fold.items():
            own = [numbers[str(self._dealt[row.id][0])] for row in of_fold]
            guesses = self._guesser.guess(
                fold_path(self.folder, self.model_id, fold), [row.text for row in of_fold], own
            )
            for row, one in zip(of_fold, guesses, strict=True):
                looks_like = self._genres[int(one.likeliest.removeprefix(PREFIX))]
                scores[row.id] = Score(SCORE, one.probability, label=looks_like)
        return [[scores[row.id]] for row in rows]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        probability = scores[SCORE].value
        if probability is not None:
            return KEEP if probability >= self.settings.min_probability else Verdict("drop", "unlike its genre")
        if scores[SCORE].label == "no genre":
            return Verdict("keep", "no genre")
        return Verdict("unjudged", "too few documents of its genre")

    @cached_property
    def _dealt(self) -> dict[str, tuple[str | None, int | None]]:
        """Genre and fold of each document, as they were when the models were trained."""
        table = pq.read_table(dealt_path(self.folder, self.model_id))
        genres, folds = table.column("genre").to_pylist(), table.column("fold").to_pylist()
        return dict(zip(table.column("doc_id").to_pylist(), zip(genres, folds, strict=True), strict=True))


def fold_path(folder: Path, model_id: str, fold: int) -> Path:
    """The model that has not seen the documents of a fold."""
    return folder / f"{model_id.removeprefix('b2:')}-fold{fold}.bin"


def dealt_path(folder: Path, model_id: str) -> Path:
    """Which document is of which genre and in which fold."""
    return folder / f"{model_id.removeprefix('b2:')}-folds.parquet"
