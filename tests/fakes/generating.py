"""Generating with a fake engine, and counting words for tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from corpus import generate_corpus, generation
from corpus.engine import Engine
from corpus.generate_report import GenerateReport
from corpus.run import Run
from corpus.stage import Silent, StageReport


@dataclass
class Said(Silent):
    """Keeps the notes."""

    notes: list[str] = field(default_factory=list)

    def note(self, message: str) -> None:
        self.notes.append(message)


@dataclass
class Generated:
    """What generating did and said."""

    report: GenerateReport
    notes: list[str]

    @property
    def num_failed(self) -> int:
        return self.report.num_failed

    def stage(self, name: str) -> StageReport:
        """The report of one stage; of nothing missing, where the engine was not needed."""
        return next((each for each in self.report.stages if each.stage == name), StageReport(name, 0))


def generated(run: Run, engine: Engine, **effort: bool) -> Generated:
    """Generate in a run that is open."""

    def count(*_: object) -> Callable[[Sequence[object]], list[int]]:
        return lambda texts: [len(str(text).split()) for text in texts]

    said = Said()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "token_counter", count)
        patch.setattr(generation, "chat_token_counter", count)
        patch.setattr(generation, "open_engine", lambda settings, seed: engine)
        return Generated(generate_corpus(run.recipe, run.store, said, **effort), said.notes)
