"""Texts that say what another text says already, in other words: the cosine of their embeddings.

Texts stand in an order of chance, by the hash of their own words, and each is measured against all that stand before
it; of two alike, the later one goes. So the order of two texts never changes when more are added, and no kind of text
(short, common, early) is preferred. That a text counts although it goes itself, as in the published code of
arXiv 2605.02087, makes the score independent of the threshold: any threshold can be replayed from the scores. In a
chain A ~ B ~ C, C goes with B, though A and C may differ.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from corpus.models import base_hash
from corpus.recipe import Section
from filters.base import Row, Score, TextFilter
from filters.meaning.embedding import Vectors, embedding_folder

_BLOCK_ROWS = 512
"""Texts compared with all earlier ones at a time: of 100,000, some 200 MB of cosines."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A text that is compared with others."""

    text: str
    ids: tuple[str, ...]
    """The rows whose text it is, sorted: one, or a chat and its twin."""


class Similar(TextFilter):
    """The highest cosine of a row's text with one that stands before it."""

    none_label: ClassVar[str]
    """What is said of a row that has no text to compare."""

    def __init__(self, settings: Section, model: str | None, compared: Sequence[Compared], kept: Path) -> None:
        """Compare these texts, which are in order; the folder `kept` spares reading one a second time."""
        super().__init__(settings)
        self._compared = compared
        self._folder = embedding_folder(model)
        self._model_hash = base_hash(self._folder)
        self._kept = kept / f"{self._model_hash.removeprefix('b2:')}.npz"

    @abstractmethod
    def vectors(self, texts: Sequence[str]) -> Vectors:
        """A unit vector of each text, (texts, width)."""

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`; the evidence is the id of the row with the text most alike."""
        nothing = Score("cosine", None, label=self.none_label)
        return [[self._scores.get(row.id, nothing)] for row in rows]

    @cached_property
    def _scores(self) -> dict[str, Score]:
        return compare(self._compared, self.vectors([one.text for one in self._compared])) if self._compared else {}


def compare(compared: Sequence[Compared], vectors: Vectors) -> dict[str, Score]:
    """The score of every row whose text is among `compared`; the first one's has no value."""
    scores: dict[str, Score] = {}
    for one, nearest in zip(compared, nearest_before(vectors), strict=True):
        score = Score("cosine", None, label="first")
        if nearest is not None:
            place, cosine = nearest
            score = Score("cosine", cosine, evidence=compared[place].ids[0])
        scores |= dict.fromkeys(one.ids, score)
    return scores


def nearest_before(vectors: Vectors) -> list[tuple[int, float] | None]:
    """Of each unit vector, (vectors, width), the place of the nearest before it and their cosine; None: the first."""
    found: list[tuple[int, float]] = []
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        cosines = block @ vectors[: start + len(block)].T
        row, column = np.indices((len(block), len(block)), sparse=True)
        cosines[:, start:][column >= row] = -np.inf
        nearest = cosines.argmax(axis=1)
        highest = np.minimum(cosines[np.arange(len(block)), nearest], 1)  # rounding may pass it
        found += list(zip(nearest.tolist(), highest.tolist(), strict=True))
    return [nearest if place else None for place, nearest in enumerate(found)]


def is_above(scores: Mapping[str, Score], min_cosine: float | None) -> bool:
    """Whether a row's cosine is above a threshold; never without one."""
    cosine = scores["cosine"].value
    return min_cosine is not None and cosine is not None and cosine > min_cosine
