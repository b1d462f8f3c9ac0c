"""Duplicates: signatures a second, whole deduplication beside its peers with recall and precision, and how cost grows.

    python benchmarks/dedup.py signatures [--documents 20000] [--repeats 5]
    python benchmarks/dedup.py whole [--documents 100000] [--repeats 3] [--prose]
    python benchmarks/dedup.py growth [--sizes 10000 100000 1000000]

`signatures`: from texts in memory to MinHash signatures (5-word shingles, 120 permutations, all cores), beside every
quick path of datasketch: its generator and bulk, with xxhash, crc32 or Python's own hash, over shingles as a Python
programmer would make them quickest, in a pool of processes. `whole`: from Parquet to the ids of the documents kept,
each tool in an environment and a process of its own, its start included, in turn; all with 20 bands of 6 rows. Truth is
every pair of exact Jaccard 0.8 or more, by brute force over all pairs that share a shingle. Recall: of those pairs,
the share of which at least one document went. Precision: of the documents that went, the share that is in such a pair.
`growth`: the pass of `specmill curate` over a run of so many documents, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from contestants import ENVIRONMENTS, HERE, environment, markdown
from dedup_texts import NUM_WORDS, alike_pairs, made_documents, prose_documents, write

from corpus.hardware import machine_name, num_cores
from corpus.recipe import Duplicates
from corpus.store import open_reader, open_writer
from corpus.store.schema import TABLES
from filters.copies import minhash
from filters.copies.candidates import candidates
from filters.copies.duplicates import find_duplicates
from filters.copies.threads import map_each
from filters.gate import Gate
from filters.rows import READ_ROWS

SETTINGS = Duplicates()
NUM_PERMUTATIONS = SETTINGS.bands * SETTINGS.rows


@dataclass(frozen=True)
class Tool:
    """One of those that deduplicate."""

    name: str
    package: str
    requirements: Sequence[str]
    script: str
    options: Sequence[str] = ()
    notes: str = ""


DATATROVE = ("datatrove[io,processing]==0.10.1", "spacy", "orjson")
TOOLS = (
    Tool("specmill", "specmill", (), "specmill_dedup.py", notes="every candidate verified by exact Jaccard"),
    Tool(
        "datatrove", "datatrove", DATATROVE, "datatrove_dedup.py",
        notes="four stages, a worker a core, 32-bit xxhash, words split at spaces",
    ),
    Tool(
        "datatrove, own tokenizer", "datatrove", DATATROVE, "datatrove_dedup.py", ("--own-tokenizer",),
        "as it comes: spaCy's words",
    ),
    Tool(
        "rensa", "rensa", ("rensa==0.5.0", "pyarrow"), "rensa_dedup.py",
        notes="RMinHash in bulk, one-shot flags, groups of those flagged",
    ),
    Tool(
        "text-dedup", "text-dedup", ("text-dedup==0.4.0",), "text_dedup_job.py",
        notes="its command, xxh3, a process a core; 0.4.1 needs Python 3.12",
    ),
)  # fmt: skip
DATASKETCH = Tool("datasketch", "datasketch", ("datasketch==2.0.0", "xxhash", "pyarrow"), "datasketch_signatures.py")


def signatures(given: argparse.Namespace, folder: Path) -> None:
    """Print texts signed a second."""
    file = folder / "documents.parquet"
    write(made_documents(given.documents), file)
    texts = pa.array(pq.read_table(file)["text"].to_pylist())
    batches = [texts[start : start + READ_ROWS] for start in range(0, len(texts), READ_ROWS)]
    seconds: dict[str, list[float]] = {"all cores": [], "one core": []}
    for _ in range(given.repeats + 1):  # the first time it is compiled
        for name, mapped in (("all cores", map_each), ("one core", map)):
            start = time.perf_counter()
            for _signed in mapped(lambda batch: minhash.sign(batch, SETTINGS.shingle_words, NUM_PERMUTATIONS), batches):
                pass
            seconds[name].append(time.perf_counter() - start)
    python, version = environment(DATASKETCH, given.environments)
    script = HERE / "peers" / DATASKETCH.script
    found = subprocess.run(
        [python, script, file, str(given.repeats)], capture_output=True, text=True, check=True, cwd=folder
    )
    peers: dict[str, float] = json.loads(found.stdout)
    rows = [
        {"path": f"specmill, {name}", "texts a second": round(len(texts) / statistics.median(taken[1:]))}
        for name, taken in seconds.items()
    ]
    rows += [{"path": f"datasketch {version}, {name}", "texts a second": round(rate)} for name, rate in peers.items()]
    print(markdown(rows))
    print(f"\n{rows[0]['texts a second'] / max(peers.values()):.1f} times datasketch's quickest")


def whole(given: argparse.Namespace, folder: Path) -> None:
    """Print seconds, memory, recall and precision of each tool."""
    tools = [(tool, *environment(tool, given.environments)) for tool in TOOLS if tool.name in given.only]
    texts = list(chain(*(prose_documents() if given.prose else made_documents(given.documents))))
    pairs = alike_pairs(texts, SETTINGS.min_jaccard)
    measured: dict[str, list[tuple[float, float]]] = {tool.name: [] for tool, _, _ in tools}
    kept: dict[str, set[int]] = {}
    for _ in range(given.repeats):
        for tool, python, _ in tools:
            job = folder / "job"
            job.mkdir()
            write(iter([texts]), job / "documents.parquet")
            write(iter([texts]), job / "documents.parquet", num_cores())
            measured[tool.name].append(
                _measure([str(python), str(HERE / "peers" / tool.script), str(job), *tool.options])
            )
            kept[tool.name] = {int(one) for one in (job / "kept.txt").read_text().split()}
            shutil.rmtree(job)
    in_pair = set(pairs.ravel().tolist())
    rows = []
    for tool, _, version in tools:
        gone = set(range(len(texts))) - kept[tool.name]
        is_gone = np.isin(pairs, list(gone)).any(axis=1)
        seconds = statistics.median(taken for taken, _ in measured[tool.name])
        rows.append(
            {
                "tool": f"{tool.name} {version}",
                "seconds": f"{seconds:.1f}",
                "documents a second": round(len(texts) / seconds),
                "peak GB": f"{max(peak for _, peak in measured[tool.name]):.2f}",
                "recall": f"{is_gone.mean():.4f}",
                "precision": f"{len(gone & in_pair) / max(len(gone), 1):.4f}",
                "settings": tool.notes,
            }
        )
    print(f"{len(texts)} documents, {len(pairs)} pairs of Jaccard {SETTINGS.min_jaccard} or more\n\n{markdown(rows)}")


def growth(given: argparse.Namespace, folder: Path) -> None:
    """Print seconds and peak memory of runs of several sizes."""
    rows = []
    for size in given.sizes:
        root = folder / f"run-{size}"
        _make_run(root, size)
        seconds, peak = _measure([sys.executable, str(HERE / "dedup.py"), "pass", "--run", str(root)])
        found = open_reader(root).rows("SELECT count(*) AS num FROM all_duplicates WHERE doc_id <> survivor_id")
        rows.append(
            {
                "documents": size,
                "seconds": f"{seconds:.1f}",
                "microseconds a document": round(seconds / size * 1e6),
                "peak GB": f"{peak:.2f}",
                "gave way": found[0]["num"],
            }
        )
        shutil.rmtree(root)
    print(f"documents of {NUM_WORDS} words\n\n{markdown(rows)}")


def run_pass(given: argparse.Namespace, folder: Path) -> None:
    """Look for the duplicates of a run, as `specmill curate` does."""
    with open_writer(given.run) as store:
        rows, read = candidates(store, "documents", Gate("keep"), SETTINGS, {})
        found = find_duplicates(rows, read, SETTINGS)
        store.writer("filters").commit("duplicates", "b2:0", found)


def _make_run(root: Path, num_documents: int) -> None:
    schema = TABLES["documents"].schema

    def parts() -> Iterator[pa.Table]:
        start = 0
        for texts in made_documents(num_documents):
            ids = [f"b2:{place:032x}" for place in range(start, start + len(texts))]
            start += len(texts)
            columns = {name: pa.nulls(len(texts), schema.field(name).type) for name in schema.names}
            columns |= {"doc_id": pa.array(ids), "set": pa.array(["web"] * len(ids)), "text": pa.array(texts)}
            yield pa.table(columns, schema=schema)

    with open_writer(root) as store:
        for part in parts():
            store.writer("corpus").add_part("documents", part)


def _measure(command: Sequence[str]) -> tuple[float, float]:
    """Seconds of a command, and the most memory (GB) that it and its children held at once."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    variables |= {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
    variables |= {"PYTHONPATH": str(HERE.parent)} if command[0] == sys.executable else {}
    start = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, cwd=tempfile.gettempdir())
        peak = 0
        while process.poll() is None:
            peak = max(peak, _held(process.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{log.read().decode(errors='replace')[-4000:]}")
    return seconds, peak / 1e9


def _held(pid: int) -> int:
    """Memory (bytes) that a process and its children hold; what they share is counted once for each."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(_held(int(child)) for child in children)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["signatures", "whole", "growth", "pass"])
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prose", action="store_true", help="Python's documentation instead of made documents")
    names = [tool.name for tool in TOOLS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="TOOL")
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS / "dedup", help="where those of peers are made"
    )
    parser.add_argument("--run", type=Path, help="for `pass`")
    parser.add_argument("--folder", type=Path, help="where the documents are written; else a temporary folder")
    given = parser.parse_args()
    if given.what != "pass":
        print(f"{machine_name()}\n")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        {"signatures": signatures, "whole": whole, "growth": growth, "pass": run_pass}[given.what](given, Path(folder))


if __name__ == "__main__":
    main()
