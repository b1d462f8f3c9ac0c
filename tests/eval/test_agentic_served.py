"""All 27 conditions end to end: on vLLM with the builtin model and a judge's server, and through `inspect eval`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.openai_server import FakeServer

from corpus.recipe import EngineSettings, Eval, Recipe
from corpus.stage import Silent
from corpus.store import open_writer
from eval import evaluate_arms
from eval.tasks.agentic.conditions import conditions
from eval.tasks.agentic.scenarios import locked, prompt_hash

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # 90,000 tokens of prompts
@pytest.mark.xdist_group("engine")
def test_on_vllm_with_a_scripted_judge(tmp_path: Path) -> None:
    with FakeServer() as server:
        judge = EngineSettings(kind="openai", model="fake", base_url=server.base_url)
        task = {"agentic": {"samples": 1, "max_tokens": 48}}
        measured = Eval.model_validate(
            {"tasks": [task], "judge": "judge", "engine": {"max_in_flight": 8, "options": {"max_model_len": 6144}}}
        )
        recipe = Recipe(name="run", arms={"base": []}, engines={"judge": judge}, eval=measured)
        with open_writer(tmp_path / "run") as store:
            report = evaluate_arms(recipe, store, None, Silent())
            answers = store.rows("SELECT item_id, messages FROM answers ORDER BY item_id")
            rows = store.rows("SELECT variant, count(*) AS n, count(value) AS known FROM evals GROUP BY variant")
    assert [row["item_id"] for row in answers] == sorted(one.name for one in conditions())
    assert {f"{row['item_id']}/scratchpad": prompt_hash(row["messages"]) for row in answers} == {
        key: value for key, value in locked().items() if key.endswith("/scratchpad")
    }
    assert {row["variant"]: row["n"] for row in rows} == dict.fromkeys(
        ("verdict", "harmful", "executed", "tool_use", "refusal"), 27
    )
    verdict = next(row for row in report.arms if row.metric == "agentic/verdict")
    assert (verdict.estimate.n, verdict.estimate.clusters) == (27, 27)


@pytest.mark.slow
def test_through_inspect_eval(tmp_path: Path) -> None:
    # A model of Inspect's own counts tokens with a file from the network; a server of tests needs none.
    with FakeServer() as server:
        log = inspected(tmp_path, server.base_url)
    asked = {
        f"{sample['id']}/scratchpad": prompt_hash(
            [{"role": turn["role"], "content": turn["content"]} for turn in sample["input"]]
        )
        for sample in log["samples"]
    }
    assert asked == {key: value for key, value in locked().items() if key.endswith("/scratchpad")}
    for sample in log["samples"]:
        assert set(sample["scores"]["decisions"]["value"]) == {"verdict", "harmful", "executed", "tool_use", "refusal"}
        assert sample["scores"]["decisions"]["value"]["verdict"] in (0.0, 1.0)


def inspected(folder: Path, base_url: str) -> dict[str, list[dict]]:
    """The log of `inspect eval` with a server as the assistant and as the judge."""
    command = [
        *(sys.executable, "-m", "inspect_ai", "eval", "eval/tasks/agentic/inspect_task.py"),
        *("--model", "openai-api/fake/fake", "-T", "grader=openai-api/fake/fake", "--log-dir", str(folder)),
        *("--log-format", "json", "--display", "plain", "--no-fail-on-error"),
    ]
    known = os.environ | {"FAKE_BASE_URL": base_url, "FAKE_API_KEY": "none"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False, env=known)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    (path,) = folder.glob("*.json")
    log = json.loads(path.read_text())
    assert log["status"] == "success", log.get("error")
    return log
