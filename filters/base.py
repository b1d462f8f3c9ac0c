"""What a filter is: it scores a text once, and judges the scores as often as its thresholds change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

from corpus.recipe import Section
from corpus.store.identity import content_id

Kind = Literal["documents", "chats"]
Outcome = Literal["keep", "drop", "unjudged"]
KINDS: tuple[Kind, ...] = ("documents", "chats")


@dataclass(frozen=True, slots=True)
class Row:
    """What a filter sees of one document or chat."""

    id: str
    kind: Kind
    text: str
    """A document's text, or the assistant's turns of a chat with a blank line between them."""
    asked: str = ""
    """The other turns of a chat, with a blank line between them."""
    answers: tuple[str, ...] = ()
    """The assistant's turns of a chat."""
    instructions: tuple[str, ...] = ()
    """What the writer was told besides the clauses, as it stood in the prompt; none for an imported row."""
    reasoning: bool = False
    """Whether a chat's answers are meant to begin with a `<think>` block."""
    opening: str = ""
    """What the text was begun with for its writer, who is not to blame for it."""
    family: str | None = None
    """The family of a document's genre; None for chats, and for documents without a genre that is known."""


@dataclass(frozen=True, slots=True)
class Score:
    """One thing that was measured in one text."""

    name: str
    value: float | None
    label: str | None = None
    evidence: str | None = None
    """The place in the text that it was measured at."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a row, by one filter."""

    outcome: Outcome
    reason: str | None = None
    """Why it is not kept: a fixed phrase, so that reasons can be counted."""


KEEP = Verdict("keep")


class Filter(ABC):
    """One filter with its settings: how it judges by scores, wherever they come from."""

    name: str
    """Its own, or the one that its settings give it."""
    version: ClassVar[int]
    """Raised when the code gives other scores or verdicts than before."""
    thresholds: ClassVar[Mapping[str, str] | None] = None
    """Settings that only judge, by the score that each judges by; all others make the scores. None: the scores depend
    on what `scored_with` says of the settings alone."""
    applies_to: frozenset[Kind] = frozenset(KINDS)
    """What it judges: what its settings say under that name, where they say something."""

    def __init__(self, settings: Section) -> None:
        """Take the settings as they were checked."""
        self.settings = settings
        self.name = getattr(settings, "name", self.name)
        given: Kind | Sequence[Kind] | None = getattr(settings, "applies_to", None)
        if given is not None:
            self.applies_to = frozenset([given] if isinstance(given, str) else given)

    @classmethod
    def to_judge(cls, settings: Section) -> Self:
        """A filter that can judge by scores that are there, and do nothing else: no model is loaded, none is asked."""
        judging = cls.__new__(cls)
        Filter.__init__(judging, settings)
        return judging

    @classmethod
    def scored_settings(cls, settings: Section) -> object:
        """What of the settings the scores depend on; all others are thresholds, which move without new scores."""
        if cls.thresholds is None:
            return cls.to_judge(settings).scored_with()
        return {name: value for name, value in settings if name not in cls.thresholds}

    @classmethod
    def score_behind(cls, setting: str) -> str:
        """The name of the score that a threshold is a line through: `max_x` and `min_x` are limits of the score `x`."""
        named = cls.thresholds or {}
        return named.get(setting, setting.removeprefix("min_").removeprefix("max_"))

    def scored_with(self) -> list[object]:
        """What the scores depend on besides text and code; thresholds are no part of it."""
        return []

    def judged_with(self) -> list[object]:
        """What the verdicts depend on besides scores and settings."""
        return []

    @cached_property
    def scorer_hash(self) -> str:
        """Names how the scores were made: texts are scored again only when it changes."""
        return content_id("scorer", self.name, self.version, self.scored_with())

    @property
    def filter_hash(self) -> str:
        """Names how the verdicts were made: scorer and thresholds."""
        return content_id("filter", self.scorer_hash, self.settings.model_dump(mode="json"), *self.judged_with())

    @abstractmethod
    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """The verdict that follows from one row's scores, by their names; evidence counts only beside no value."""


class TextFilter(Filter):
    """A filter that measures texts. Subclasses are pure: the same text gives the same scores."""

    @abstractmethod
    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """The scores of each row, at least one a row, in the order of the rows."""
