"""How long SQL over a large run takes, beside Polars (lazy) and pandas on the same Parquet files.

The run is synthetic, but written by the store's own writers: documents, nine in ten of them with a brief, ten scores
and five verdicts each, and duplicates. One brief in a hundred is of an earlier recipe, as in a run that was gone on
with: its document is stale and must not be counted. Three questions: the funnel, the coverage matrix, and a threshold
replay. Specmill answers by `run_sql`: taking the snapshot, making the views and the sandbox are in its time. The
peers read the same parts. Processes take turns; each answers twice, and the second answer counts, so that imports and
starting threads are outside the clock. Answers have to be equal.

    python benchmarks/sql_speed.py --documents 1000000
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from contestants import ENVIRONMENTS, HERE, markdown

from corpus.inspect.sql import run_sql
from corpus.store import open_writer
from corpus.store.identity import content_id
from corpus.store.schema import TABLES

QUESTIONS = ("funnel", "coverage", "threshold_replay")
REPLAY = {"scorer": "scorer-2", "name": "score-2-0", "at_least": 0.25}
PEERS = {"polars": "polars", "pandas": "pandas"}
NUM_CLAUSES, NUM_GENRES = 120, 24
SCORERS, SCORES_EACH = 5, 2
BATCH_ROWS = 8_192
"""Documents of one batch: as many as curation judges at a time."""


def ids(kind: str, start: int, stop: int) -> list[str]:
    """Ids as real ones are: 35 characters without an order."""
    return [content_id(kind, number) for number in range(start, stop)]


def record_batch(table: str, num_rows: int, columns: dict[str, object]) -> pa.RecordBatch:
    """A batch of a table's schema; columns that are not given are null."""
    schema = TABLES[table].schema
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(num_rows, field.type)
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)


def repeated(value: str, num: int) -> pa.Array:
    """One value, many times."""
    return pa.repeat(pa.scalar(value, pa.string()), num)


class Made:
    """The rows of a synthetic run, in batches: as much as one of them is in memory at a time."""

    def __init__(self, num_documents: int, num_words: int) -> None:
        """So many documents, of so many words each."""
        self._num_documents, self._num_words = num_documents, num_words
        self._clause_ids = ids("clause", 0, NUM_CLAUSES)
        self._spans = [(start, min(start + BATCH_ROWS, num_documents)) for start in range(0, num_documents, BATCH_ROWS)]

    def _placed(self, start: int, stop: int) -> tuple[list[list[str]], list[str]]:
        """Clauses and genres of some documents."""
        clauses = [[self._clause_ids[number * 7 % NUM_CLAUSES]] for number in range(start, stop)]
        return clauses, [f"genre {number * 5 // 3 % NUM_GENRES}" for number in range(start, stop)]

    def briefs(self, pass_hash: str) -> Iterator[pa.RecordBatch]:
        """One a document; each hundredth is in the pass of an earlier recipe, and its document stale."""
        for start, stop in self._spans:
            clauses, genres = self._placed(start, stop)
            num = stop - start
            is_of_pass = [(number % 100 == 0) == (pass_hash == "briefs-0") for number in range(start, stop)]
            yield record_batch("briefs", num, {
                "brief_id": ids("brief", start, stop), "kind": repeated("document", num), "clause_ids": clauses,
                "genre": genres, "idea": [f"idea {number}" for number in range(start, stop)],
                "context_hash": repeated("b2:c", num), "pass_hash": repeated(pass_hash, num),
            }).filter(pa.array(is_of_pass))  # fmt: skip

    def documents(self) -> Iterator[pa.RecordBatch]:
        """Nine in ten generated, the others imported."""
        words = [f"word{number}" for number in range(2_000)]
        for start, stop in self._spans:
            clauses, genres = self._placed(start, stop)
            num, draw = stop - start, random.Random(start)
            generated = [number < self._num_documents * 9 // 10 for number in range(start, stop)]
            brief_ids = ids("brief", start, stop)
            yield record_batch("documents", num, {
                "doc_id": ids("document", start, stop),
                "brief_id": [one if made else None for one, made in zip(brief_ids, generated, strict=True)],
                "context_hash": ["b2:c" if made else None for made in generated], "clause_ids": clauses,
                "set": ["generated" if made else "essays" for made in generated], "genre": genres,
                "text": [" ".join(draw.choices(words, k=self._num_words)) for _ in range(num)],
                "num_tokens": [self._num_words * 4 // 3] * num, "num_chars": [self._num_words * 8] * num,
            })  # fmt: skip

    def scores(self) -> Iterator[pa.RecordBatch]:
        """Ten each, between 0 and 1."""
        for start, stop in self._spans:
            num, draw = (stop - start) * SCORERS * SCORES_EACH, np.random.default_rng(start)
            names = [(f"scorer-{one}", f"score-{one}-{two}") for one in range(SCORERS) for two in range(SCORES_EACH)]
            yield record_batch("scores", num, {
                "doc_id": [one for one in ids("document", start, stop) for _ in names],
                "scorer": [scorer for scorer, _ in names] * (stop - start), "value": draw.random(num),
                "name": [name for _, name in names] * (stop - start),
                "scorer_hash": [f"b2:{scorer}" for scorer, _ in names] * (stop - start),
            })  # fmt: skip

    def verdicts(self) -> Iterator[pa.RecordBatch]:
        """Five each, one in twenty-five a drop."""
        for start, stop in self._spans:
            num, draw = (stop - start) * SCORERS, np.random.default_rng(start + 1)
            outcomes = np.where(draw.random(num) < 0.04, "drop", "keep")
            names = [f"scorer-{one}" for one in range(SCORERS)]
            yield record_batch("verdicts", num, {
                "doc_id": [one for one in ids("document", start, stop) for _ in names],
                "filter": names * (stop - start), "outcome": outcomes.tolist(),
                "filter_hash": [f"b2:{name}" for name in names] * (stop - start),
            })  # fmt: skip

    def duplicates(self) -> Iterator[pa.RecordBatch]:
        """Clusters of four among the first tenth."""
        found = [(number, number - number % 4) for number in range(0, self._num_documents // 10)]
        for start in range(0, len(found), BATCH_ROWS):
            members = found[start : start + BATCH_ROWS]
            survivors = [content_id("document", survivor) for _, survivor in members]
            yield record_batch("duplicates", len(members), {
                "doc_id": [content_id("document", member) for member, _ in members], "survivor_id": survivors,
                "cluster_id": survivors, "kind": repeated("near", len(members)),
                "pass_hash": repeated("dups-1", len(members)),
            })  # fmt: skip

    def mix(self) -> Iterator[pa.RecordBatch]:
        """Every fifth document of the second half."""
        kept = range(self._num_documents // 2, self._num_documents, 5)
        for start in range(0, len(kept), BATCH_ROWS):
            chosen = kept[start : start + BATCH_ROWS]
            yield record_batch("mixes", len(chosen), {
                "mix": repeated("docs", len(chosen)), "position": list(range(start, start + len(chosen))),
                "doc_id": [content_id("document", number) for number in chosen], "repeat": [0] * len(chosen),
                "num_tokens": [10] * len(chosen), "pass_hash": repeated("mix-1", len(chosen)),
            })  # fmt: skip

    def clauses(self) -> pa.RecordBatch:
        """All of them are rules that may be written on."""
        return record_batch("clauses", NUM_CLAUSES, {
            "clause_id": self._clause_ids, "ordinal": list(range(NUM_CLAUSES)), "kind": ["rule"] * NUM_CLAUSES,
            "path": [["A spec", f"Clause {number}"] for number in range(NUM_CLAUSES)],
            "split": ["train"] * NUM_CLAUSES, "text": ["text"] * NUM_CLAUSES, "pass_hash": ["spec-1"] * NUM_CLAUSES,
        })  # fmt: skip


def make_run(root: Path, num_documents: int, num_words: int, *, has_many_parts: bool) -> None:
    """Write the run: a part a table, or a part a batch as curation writes them."""
    made = Made(num_documents, num_words)
    with open_writer(root) as store:
        corpus, filters = store.writer("corpus"), store.writer("filters")
        corpus.commit("clauses", "spec-1", [made.clauses()])
        for pass_hash in ("briefs-0", "briefs-1"):
            corpus.commit("briefs", pass_hash, made.briefs(pass_hash))
        for writer, table, rows in (
            (corpus, "documents", made.documents()),
            (filters, "scores", made.scores()),
            (filters, "verdicts", made.verdicts()),
        ):
            for part in ([batch] for batch in rows) if has_many_parts else [rows]:
                writer.add_part(table, part)
        filters.commit("duplicates", "dups-1", made.duplicates())
        filters.commit("mixes", "mix-1", made.mix())
        corpus.set_current("clauses", {"all": "spec-1"})
        corpus.set_current("briefs", {"all": "briefs-1"})
        filters.set_current("scores", {f"scorer-{one}": f"b2:scorer-{one}" for one in range(SCORERS)})
        filters.set_current("verdicts", {f"scorer-{one}": f"b2:scorer-{one}" for one in range(SCORERS)})
        filters.set_current("duplicates", {"all": "dups-1"})
        filters.set_current("mixes", {"docs": "mix-1"})


def answer_ours(root: Path, question: str) -> list[list[object]]:
    """The rows of a question, by the named query."""
    given = {name: str(value) for name, value in REPLAY.items()} if question == "threshold_replay" else {}
    return [list(row.values()) for row in run_sql(root, question, given).table.to_pylist()]


def timed(answer: Callable[[], list[list[object]]]) -> None:
    """Print the seconds of the first and of the second answer of this process, its most memory, and the rows."""
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        rows = answer()
        seconds.append(time.perf_counter() - began)
    [peak] = (
        int(line.split()[1]) / 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak, "rows": rows}))


def peer_python(name: str, environments: Path) -> Path:
    """The Python of a peer's own environment, which is made if need be."""
    home = environments / f"sql-{name}"
    if not (home / "ready").exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
        packages = [PEERS[name], "pyarrow", "numpy"]
        subprocess.run([uv, "pip", "install", "--quiet", "--python", home / "bin" / "python", *packages], check=True)
        (home / "ready").touch()
    return home / "bin" / "python"


def measure(root: Path, num_runs: int, environments: Path) -> list[dict[str, object]]:
    """Every question to everyone, `num_runs` times in turn; refuses answers that differ."""
    commands = {"specmill": [sys.executable, str(HERE / "sql_speed.py"), "--answer"]}
    commands |= {name: [str(peer_python(name, environments)), str(HERE / "peers" / f"{name}_sql.py")] for name in PEERS}
    table = []
    for question in QUESTIONS:
        replies: dict[str, list[Any]] = {name: [] for name in commands}
        for _ in range(num_runs):
            for name, command in commands.items():
                ran = subprocess.run(
                    [*command, question, str(root), json.dumps(REPLAY)], stdout=subprocess.PIPE, check=True,
                    env={"PYTHONPATH": str(HERE.parent)} if name == "specmill" else {},
                )  # fmt: skip
                replies[name].append(json.loads(ran.stdout))
        answers = {name: replies[name][0]["rows"] for name in commands}
        for name in PEERS:
            assert answers[name] == answers["specmill"], (question, name, answers[name][:3], answers["specmill"][:3])
        for name in commands:
            first, second = (sorted(reply["seconds"][nth] for reply in replies[name]) for nth in range(2))
            table.append({
                "question": question, "by": name, "seconds (median)": f"{statistics.median(second):.2f}",
                "range": f"{second[0]:.2f} to {second[-1]:.2f}",
                "first in its process": f"{statistics.median(first):.2f}",
                "peak MB": f"{max(reply['peak_mb'] for reply in replies[name]):.0f}",
                "rows": len(replies[name][0]["rows"]),
            })  # fmt: skip
    return table


def main() -> None:
    """Make the run if it is not there, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=100, help="of a document")
    parser.add_argument("--many-parts", action="store_true", help="a part for each 8,192 documents, not one a table")
    parser.add_argument("--runs", type=int, default=5, help="how often each is asked")
    parser.add_argument(
        "--keep", type=Path, help="a folder for the run, used again if it is there; else a temporary one"
    )
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="where those of the peers are made")
    parser.add_argument("--answer", nargs=3, metavar=("QUESTION", "RUN", "REPLAY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        question, root, _ = given.answer
        timed(lambda: answer_ours(Path(root), question))
        return
    with tempfile.TemporaryDirectory() as temporary:
        name = f"run-{given.documents}" + "-many-parts" * given.many_parts
        root = (given.keep or Path(temporary)) / name
        if not (root / "current" / "mixes.json").exists():
            make_run(root, given.documents, given.words, has_many_parts=given.many_parts)
        sys.stdout.write(markdown(measure(root, given.runs, given.environments)) + "\n")


if __name__ == "__main__":
    main()
