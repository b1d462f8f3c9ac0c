"""How varied texts are: distinct n-grams, how far they compress together, openings that recur."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

SAMPLE_DOCUMENTS = 400
"""Documents of one sample."""
SAMPLE_CHARS = 2_000
"""Characters taken of each: measures of diversity depend on length, so all texts count alike."""
OPENING_WORDS = 4
"""Words that are a text's opening."""
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


@dataclass(frozen=True)
class Diversity:
    """Measures of one sample; fractions are of all n-grams, or of all texts."""

    num_texts: int
    num_words: int
    distinct_1: float
    distinct_2: float
    distinct_3: float
    compression_ratio: float
    """Bytes over bytes when all are compressed as one (zlib, level 6): the higher, the more they repeat."""
    openings: tuple[tuple[str, int], ...]
    """The first words that more than one text begins with, and how many do, most first."""


def measure_diversity(texts: Sequence[str], most_openings: int = 6) -> Diversity | None:
    """Measure a sample; None where it holds no word."""
    words = [[word.lower() for word in _WORD.findall(text[:SAMPLE_CHARS])] for text in texts]
    num_words = sum(map(len, words))
    if not num_words:
        return None
    data = "\n".join(text[:SAMPLE_CHARS] for text in texts).encode(errors="replace")
    openings = Counter(" ".join(of_text[:OPENING_WORDS]) for of_text in words if of_text)
    often = sorted(((-count, text) for text, count in openings.items() if count > 1))[:most_openings]
    return Diversity(
        num_texts=len(texts),
        num_words=num_words,
        distinct_1=distinct(words, 1),
        distinct_2=distinct(words, 2),
        distinct_3=distinct(words, 3),
        compression_ratio=len(data) / len(zlib.compress(data, 6)),
        openings=tuple((text, -count) for count, text in often),
    )


def distinct(texts: Sequence[Sequence[str]], num_words: int) -> float:
    """Different sequences of `num_words` words per sequence there is (fraction; Li et al. 2016, arXiv 1510.03055)."""
    found = [tuple(words[start : start + num_words]) for words in texts for start in range(len(words) - num_words + 1)]
    return len(set(found)) / len(found) if found else 0.0
