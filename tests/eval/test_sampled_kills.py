"""Killed at any instant, an evaluation goes on: no answer, grade or row is lost, and none is there twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from corpus.store import open_reader
from tests.eval.sampled_script import NUM_QUESTIONS, SAMPLES

ROOT = Path(__file__).resolve().parents[2]
MOST_KILLS = 8
TABLES = {
    "answers": "answer_id, item_id, sample, text, answer_key",
    "grades": "grade_id, outcome, reply, again",
    "evals": "eval_id, item_id, sample, value, explanation, answer_id",
    "effects": "arm, metric, value, low, high, n",
}


def started(root: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("sampled_script.py")), str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def rows(root: Path) -> dict[str, list[dict[str, object]]]:
    store = open_reader(root)
    return {table: store.rows(f"SELECT {columns} FROM {table} ORDER BY ALL") for table, columns in TABLES.items()}


def test_killed_and_run_again_it_comes_to_the_same_rows(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    for root in (whole, killed):
        root.parent.mkdir()
    began = time.monotonic()
    process = started(whole)
    assert process.communicate(timeout=120)[0].strip() == "done"
    seconds = time.monotonic() - began
    draw = random.Random(3)
    for _ in range(MOST_KILLS):
        process = started(killed)
        try:
            process.wait(timeout=draw.uniform(0.3, 1.0) * seconds)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    process = started(killed)
    assert process.communicate(timeout=120)[0].strip() == "done"
    expected, found = rows(whole), rows(killed)
    assert found == expected
    assert len(found["answers"]) == len(found["evals"]) == NUM_QUESTIONS * SAMPLES
