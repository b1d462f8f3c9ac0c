"""`kill -9` at any instant of generate, curate, mix or train, then run again: the same rows, the same adapter.

The engine is a deterministic server of the OpenAI protocol in its own process; everything else is real. Each stage is
killed in turn after a random number of its rows, when it must still be alive, and at random instants of its duration,
measured on the run that was not killed, when it may have ended.
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from fakes.base_model import save_base_model
from fakes.openai_server import FakeServer

from corpus.store import open_reader
from corpus.store.schema import TABLES
from corpus.store.snapshot import take_snapshot

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("generate", "curate", "mix", "train")
RECIPE = """
name: {name}
runs: {runs}
spec: {{path: {spec}, model_name: Marlow, provider_name: Tidewater}}
engine: {{kind: openai, model: fake, base_url: "{url}", max_in_flight: 8}}
generate: {{documents: 60, chats: 30, max_attempts: 1, max_failed_fraction: 1.0}}
curate: {{filters: [length, rules, leaks]}}
mixes:
  docs: {{kind: documents, shortfall: allow}}
  sft: {{kind: chats, shortfall: allow}}
train:
  model: {base}
  lora: {{rank: 8, alpha: 16}}
  precision: fp32
  stages:
    midtrain: {{data: docs, seq_tokens: 2048, batch_tokens: 1024, checkpoint_updates: 20}}
    sft: {{data: sft, seq_tokens: 2048, batch_tokens: 512, checkpoint_updates: 10}}
arms: {{midtrain+sft: [midtrain, sft]}}
"""
TIMES = {
    *("seconds", "started", "invocation_id"),
    *("tokens_per_second", "target_tokens_per_second", "mfu_fraction", "peak_memory_bytes"),
}
"""Columns that say when and how long, not what."""


@dataclass(frozen=True)
class Road:
    """The run that was not killed, with its state before each stage and the seconds of each."""

    folder: Path
    before: dict[str, Path]
    seconds: dict[str, float]

    def after(self, stage: str) -> Path:
        """The state that the stage left: what the next one began with."""
        later = STAGES[STAGES.index(stage) + 1 :]
        return self.before[later[0]] if later else self.folder


def specmill(verb: str, recipe: Path) -> list[str]:
    return [sys.executable, "-m", "specmill", verb, str(recipe)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def run_to_its_end(verb: str, folder: Path) -> None:
    ran = subprocess.run(specmill(verb, folder), env=environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def kill_after(verb: str, folder: Path, *, num_rows: int = 0, seconds: float = 0.0, table: str | None = None) -> bool:
    """Start a verb and kill it `seconds` after it has written `num_rows` rows; whether it was still running."""
    wanted = count_rows(folder, table) + num_rows
    with subprocess.Popen(
        specmill(verb, folder), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while num_rows and count_rows(folder, table) < wanted and process.poll() is None:
            time.sleep(0.005)
        time.sleep(seconds)
        running = process.poll() is None
        process.send_signal(signal.SIGKILL)
    return running


def count_rows(folder: Path, table: str | None = None) -> int:
    """Rows of one table, or of all but the one that says who was killed before, in the journal and in parts."""
    seen = take_snapshot(folder)
    counted = [name for name in TABLES if name == table or (table is None and name != "invocations")]
    parts = [path for name in counted for path in seen.parts.get(name, [])]
    journal = [row for name in counted for row in seen.journal.get(name, [])]
    return len(journal) + sum(pq.read_metadata(path).num_rows for path in parts)


def everything(folder: Path) -> dict[str, object]:
    """All rows but their times, the shards' bytes and the adapters' bytes."""
    store = open_reader(folder)
    seen: dict[str, object] = {}
    for table in ("clauses", "briefs", "calls", "documents", "chats", "scores", "verdicts", "duplicates", "mixes",
                  "mix_parts", "stages", "steps", "held_out_losses"):  # fmt: skip
        rows = store.query(f"SELECT * FROM all_{table}")
        rows = rows.drop_columns([name for name in rows.schema.names if name in TIMES])
        seen[table] = sorted(map(repr, rows.to_pylist()))
        assert len(set(seen[table])) == rows.num_rows, f"{table} holds a row twice"
    for path in sorted([*folder.glob("shards/**/*.parquet"), *folder.glob("checkpoints/**/*.safetensors")]):
        seen[str(path.relative_to(folder))] = hashlib.blake2b(path.read_bytes()).hexdigest()
    return seen


def refuse_differences(expected_folder: Path, folder: Path) -> None:
    expected, seen = everything(expected_folder), everything(folder)
    assert {name for name in expected if expected[name] != seen.get(name)} == set()
    assert seen.keys() == expected.keys()


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    home = tmp_path_factory.mktemp("road")
    base = save_base_model(home / "base")
    with FakeServer(latency_seconds=0.05, faults={"truncated": 0.1, "busy": 0.05}) as server:
        recipe = home / "road.yaml"
        spec = ROOT / "examples/specs/honest.md"
        recipe.write_text(RECIPE.format(name="road", runs=home / "runs", spec=spec, url=server.base_url, base=base))
        folder = home / "runs" / "road"
        before, seconds = {}, {}
        for stage in STAGES:
            if folder.exists():
                before[stage] = shutil.copytree(folder, home / f"before-{stage}")
            began = time.monotonic()
            run_to_its_end(stage, recipe if stage == "generate" else folder)
            seconds[stage] = time.monotonic() - began
        # Generate begins with nothing but the recipe and the spec.
        (home / "before-generate" / "specs").mkdir(parents=True)
        text = (folder / "recipe.yaml").read_text()
        (home / "before-generate" / "recipe.yaml").write_text(text)
        shutil.copytree(folder / "specs", home / "before-generate" / "specs", dirs_exist_ok=True)
        before["generate"] = home / "before-generate"
        yield Road(folder, before, seconds)


def test_the_road_wrote_something_everywhere(road: Road) -> None:
    rows = everything(road.folder)
    assert all(rows[table] for table in ("documents", "chats", "scores", "verdicts", "mixes", "stages", "steps"))
    assert any(name.startswith("checkpoints") for name in rows)
    assert any("'outcome': 'truncated'" in call for call in rows["calls"])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("num_kills", [2, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("stage", STAGES)
def test_killed_and_run_again_a_stage_gives_the_same_rows(
    road: Road, tmp_path: Path, stage: str, num_kills: int
) -> None:
    folder = tmp_path / "road"
    shutil.copytree(road.before[stage], folder)
    instants = random.Random(f"{stage} {num_kills}")
    num_rows = count_rows(road.after(stage))
    num_hits = 0
    for kill in range(num_kills):
        if kill % 2 == 0:
            # Half of what is left, so that there is always something that it dies over.
            missing = max(1, (num_rows - count_rows(folder)) // 2)
            hit = kill_after(stage, folder, num_rows=instants.randint(1, missing))
        else:
            hit = kill_after(stage, folder, seconds=instants.uniform(0.3, 1.0) * road.seconds[stage])
        num_hits += hit
        if not hit:  # the stage came to its end: the kills that follow need another beginning
            refuse_differences(road.after(stage), folder)
            shutil.rmtree(folder)
            shutil.copytree(road.before[stage], folder)
    assert num_hits, f"no kill met {stage} alive"
    run_to_its_end(stage, folder)
    refuse_differences(road.after(stage), folder)


@pytest.mark.timeout(600)
def test_a_killed_judge_is_asked_again_only_for_what_was_in_flight(road: Road, tmp_path: Path) -> None:
    """Killed three times over its replies, it has the same calls in the end, none lost and none twice."""
    whole, killed = tmp_path / "whole" / "road", tmp_path / "killed" / "road"
    for folder in (whole, killed):
        shutil.copytree(road.before["curate"], folder)
        recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
        recipe["engines"] = {"critic": recipe["engine"] | {"max_in_flight": 2}}
        recipe["curate"]["filters"] = ["length", {"judge": {"engine": "critic", "judged_twice_fraction": 0.3}}]
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    num_before = count_rows(whole, "calls")
    run_to_its_end("curate", whole)
    outcomes = open_reader(whole).rows("SELECT DISTINCT outcome FROM verdicts WHERE filter = 'judge' ORDER BY 1")
    assert [row["outcome"] for row in outcomes] == ["drop", "keep", "unjudged"]
    hits = [kill_after("curate", killed, num_rows=num_rows, table="calls") for num_rows in (1, 30, 70)]
    assert all(hits)
    assert num_before < count_rows(killed, "calls") < count_rows(whole, "calls")
    run_to_its_end("curate", killed)
    refuse_differences(whole, killed)


def test_interrupted_a_verb_says_how_to_go_on_and_exits_130(road: Road, tmp_path: Path) -> None:
    folder = tmp_path / "road"
    shutil.copytree(road.before["generate"], folder)
    # A shell starts what it puts in the background with SIGINT ignored, and every process below inherits that.
    listening = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        specmill("generate", folder), env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=listening,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.readline().startswith("documents:")
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
    assert process.returncode == 130, errors
    assert "run the same command to go on" in errors
    assert "Traceback" not in errors
    run_to_its_end("generate", folder)
