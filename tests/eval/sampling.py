"""Engines of tests for arms and judges, and recipes that ask them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from fakes.engine import FakeEngine

from corpus.engine import Request
from corpus.recipe import EngineSettings
from eval.evaluate import EvalReport

QUESTIONS = [
    {"item_id": f"q{n}", "cluster": f"d{n % 2}", "question": f"Question {n}?", "principle": f"Principle {n}."}
    for n in range(4)
]
CHOICES = [
    {"item_id": f"p{n}", "cluster": f"c{n}", "question": f"Which {n}?", "aligned": f"The one {n}.", "other": f"No {n}."}
    for n in range(3)
]


class Engines:
    """Stands for vLLM and for the judge, and remembers what each was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[Request], object] = lambda request: f"About {request.messages[-1].content}"
        self.grade: Callable[[Request], object] = lambda request: json.dumps({"reason": "so", "rating": 7})
        self.arms: list[FakeEngine] = []
        self.judges: list[FakeEngine] = []
        self.arm_seeds: list[int] = []
        self.judge_seeds: list[int] = []
        self.arm_context: int | None = None
        self.judge_context: int | None = None

    def arm(self, settings: EngineSettings, seed: int) -> FakeEngine:
        self.arms.append(FakeEngine(lambda request: self.answer(request)))
        self.arm_seeds.append(seed)
        self.arms[-1].context_tokens = self.arm_context
        return self.arms[-1]

    def judge(self, settings: EngineSettings, seed: int) -> FakeEngine:
        self.judges.append(FakeEngine(lambda request: self.grade(request)))
        self.judge_seeds.append(seed)
        self.judges[-1].context_tokens = self.judge_context
        return self.judges[-1]

    @property
    def num_answers(self) -> int:
        return sum(len(engine.asked) for engine in self.arms)

    @property
    def num_grades(self) -> int:
        return sum(len(engine.asked) for engine in self.judges)


def write_items(path: Path, items: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def value(report: EvalReport, metric: str) -> float | None:
    return next(row.estimate.value for row in report.arms if row.metric == metric and row.against is None)
