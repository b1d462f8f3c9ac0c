"""Seconds to see what another threshold would change, beside seconds to curate with it; guesses of fastText a second.

A run of documents of words in an order of chance is imported and curated for real; then each threshold is moved, by
`--what-if` and by curating, in turn. Duplicates are not looked for in either: that time is the same in both.

    python benchmarks/move_threshold.py --documents 100000 --words 60
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from corpus.console import show_table
from corpus.hardware import machine_name
from corpus.recipe import Recipe
from corpus.stage import Silent
from corpus.store import WritingStore, open_writer
from corpus.store.schema import TABLES
from filters import curate_corpus, what_if
from filters.learned.fasttext_model import Labelled, save, train
from filters.learned.guessing import Guesser, as_line

CHANGES = ("length.min_words=50", "rules.max_top_2gram_fraction=0.05", "helpful.min_probability=0.9")
LABELS = 500
"""Rows of each label that the classifier learns from."""
SEED = 17


def main() -> None:
    """Measure and print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--documents", type=int, default=20_000)
    arguments.add_argument("--words", type=int, default=60, help="words of a document, on average")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_writer(Path(folder) / "run") as store:
        _write(store, given.documents, given.words)
        replayed = _replays(store, given.documents)
        guessed = _guesses(Path(folder), given.documents, given.words)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    show_table(f"{given.documents} documents on {machine_name()}, peak {peak:.2f} GiB", replayed)
    show_table("guesses", guessed)


def _text(rng: random.Random, num_words: int) -> str:
    return " ".join(f"w{int(rng.paretovariate(0.6)) % 20_000}" for _ in range(num_words))


def _write(store: WritingStore, num_documents: int, num_words: int) -> None:
    rng = random.Random(SEED)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, num_documents, 10_000):
            rows = []
            for number in range(start, min(start + 10_000, num_documents)):
                text = _text(rng, rng.randrange(num_words // 2, num_words * 3 // 2))
                row: dict[str, object] = dict.fromkeys(TABLES["documents"].schema.names)
                rows.append({
                    **row, "doc_id": f"d{number:09d}", "set": ("good", "bad")[number % 2], "clause_ids": [],
                    "genre": f"genre {number % 20}", "text": text, "num_tokens": len(text.split()),
                })  # fmt: skip
            yield from pa.Table.from_pylist(rows, schema=TABLES["documents"].schema).to_batches()

    store.writer("corpus").add_part("documents", batches())


def _recipe(**changed: dict[str, object]) -> Recipe:
    of_label = f"SELECT doc_id FROM documents WHERE set = '{{}}' ORDER BY doc_id LIMIT {LABELS}"
    filters: list[dict[str, object]] = [
        {"length": {"min_words": 40, **changed.get("length", {})}},
        {"rules": {**changed.get("rules", {})}},
        {"classifier": {"name": "helpful", "positives": of_label.format("good"), "negatives": of_label.format("bad"),
                        **changed.get("helpful", {})}},
    ]  # fmt: skip
    return Recipe.model_validate({"name": "run", "curate": {"filters": filters, "duplicates": None}})


def _timed(do: Callable[[], object]) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began


def _replays(store: WritingStore, num_documents: int) -> list[dict[str, object]]:
    base = _recipe()
    first = _timed(lambda: curate_corpus(base, store, Silent()))
    rows: list[dict[str, object]] = [
        {"what": "curating at first", "by curating s": round(first, 2), "what-if s": None, "documents/s": None}
    ]
    for change in CHANGES:
        name, _, rest = change.partition(".")
        setting, _, value = rest.partition("=")
        asked = _timed(lambda change=change: what_if(base, store, [change]))
        moved = _recipe(**{name: {setting: float(value) if "." in value else int(value)}})
        curated = _timed(lambda moved=moved: curate_corpus(moved, store, Silent()))
        curate_corpus(base, store, Silent())
        rows.append({"what": change, "by curating s": round(curated, 2), "what-if s": round(asked, 2),
                     "documents/s": round(num_documents / asked)})  # fmt: skip
    return rows


def _guesses(folder: Path, num_documents: int, num_words: int) -> list[dict[str, object]]:
    rng = random.Random(SEED)
    texts = [_text(rng, num_words) for _ in range(min(num_documents, 50_000))]
    labels = [f"__label__{('good', 'bad')[number % 2]}" for number in range(len(texts))]
    examples = [Labelled(as_line(text), label) for text, label in zip(texts[:1000], labels[:1000], strict=True)]
    parameters = {"seed": 0, "lr": 0.5, "epoch": 5, "dim": 32, "bucket": 200_000, "wordNgrams": 2}
    save(train(examples, parameters)[0], folder / "model.bin")
    rows: list[dict[str, object]] = []
    for num_processes in sorted({1, len(os.sched_getaffinity(0))}):
        guesser = Guesser(words_only=True, num_processes=num_processes)
        for _ in range(2):  # the first texts are read in this process, and starting the others is not measured
            guesser.guess(folder / "model.bin", texts, labels)
        seconds = _timed(lambda guesser=guesser: guesser.guess(folder / "model.bin", texts, labels))
        rows.append({"processes": num_processes, "texts": len(texts), "texts/s": round(len(texts) / seconds)})
    return rows


if __name__ == "__main__":
    main()
