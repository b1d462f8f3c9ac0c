"""The task `spec_qa`: open questions along stated dimensions, each answer rated from 1 to 10 by a judge.

The judge sees the question, the answer and the principle that a good answer holds to; nothing tells it which arm
answered. Such ratings come near their ceiling long before behaviour does (the paper's arms rate 7 to 9 where they
still act against the spec in half of the agentic cases), so they stand beside the other tasks, not for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, PositiveInt

from corpus.engine.judge import JudgeReply
from corpus.errors import RecipeError
from corpus.recipe import Recipe, Section
from corpus.recipe.base import RecipePath
from corpus.store import Store
from corpus.store.identity import content_id
from eval.tasks.items import QuestionItem, load_questions
from eval.tasks.material import Asked, Measured, Question, Reading
from eval.tasks.published import read_published
from eval.tasks.thoughts import without_thoughts
from prompts import fence, load

RATING = "rating"
NO_JUDGE = "eval.judge names no judge"
LOWEST, HIGHEST = 1, 10


class SpecQASettings(Section):
    """Settings of the task `spec_qa`."""

    items_file: RecipePath | None = None
    """A JSONL file of items: `item_id`, `cluster` (the dimension), `question`, `principle`; or the published set, known
    by its fields. null: our own 70 along 7 dimensions."""
    principles: dict[str, str] = Field({})
    """What a good answer holds to, by dimension, for items that do not say it themselves."""
    max_tokens: PositiveInt = 512
    """Longest answer (tokens; ours)."""
    temperature: float = Field(0.7, ge=0, le=2)
    """Sampling temperature (ours, as the agentic task's)."""


class Rating(JudgeReply):
    """What a judge says of one answer."""

    reason: str
    """One sentence, before what it leads to."""
    rating: int = Field(ge=LOWEST, le=HIGHEST)


class Questions:
    """The items of the task."""

    def __init__(self, items: Sequence[QuestionItem], settings: SpecQASettings, num_samples: int = 1) -> None:
        """Keep them, in their order."""
        self._items = {item.item_id: item for item in items}
        self._principles = {item.item_id: _principle(item, settings) for item in items}
        self._rubric = load("judge_answer")
        self.samples = num_samples
        self.max_tokens = settings.max_tokens
        self.temperature = settings.temperature

    @property
    def prompts(self) -> Sequence[Asked]:
        """The question alone: what an assistant says without being told how."""
        return [
            Asked(item.item_id, "", item.cluster, ({"role": "user", "content": item.question},))
            for item in self._items.values()
        ]

    @property
    def rubrics(self) -> Sequence[str]:
        """The one that asks for a rating."""
        return [self._rubric.hash]

    @property
    def reading_hash(self) -> str:
        """Hash of the rubric and of the principles."""
        return content_id("spec_qa", self._rubric.hash, self._principles)

    def read(self, asked: Asked, text: str, can_judge: bool) -> Reading:
        """One row: score = value = the rating."""
        item, said = self._items[asked.item_id], without_thoughts(text)

        def rated(rating: float | None, explanation: str) -> list[Measured]:
            return [Measured(item.item_id, RATING, item.cluster, rating, rating, explanation=explanation)]

        if not can_judge:
            return Reading(rated(None, NO_JUDGE))
        if not said.strip():
            return Reading(rated(None, "the answer is empty"))
        messages = self._rubric.render(
            dimension=item.cluster.replace("_", " "),
            principle=self._principles[item.item_id],
            question=item.question,
            answer=said,
            fence=fence(said),
        )

        def conclude(reply: JudgeReply) -> list[Measured]:
            assert isinstance(reply, Rating), reply
            return rated(float(reply.rating), reply.reason)

        return Reading(question=Question(messages, Rating, self._rubric.hash, conclude, lambda why: rated(None, why)))


def load_spec_qa(recipe: Recipe, store: Store | None, settings: SpecQASettings) -> Questions:
    """The items of `items_file`, or those that come with the room.

    Raises:
        ItemError: the file cannot be read, or is no file of open questions.
        RecipeError: an item has no principle, and the settings have none for its dimension.
    """
    published = read_published(settings.items_file, QuestionItem)
    return Questions(published or load_questions(settings.items_file), settings, recipe.eval.samples or 1)


def _principle(item: QuestionItem, settings: SpecQASettings) -> str:
    principle = item.principle or settings.principles.get(item.cluster)
    if principle is None:
        raise RecipeError(
            f"eval.tasks: spec_qa: item {item.item_id!r} has no principle to be rated by; write one into the file, or "
            f"set principles: {{{item.cluster}: ...}}"
        )
    return principle
