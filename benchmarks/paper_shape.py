"""A run of the paper's shape: 26 subdomains x 20 genres x 25 ideas, 13,000 documents, in one go, memory flat.

(Model Spec Midtraining, arXiv 2605.02087, has these numbers.) `specmill generate` runs in a process of its own against
`schema_server.py` in another, which obeys the outline's schemas and writes texts of 500 words after a small latency.
The spec is made here: as many rules as share out evenly. What is measured is Specmill, not a model: planning, asking,
judging, counting tokens, storing.

    python benchmarks/paper_shape.py [--outline clauses]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import yaml
from demo_steps import tree_bytes

import prompts
from corpus.console import show_table
from corpus.hardware import machine_name
from corpus.store import open_reader

ROOT = Path(__file__).resolve().parent.parent
NUM_DOMAINS, SUBDOMAINS_EACH, GENRES, IDEAS = 2, 13, 20, 25
NUM_DOCUMENTS = NUM_DOMAINS * SUBDOMAINS_EACH * GENRES * IDEAS
RULES_EACH = 4
"""Rules of one subdomain, each of which becomes one assertion."""
NUM_RULES = NUM_DOMAINS * SUBDOMAINS_EACH * RULES_EACH
LISTS = {"domains": NUM_DOMAINS, "subdomains": SUBDOMAINS_EACH, "assertions": RULES_EACH}
OUTLINES: dict[str, dict[str, object]] = {
    "clauses": {},
    "model": {"genres_per_subdomain": GENRES, "outline_section_tokens": 50_000},
}
"""The recipe's keys for each way to an outline; the whole spec is one section."""
SAMPLE_SECONDS = 0.5
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Sample:
    """The client at one moment."""

    seconds: float
    """Since it was started."""
    num_written: int
    """Documents that the server has sent."""
    memory_bytes: int
    """Of the process and all below it (PSS)."""


def write_recipe(folder: Path, base_url: str, outline: str, num_documents: int) -> Path:
    """The recipe and its spec; nothing is held out, so that every rule counts."""
    rules = [
        f"- In case {number} the assistant says what it did, and why it did so, before it is asked.\n"
        for number in range(1, NUM_RULES + 1)
    ]
    (folder / "spec.md").write_text(f"# Conduct\n\n{''.join(rules)}")
    genres = dict.fromkeys(sorted(prompts.genres())[:GENRES], 1.0)  # the 20 of the shape
    generate = {"outline": outline, "documents": num_documents, "chats": 0, "max_tokens": 1200, "genres": genres}
    recipe = {
        "name": "paper-shape",
        "runs": str(folder / "runs"),
        "spec": {"path": "spec.md", "model_name": "Marlow", "hold_out": {"fraction": 0.0}},
        "engine": {"kind": "openai", "model": "schema", "base_url": base_url, "max_in_flight": 128},
        "generate": {**generate, **OUTLINES[outline]},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@contextmanager
def serving(latency_seconds: float) -> Iterator[str]:
    """The server, in a process of its own; its address."""
    command = [sys.executable, "-I", "-S", str(ROOT / "benchmarks/schema_server.py")]
    command += ["--latency-seconds", str(latency_seconds), "--largest", str(NUM_RULES)]
    command += [f"--items={name}={count}" for name, count in LISTS.items()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


def counts(base_url: str) -> dict[str, int]:
    """What the server has sent so far, by kind."""
    with urlopen(f"{base_url}/counts") as answer:
        return dict(json.load(answer))


def generate(recipe: Path, base_url: str) -> tuple[list[Sample], float]:
    """Run `specmill generate` to its end; what was seen meanwhile, and its wall seconds."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "specmill", "generate", str(recipe)], cwd=ROOT)
    samples: list[Sample] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            num_written = counts(base_url)["texts"]
            samples.append(Sample(time.monotonic() - began, num_written, tree_bytes(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.monotonic() - began
    ended.set()
    watcher.join()
    if code != 0:
        raise SystemExit(f"specmill generate ended with {code}")
    return samples, seconds


def memory_at(samples: list[Sample], num_documents: int) -> list[dict[str, object]]:
    """Memory when each share of the documents was written, and the most before, meanwhile and after."""
    firsts = [
        next((sample for sample in samples if sample.num_written >= share * num_documents), samples[-1])
        for share in SHARES
    ]
    rows: list[dict[str, object]] = [_memory(str(first.num_written), [first]) for first in firsts]
    for name, phase in phases(samples).items():
        rows.append(_memory(f"most {name}", phase))
    return rows


def phases(samples: list[Sample]) -> dict[str, list[Sample]]:
    """What was seen before the first document came, while they came, and after the last."""
    last = samples[-1].num_written
    return {
        "before the first": [sample for sample in samples if not sample.num_written],
        "while writing": [sample for sample in samples if 0 < sample.num_written < last],
        "after the last": [sample for sample in samples if sample.num_written == last],
    }


def _memory(name: str, samples: list[Sample]) -> dict[str, object]:
    most = max((sample.memory_bytes for sample in samples), default=None)
    return {"documents written": name, "MiB": None if most is None else round(most / 2**20)}


def main() -> None:
    """Run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outline", choices=tuple(OUTLINES), default="model")
    parser.add_argument("--documents", type=int, default=NUM_DOCUMENTS)
    parser.add_argument("--latency-seconds", type=float, default=0.05)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(arguments.latency_seconds) as base_url:
        recipe = write_recipe(Path(folder), base_url, arguments.outline, arguments.documents)
        samples, seconds = generate(recipe, base_url)
        sent = counts(base_url)
        reader = open_reader(Path(folder) / "runs/paper-shape")
        (stored,) = reader.rows(
            "SELECT (SELECT count(*) FROM briefs) AS planned, (SELECT count(*) FROM documents) AS stored, "
            "(SELECT count(DISTINCT text) FROM documents) AS different, "
            "(SELECT count(DISTINCT (domain, subdomain)) FROM documents) AS subdomains, "
            "(SELECT count(DISTINCT genre) FROM documents) AS genres, (SELECT {pairs: count(*), least: min(n), "
            "most: max(n)} FROM (SELECT count(*) AS n FROM documents GROUP BY domain, subdomain, genre)) AS of_pairs, "
            "(SELECT count(*) FROM (SELECT 1 FROM all_documents GROUP BY brief_id HAVING count(*) > 1)) AS twice"
        )
    pairs = stored["of_pairs"]
    rows = [
        {"what": "documents planned", "number": stored["planned"]},
        {"what": "texts the server wrote", "number": sent["texts"]},
        {"what": "documents stored", "number": stored["stored"]},
        {"what": "of them different", "number": stored["different"]},
        {"what": "stored twice", "number": stored["twice"]},
        {"what": "replies under a schema", "number": sent["structured"]},
        {"what": "subdomains", "number": stored["subdomains"]},
        {"what": "genres", "number": stored["genres"]},
        {"what": "pairs of the two", "number": pairs["pairs"]},
        {"what": "documents of a pair, least", "number": pairs["least"]},
        {"what": "documents of a pair, most", "number": pairs["most"]},
        {"what": "wall seconds", "number": round(seconds)},
        *({"what": f"seconds {name}", "number": round(len(seen) and seen[-1].seconds - seen[0].seconds)}
          for name, seen in phases(samples).items()),
        {"what": "documents a second, of all", "number": round(int(str(stored["stored"])) / seconds, 1)},
    ]  # fmt: skip
    show_table(f"outline: {arguments.outline}, on {machine_name()}", rows)
    show_table("memory of specmill generate, child processes included", memory_at(samples, arguments.documents))


if __name__ == "__main__":
    main()
