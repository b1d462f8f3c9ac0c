"""What a task measures on, and what measuring one item gives.

A task has one side or both: `Scored` material is scored by log-probability on a loaded model, `Sampled` material is
answered by an engine, and its answers are read by rule and, where a rule cannot, by a judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from corpus.engine.judge import JudgeReply
from prompts import Message

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
    """What the model chose, or the words that decided."""
    explanation: str | None = None
    """Why there is no score; with a judge's score, its reason."""
    judge: str | None = None
    """The model that judged; None where a rule or a log-probability did."""


class HasCluster(Protocol):
    """What items of every kind have."""

    @property
    def cluster(self) -> str:
        """Items of one cluster are not independent of each other."""


AnyItem = TypeVar("AnyItem", bound=HasCluster)


class ById(Generic[AnyItem]):
    """Items by their ids, in their order."""

    def __init__(self, items: Mapping[str, AnyItem]) -> None:
        """Keep them."""
        self._items = items

    @property
    def item_ids(self) -> Sequence[str]:
        """Each item's id, in the order in which they are measured."""
        return list(self._items)

    @property
    def clusters(self) -> Mapping[str, str]:
        """The cluster of each item, by its id."""
        return {item_id: item.cluster for item_id, item in self._items.items()}


class Scored(Protocol):
    """Items of a task that are scored by log-probability."""

    @property
    def item_ids(self) -> Sequence[str]:
        """Each item's id, in the order in which they are measured."""

    @property
    def clusters(self) -> Mapping[str, str]:
        """The cluster of each item, by its id."""

    @property
    def content_hash(self) -> str:
        """Hash of everything that is shown to the model."""

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, item_ids: Sequence[str]
    ) -> list[Measured]:
        """Measure some of the items: every variant of each."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt of a task, which gets `samples` answers."""

    item_id: str
    variant: str
    """Which order or form of the item this is; "" where it has one."""
    cluster: str
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Question:
    """What a judge is asked about one answer; nothing in it says which arm gave the answer."""

    messages: Sequence[Message]
    form: type[JudgeReply]
    rubric: str
    """Hash of the rubric's prompt."""
    conclude: Callable[[JudgeReply], Sequence[Measured]]
    """Rows from a reply that could be read."""
    unjudged: Callable[[str], Sequence[Measured]]
    """Rows without a score, where no reply could be read; takes the reason."""


@dataclass(frozen=True)
class Reading:
    """What an answer says."""

    rows: Sequence[Measured] = ()
    """What rules tell at once."""
    question: Question | None = None
    """What only a judge can tell."""


class Sampled(Protocol):
    """Items of a task whose answers are sampled."""

    @property
    def prompts(self) -> Sequence[Asked]:
        """Every prompt, in the order in which they are asked."""

    samples: int
    """Answers to each prompt."""
    max_tokens: int
    """Longest answer (tokens of the arm's model)."""
    temperature: float
    """Sampling temperature."""

    @property
    def rubrics(self) -> Sequence[str]:
        """Hashes of the prompts that the judge is asked with."""

    @property
    def reading_hash(self) -> str:
        """Hash of how answers are read: the rubric, the parser's version."""

    def read(self, asked: Asked, text: str, can_judge: bool) -> Reading:
        """What one whole answer says; without a judge, every row that one would give says so.

        An answer that is cut off or empty is an answer too: its text is what there is of it.
        """
