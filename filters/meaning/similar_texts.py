"""Documents that say what another document says already, in other words; `similar` says how they are compared.

The model reads 256 tokens at a time, so a document is read in pieces, and its vector is the mean of theirs. What it
sees is what a text is about more than how it says it: documents on one clause are alike by it and need not be copies.
So this is a score to look at; it drops nothing unless it is told above which cosine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from corpus.recipe import Section
from corpus.store import Store
from corpus.store.identity import content_id, draw
from filters.base import KEEP, Kind, Score, Verdict
from filters.gate import Gate
from filters.meaning.embedding import Vectors, embed_new
from filters.meaning.similar import Compared, Similar, is_above

_PIECE_WORDS = 180
"""Words that are read together: some 240 tokens of English (words; ours)."""


class SimilarTextsSettings(Section):
    """How alike two documents may be, and by which model."""

    min_cosine: float | None = Field(None, gt=0, le=1)
    """Above this cosine the later of two documents goes; null: documents are scored, and none goes."""
    model: str | None = None
    """A folder with another sentence model, mean-pooled; null: all-MiniLM-L6-v2, which `make setup` installs."""


class SimilarTexts(Similar):
    """The highest cosine of a document with one that stands before it."""

    name = "similar_texts"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {"min_cosine": "cosine"}
    applies_to = frozenset[Kind]({"documents"})
    none_label = "not compared"
    settings: SimilarTextsSettings

    def __init__(self, settings: SimilarTextsSettings, documents: Sequence[Compared], kept: Path) -> None:
        """See `Similar`."""
        super().__init__(settings, settings.model, documents, kept)

    def scored_with(self) -> list[object]:
        """The model, how texts are cut, and all that is compared; see `Filter.scored_with`."""
        compared = [[content_id("text", document.text), document.ids] for document in self._compared]
        return [self._model_hash, _PIECE_WORDS, compared]

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """See `Similar.vectors`: the mean over a document's pieces, brought to length 1."""
        pieces = [_pieces(text) for text in texts]
        found = embed_new([piece for of_text in pieces for piece in of_text], self._folder, self._kept)
        starts = np.cumsum([0, *map(len, pieces[:-1])])
        sums = np.add.reduceat(found, starts, axis=0)
        vectors: Vectors = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
        return vectors

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        return Verdict("drop", "similar text") if is_above(scores, self.settings.min_cosine) else KEEP


def read_documents(store: Store, gate: Gate) -> list[Compared]:
    """The documents that come through the gate, in the order in which they are compared."""
    rows = gate.rows(store, "documents", "text")
    documents = [Compared(str(row["text"]), (str(row["id"]),)) for row in rows]
    return sorted(documents, key=lambda document: (draw("text", document.text), document.ids))


def _pieces(text: str) -> list[str]:
    """At least one, though it be empty."""
    found = text.split()
    return [" ".join(found[start : start + _PIECE_WORDS]) for start in range(0, max(len(found), 1), _PIECE_WORDS)]
