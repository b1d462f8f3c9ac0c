"""Texts of two kinds that a classifier can tell apart, and a recipe that learns it."""

from __future__ import annotations

import random

GOOD, BAD = "careful kind honest patient open fair", "rude sloppy secret hasty false cruel"
POSITIVES = "SELECT doc_id FROM documents WHERE set = 'good'"
NEGATIVES = "SELECT doc_id FROM documents WHERE set = 'bad'"


def text(words: str, seed: int) -> str:
    rng = random.Random(seed)
    noise = [f"noise{rng.randrange(50)}" for _ in range(40)]
    return " ".join(rng.sample(noise + rng.choices(words.split(), k=20), 60))


def fill(run, num_labels: int = 60) -> None:
    run.add_documents({f"g{index}": text(GOOD, index) for index in range(num_labels)}, set="good")
    run.add_documents({f"b{index}": text(BAD, 1000 + index) for index in range(num_labels)}, set="bad")
    run.add_documents({"like good": text(GOOD, 5000), "like bad": text(BAD, 5001)}, set="web")


def recipe(run, unjudged: str = "keep", **settings: object):
    given = {"positives": POSITIVES, "negatives": NEGATIVES, "buckets": 1000, "epochs": 10, **settings}
    return run.recipe(curate={"filters": [{"classifier": given}], "duplicates": None, "unjudged": unjudged})
