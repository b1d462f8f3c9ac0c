"""What a task measures on, and what measuring one item gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table `evals`, without whom it was measured on."""

    item_id: str
    variant: str
    """Which text, order or scoring of the item this is."""
    cluster: str
    """Items of one cluster are not independent of each other."""
    score: float | None
    """In the task's unit; None where it could not be measured."""
    value: float | None
    """What the score means for this one item."""
    weight: float | None = None
    """What the score is divided by, summed over items (bytes)."""
    answer: str | None = None
    """What the model chose."""
    explanation: str | None = None
    """Why there is no score."""


class Material(Protocol):
    """The items of a task, loaded."""

    @property
    def item_ids(self) -> Sequence[str]:
        """Each item's id, in the order in which they are measured."""

    @property
    def content_hash(self) -> str:
        """Hash of everything that is shown to the model."""

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, item_ids: Sequence[str]
    ) -> list[Measured]:
        """Measure some of the items: every variant of each."""
