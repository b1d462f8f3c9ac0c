"""The task `capability`: whether training cost the model what it knew, with a margin that is stated beforehand.

Each choice is scored in full as the assistant's answer to the question alone, so a base model, a midtrained and a
fine-tuned one are asked alike; right is the choice of the highest log-probability, and beside it of the highest per
byte. "No significant drop" proves nothing with few items; what is asked for is that the lower end of the one-sided
interval of the difference stays above minus the margin (non-inferiority).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from corpus.recipe import Recipe, Section
from corpus.recipe.base import RecipePath
from corpus.store import Store
from corpus.store.identity import content_id
from eval.scoring.chat import render_prompt
from eval.scoring.continuations import Scored, score_continuations
from eval.tasks.items import KnowledgeItem, item_hash, load_knowledge
from eval.tasks.material import ById, Measured
from prompts import Message

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ACCURACY, ACCURACY_PER_BYTE = "accuracy", "accuracy_per_byte"
UNSCORED = (
    "a choice has no log-probability: with its question it is longer than the model's context, or the model gave no "
    "number"
)


class CapabilitySettings(Section):
    """Settings of the task `capability`."""

    items_file: RecipePath | None = None
    """A JSONL file of items: `item_id`, `cluster`, `question`, `choices`, `answer` (index from 0). null: our own 200 in
    10 clusters."""
    margin: float = Field(0.02, gt=0, lt=1)
    """Loss of accuracy that would be accepted (fraction; 2 points, stated before anything is measured)."""
    batch_tokens: PositiveInt = 512
    """Tokens of one forward pass (tokens); as the task `preference`'s."""


class Knowledge(ById[KnowledgeItem]):
    """The items of the task."""

    def __init__(self, items: Sequence[KnowledgeItem], settings: CapabilitySettings) -> None:
        """Keep them, in their order."""
        super().__init__({item.item_id: item for item in items})
        self._settings = settings

    @property
    def content_hash(self) -> str:
        """Hash of the items; the question is asked as it stands."""
        return content_id("knowledge", item_hash(*self._items.values()))

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, item_ids: Sequence[str]
    ) -> list[Measured]:
        """Two rows an item: score = log-probability of the right choice less the best other's; value = 1 if it wins."""
        items = [self._items[item_id] for item_id in item_ids]
        pairs: list[tuple[str | Sequence[int], str]] = []
        for item in items:
            question: Message = {"role": "user", "content": item.question}
            asked = render_prompt(tokenizer, [question])
            pairs += [(asked, choice) for choice in item.choices]
        scored = iter(score_continuations(model, tokenizer, pairs, self._settings.batch_tokens))
        return [row for item in items for row in _rows(item, [next(scored) for _ in item.choices])]


def load_capability(recipe: Recipe, store: Store | None, settings: CapabilitySettings) -> Knowledge:
    """The items of `items_file`, or those that come with the room.

    Raises:
        ItemError: the file cannot be read, or is no file of questions with choices.
    """
    return Knowledge(load_knowledge(settings.items_file), settings)


def _rows(item: KnowledgeItem, scored: Sequence[Scored]) -> list[Measured]:
    rows = []
    for variant in (ACCURACY, ACCURACY_PER_BYTE):
        margin = None
        nats = [one.whole_logprob for one in scored]
        known = [value for value in nats if value is not None]
        if len(known) == len(nats):
            sizes = [one.num_bytes if variant == ACCURACY_PER_BYTE else 1 for one in scored]
            each = [value / size for value, size in zip(known, sizes, strict=True)]
            margin = each[item.answer] - max(value for place, value in enumerate(each) if place != item.answer)
        rows.append(
            Measured(
                item_id=item.item_id,
                variant=variant,
                cluster=item.cluster,
                score=margin,
                value=None if margin is None else float(margin > 0),
                explanation=UNSCORED if margin is None else None,
            )
        )
    return rows
