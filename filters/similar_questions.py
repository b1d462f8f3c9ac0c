"""Chats that ask what another chat asks already, in other words: the cosine of their questions' embeddings.

A chat's question is its first user message. Questions stand in an order of chance, by the hash of their own words, and
each is measured against all that stand before it; of two alike, the later one goes. So the order of two questions
never changes when more are added, twins share a place, and no kind of question (short, common, early) is preferred.
That a question counts although it goes itself, as in the published code of arXiv 2605.02087, makes the score
independent of the threshold: any threshold can be replayed from the scores. In a chain A ~ B ~ C, C goes with B, though
A and C may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import Field

from corpus.models import base_hash
from corpus.recipe import Section
from corpus.store import Store
from corpus.store.identity import draw
from filters.base import KEEP, Kind, Row, Score, TextFilter, Verdict
from filters.embedding import Vectors, embed_new, embedding_folder
from filters.gate import Gate
from filters.rows import PAIRS

_BLOCK_ROWS = 512
"""Questions compared with all earlier ones at a time: of 100,000, some 200 MB of cosines."""


class SimilarQuestionsSettings(Section):
    """How alike two questions may be, and by which model."""

    min_cosine: float = Field(0.91, gt=0, le=1)
    """Above this cosine two questions are near-duplicates (arXiv 2605.02087, with the same model: 0.91)."""
    model: str | None = None
    """A folder with another sentence model, mean-pooled; null: all-MiniLM-L6-v2, which `make setup` installs."""


@dataclass(frozen=True, slots=True)
class Question:
    """The first user message of a chat, or of a chat and its twin."""

    text: str
    chat_ids: tuple[str, ...]
    """The chat, or the twins, sorted."""


class SimilarQuestions(TextFilter):
    """The highest cosine of a chat's question with one that stands before it."""

    name = "similar_questions"
    version = 1
    applies_to = frozenset[Kind]({"chats"})
    settings: SimilarQuestionsSettings

    def __init__(self, settings: SimilarQuestionsSettings, questions: Sequence[Question], kept: Path) -> None:
        """Compare these questions, which are in order; the folder `kept` spares reading one a second time."""
        super().__init__(settings)
        self._questions = questions
        self._folder = embedding_folder(settings.model)
        self._model_hash = base_hash(self._folder)
        self._kept = kept / f"{self._model_hash.removeprefix('b2:')}.npz"

    @classmethod
    def scored_settings(cls, settings: Section) -> object:
        """The model, not the threshold; see `Filter.scored_settings`."""
        return settings.model_dump(mode="json", exclude={"min_cosine"})

    def scored_with(self) -> list[object]:
        """The model, and all that is compared; see `Filter.scored_with`."""
        return [self._model_hash, [[question.text, question.chat_ids] for question in self._questions]]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`; the evidence is the id of the chat with the question most alike."""
        asking = {chat_id for question in self._questions for chat_id in question.chat_ids}
        return [
            [self._scores[row.id] if row.id in asking else Score("cosine", None, label="no question")] for row in rows
        ]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        cosine = scores["cosine"].value
        return KEEP if cosine is None or cosine <= self.settings.min_cosine else Verdict("drop", "similar question")

    @cached_property
    def _scores(self) -> dict[str, Score]:
        vectors = embed_new([question.text for question in self._questions], self._folder, self._kept)
        return compare(self._questions, vectors)


def compare(questions: Sequence[Question], vectors: Vectors) -> dict[str, Score]:
    """The score of every chat whose question is among `questions`; the first one's has no value."""
    scores: dict[str, Score] = {}
    for question, nearest in zip(questions, nearest_before(vectors), strict=True):
        score = Score("cosine", None, label="first")
        if nearest is not None:
            place, cosine = nearest
            score = Score("cosine", cosine, evidence=questions[place].chat_ids[0])
        scores |= dict.fromkeys(question.chat_ids, score)
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


def read_questions(store: Store, gate: Gate) -> list[Question]:
    """The questions of the chats that come through the gate, in the order in which they are compared."""
    user = "list_filter(messages, lambda message: message.role = 'user')[1].content AS question"
    by_pair: dict[str, Question] = {}
    for row in gate.rows(store, "chats", f"{user}, {PAIRS['chats']} AS pair"):
        if row["question"] is not None:
            pair = str(row["pair"])
            known = by_pair.get(pair, Question(str(row["question"]), ()))
            by_pair[pair] = Question(known.text, (*known.chat_ids, str(row["id"])))
    return sorted(by_pair.values(), key=lambda question: (draw("question", question.text), question.chat_ids))
