"""Evaluates one arm on questions with engines of tests, in a process that a test kills: argument 1 is the run."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path

from corpus.engine import Reply, Request
from corpus.recipe import EngineSettings, Recipe
from corpus.stage import Silent
from corpus.store import open_writer
from eval import answering, grading
from eval.evaluate import evaluate_missing

NUM_QUESTIONS, SAMPLES = 12, 3


class Slow:
    """Answers and grades by the hash of what it is asked, after some milliseconds."""

    model, max_in_flight, context_tokens = "slow", 4, None

    async def complete(self, request: Request) -> Reply:
        await asyncio.sleep(0.01)
        number = int(hashlib.md5(repr((request.messages, request.seed)).encode()).hexdigest(), 16)
        text = (
            f"Answer {number % 997}."
            if request.schema is None
            else json.dumps({"reason": "so", "rating": 1 + number % 10})
        )
        return Reply(text, "stop", 5, 0, 5)

    def count_tokens(self, request: Request) -> int:
        return 10

    async def __aenter__(self) -> Slow:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


def main() -> None:
    root = Path(sys.argv[1])
    items = root.parent / "questions.jsonl"
    rows = [
        {"item_id": f"q{n}", "cluster": f"c{n % 3}", "question": f"Question {n}?", "principle": "P."}
        for n in range(NUM_QUESTIONS)
    ]
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = root.parent / "base"
    base.mkdir(exist_ok=True)
    (base / "config.json").write_text("{}")
    recipe = Recipe.model_validate(
        {
            "name": "run",
            "arms": {"base": []},
            "engines": {"judge": {}},
            "train": {"model": str(base), "precision": "fp32"},
            "eval": {
                "tasks": [{"spec_qa": {"items_file": str(items)}}],
                "samples": SAMPLES,
                "judge": "judge",
                "judging": {"twice_fraction": 0.3},
            },
        }
    )
    answering.open_engine = grading.open_engine = lambda settings, seed: Slow()
    with open_writer(root) as store:
        evaluate_missing(recipe, store, None, Silent(), None, lambda *_: EngineSettings())
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
