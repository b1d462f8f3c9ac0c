"""Chats that ask what another chat asks already, in other words; `filters.meaning.similar` says how they are compared.

A chat's question is its first user message. Twins share a place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from corpus.recipe import Section
from corpus.store import Store
from corpus.store.identity import draw
from filters.base import KEEP, Kind, Score, Verdict
from filters.gate import Gate
from filters.meaning.embedding import Vectors, embed_new
from filters.meaning.similar import Compared, Similar, is_above
from filters.rows import PAIRS


class SimilarQuestionsSettings(Section):
    """How alike two questions may be, and by which model."""

    min_cosine: float = Field(0.91, gt=0, le=1)
    """Above this cosine two questions are near-duplicates (arXiv 2605.02087, with the same model: 0.91)."""
    model: str | None = None
    """A folder with another sentence model, mean-pooled; null: all-MiniLM-L6-v2, which `make setup` installs."""


class SimilarQuestions(Similar):
    """The highest cosine of a chat's question with one that stands before it."""

    name = "similar_questions"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {"min_cosine": "cosine"}
    applies_to = frozenset[Kind]({"chats"})
    none_label = "no question"
    settings: SimilarQuestionsSettings

    def __init__(self, settings: SimilarQuestionsSettings, questions: Sequence[Compared], kept: Path) -> None:
        """See `Similar`."""
        super().__init__(settings, settings.model, questions, kept)

    def scored_with(self) -> list[object]:
        """The model, and all that is compared; see `Filter.scored_with`."""
        return [self._model_hash, [[question.text, question.ids] for question in self._compared]]

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """See `Similar.vectors`: the questions as they are."""
        return embed_new(texts, self._folder, self._kept)

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        return Verdict("drop", "similar question") if is_above(scores, self.settings.min_cosine) else KEEP


def read_questions(store: Store, gate: Gate) -> list[Compared]:
    """The questions of the chats that come through the gate, in the order in which they are compared."""
    user = "list_filter(messages, lambda message: message.role = 'user')[1].content AS question"
    by_pair: dict[str, Compared] = {}
    for row in gate.rows(store, "chats", f"{user}, {PAIRS['chats']} AS pair"):
        if row["question"] is not None:
            pair = str(row["pair"])
            known = by_pair.get(pair, Compared(str(row["question"]), ()))
            by_pair[pair] = Compared(known.text, (*known.ids, str(row["id"])))
    return sorted(by_pair.values(), key=lambda question: (draw("question", question.text), question.ids))
