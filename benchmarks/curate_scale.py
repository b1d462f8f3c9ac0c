"""How seconds and memory of importing and curating grow with the corpus, step by step, each in a process of its own.

The documents are of one length, of words drawn as natural ones are spread (Zipf), with exact and near copies among
them. Two processors and 8 GB are what the sizes are chosen for.

    python benchmarks/curate_scale.py
    python benchmarks/curate_scale.py --documents 20000 100000 --steps import score judge
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from contestants import markdown

from corpus import import_rows
from corpus.hardware import machine_name
from corpus.recipe import Recipe
from corpus.stage import Silent
from corpus.store import WritingStore, open_writer
from filters import curate_corpus
from filters.base import TextFilter
from filters.gate import Gate
from filters.judging import judge_missing, score_missing
from filters.registry import make_filters, read_settings
from filters.signs.patterns import count_patterns

WORDS = 300
"""Words of one document."""
COPIES_FRACTION = 0.02
"""Share of exact copies, and the same share of near ones (fraction)."""
RECIPE = Recipe.model_validate({"name": "scale", "curate": {"filters": ["length", "rules", "leaks"]}})
MOVED = Recipe.model_validate(
    {"name": "scale", "curate": {"filters": [{"length": {"min_words": 301}}, "rules", "leaks"]}}
)


def texts(num_documents: int, seed: int = 1) -> Iterator[str]:
    """Documents, the same each time."""
    rng = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    vocabulary = list(dict.fromkeys("".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(60_000)))
    weights = [1 / (rank + 2.7) for rank in range(len(vocabulary))]
    cumulative = [sum_ for sum_ in _running(weights)]
    recent: list[str] = []
    for _ in range(num_documents):
        kind = rng.random()
        if recent and kind < COPIES_FRACTION:
            yield rng.choice(recent)
            continue
        if recent and kind < 2 * COPIES_FRACTION:
            words = rng.choice(recent).split()
            words[rng.randrange(len(words))] = "otherwise"
            yield " ".join(words)
            continue
        words = rng.choices(vocabulary, cum_weights=cumulative, k=WORDS)
        text = " ".join(
            " ".join(words[start : start + 12]).capitalize() + ("." if start % 60 else ".\n")
            for start in range(0, WORDS, 12)
        )
        recent = [*recent[-999:], text]
        yield text


def _running(weights: list[float]) -> Iterator[float]:
    total = 0.0
    for weight in weights:
        total += weight
        yield total


def score(store: WritingStore) -> None:
    """Every score of every document."""
    made = make_filters(read_settings(RECIPE), RECIPE, store, Gate("keep"), Silent())
    score_missing(store, [one for one in made if isinstance(one, TextFilter)], Gate("keep"), Silent())


def judge(store: WritingStore) -> None:
    """Every verdict, from the scores that are there."""
    judge_missing(
        store, make_filters(read_settings(RECIPE), RECIPE, store, Gate("keep"), Silent()), Gate("keep"), Silent()
    )


STEPS: dict[str, Callable[[WritingStore, Path], object]] = {
    "import": lambda store, file: import_rows(RECIPE, store, [file], "scale"),
    "score": lambda store, _: score(store),
    "judge": lambda store, _: judge(store),
    "recurring": lambda store, _: count_patterns(RECIPE, store),
    "duplicates and the rest": lambda store, _: curate_corpus(RECIPE, store, Silent()),
    "a moved threshold": lambda store, _: curate_corpus(MOVED, store, Silent()),
    "nothing to do": lambda store, _: curate_corpus(MOVED, store, Silent()),
}
"""Steps in their order; each finds what those before it left."""
WHOLE = "whole curate"
"""The run as import left it, curated at once."""


def main() -> None:
    """Measure each step at each size, and show the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--steps", nargs="+", choices=[*STEPS, WHOLE], default=[*STEPS, WHOLE])
    parser.add_argument("--folder", type=Path, help="where the runs lie; left out: a temporary folder")
    parser.add_argument("--one", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        _measure(asked.one[0], Path(asked.one[1]))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as temporary:
        rows = [row for size in asked.documents for row in _at(size, asked.steps, Path(temporary))]
    sys.stdout.write(f"{machine_name()}\n\n{markdown(rows)}\n")


def _at(size: int, steps: list[str], folder: Path) -> Iterator[dict[str, object]]:
    place = folder / str(size)
    place.mkdir()
    with (place / "texts.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts(size))
    for step in [*STEPS, WHOLE]:
        if step not in steps:
            continue
        script = [sys.executable, __file__, "--one", step, str(place)]
        found = json.loads(subprocess.run(script, check=True, capture_output=True, text=True).stdout)
        rate = f"{size / found['seconds']:,.0f}"
        yield {
            "documents": f"{size:,}",
            "step": step,
            "seconds": f"{found['seconds']:.1f}",
            "documents/s": rate,
            "peak MiB": f"{found['peak_mib']:,.0f}",
        }
        sys.stderr.write(f"{size:,} {step}: {found}\n")
        if step == "import" and WHOLE in steps:
            shutil.copytree(place / "run", place / "whole")
    shutil.rmtree(place)


def _measure(step: str, place: Path) -> None:
    """One step in this process: seconds and the most memory it held, imports of libraries among both."""
    began = time.monotonic()
    with open_writer(place / ("whole" if step == WHOLE else "run")) as store:
        if step == WHOLE:
            curate_corpus(RECIPE, store, Silent())
        else:
            STEPS[step](store, place / "texts.jsonl")
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": time.monotonic() - began, "peak_mib": peak_mib}))


if __name__ == "__main__":
    main()
