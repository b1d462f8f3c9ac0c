"""Measures of how much the texts of a collection differ, and how sure each one is.

All compare collections of equally many texts of equal length only: each measure falls as a collection grows.
"""

from __future__ import annotations

import gzip
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.inspect.diversity import OPENING_WORDS, distinct

Words = Sequence[str]
NUM_HALVES = 200
"""Random halves that an error is taken from: it is then known to about 5 %."""
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Collection:
    """Texts as words, cut to one length, and their unit vectors, (texts, width)."""

    texts: Sequence[Words]
    vectors: NDArray[np.float32]

    def part(self, indices: Sequence[int]) -> Collection:
        """Some of the texts."""
        return Collection([self.texts[index] for index in indices], self.vectors[list(indices)])


@dataclass(frozen=True)
class Measured:
    """A measure of one collection."""

    value: float
    half_width: float
    """Half of the 95 % interval."""

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.half_width:.3f}"

    def __sub__(self, other: Measured) -> Measured:
        return Measured(self.value - other.value, math.hypot(self.half_width, other.half_width))


def compression_ratio(texts: Sequence[Words]) -> float:
    """Bytes per byte after gzip, one text a line (Shaib et al. 2024, arXiv 2403.00553); lower is more diverse."""
    data = "\n".join(" ".join(text) for text in texts).encode()
    return len(data) / len(gzip.compress(data, mtime=0))


def most_common_opening(texts: Sequence[Words]) -> float:
    """Share of the texts that begin as the most usual one does (fraction)."""
    openings = Counter(tuple(text[:OPENING_WORDS]) for text in texts)
    return max(openings.values()) / len(texts)


def embedding_spread(vectors: NDArray[np.float32]) -> float:
    """Mean cosine distance of two different texts; their unit vectors are (texts, width)."""
    count = len(vectors)
    total = vectors.astype(np.float64).sum(axis=0)
    # The square of the sum holds every pair twice, and each text with itself once.
    return float(1 - (total @ total - count) / (count * (count - 1)))


MEASURES: Mapping[str, Callable[[Collection], float]] = {
    "distinct-1": lambda them: distinct(them.texts, 1),
    "distinct-2": lambda them: distinct(them.texts, 2),
    "distinct-3": lambda them: distinct(them.texts, 3),
    "compression ratio": lambda them: compression_ratio(them.texts),
    "most common opening": lambda them: most_common_opening(them.texts),
    "embedding spread": lambda them: embedding_spread(them.vectors),
}


def measure(collection: Collection, seed: int) -> dict[str, Measured]:
    """Every measure of a collection, with the interval that comes from its texts being a sample."""
    draw = random.Random(seed)
    count = len(collection.texts)
    halves = [collection.part(draw.sample(range(count), count // 2)) for _ in range(NUM_HALVES)]
    return {
        name: Measured(of(collection), _NORMAL_95 * half_error([of(half) for half in halves], count))
        for name, of in MEASURES.items()
    }


def half_error(values: Sequence[float], count: int) -> float:
    """Standard error of a measure of `count` texts, from its values on random halves (the delete-half jackknife).

    Not a bootstrap: that draws texts twice, and a collection with copies is less diverse than the one it stands for.
    """
    kept = count // 2
    return float(np.std(values) * math.sqrt(kept / (count - kept)))
