"""A server that changes its model: every call says who answered it, and a person is told once a run has two."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.openai_server import hashed

from corpus.engine import Reply, Request
from corpus.inspect.sql import run_sql
from corpus.recipe import Recipe
from corpus.run import open_run

ALIAS = "fake-2024-08-06"


def recipe(folder: Path, **generate: object) -> Recipe:
    (folder / "spec.md").write_text("- The assistant keeps its word.\n- The assistant asks before it deletes.\n")
    return Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": {"documents": 6, "chats": 0} | generate,
        "spec": {"path": folder / "spec.md", "hold_out": {"fraction": 0.0}},
    })  # fmt: skip


def served(*names: str | None) -> FakeEngine:
    """An engine whose replies come from these models in turn, the last one for ever."""

    def reply(request: Request) -> Reply:
        text = " ".join(f"tide{hashed(request.seed, n) % 9973}" for n in range(60))
        return Reply(text, "stop", 10, 0, 60, names[min(len(engine.asked), len(names)) - 1])

    engine = FakeEngine(reply)
    return engine


@pytest.mark.parametrize("name", [None, "fake", ALIAS])
def test_one_model_under_any_name_is_nothing_to_tell(tmp_path: Path, name: str | None) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        assert generated(run, served(name)).notes == []
        assert run.store.rows("SELECT DISTINCT model, served_model FROM calls") == [
            {"model": "fake", "served_model": name}
        ]


def test_a_second_model_within_a_run_is_told_with_the_calls_of_each(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        (note,) = generated(run, served(ALIAS, ALIAS, "other\x1b[2J")).notes
        wrote = run.store.rows("SELECT served_model FROM documents JOIN calls USING (call_id) ORDER BY 1")
    assert r"fake: 2 models answered for it, other\x1b[2J (4 calls), fake-2024-08-06 (2 calls)" in note
    assert [row["served_model"] for row in wrote] == [ALIAS] * 2 + ["other\x1b[2J"] * 4
    table = run_sql(tmp_path / "runs/test", "served_models").table.to_pylist()
    assert [(row["model"], row["served_model"], row["calls"]) for row in table] == [
        ("fake", ALIAS, 2),
        ("fake", "other\x1b[2J", 4),
    ]


def test_a_model_that_changed_between_two_runs_is_told_too(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        assert generated(run, served(ALIAS)).notes == []
    with open_run(recipe(tmp_path, documents=9), "generate", print) as run:
        (note,) = generated(run, served("fake-2024-11-20")).notes
    assert "fake-2024-08-06 (6 calls), fake-2024-11-20 (3 calls)" in note


def test_half_a_character_in_a_models_name_is_stored_without_it(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, served("m\ud83d"))
        assert run.store.rows("SELECT DISTINCT served_model FROM calls") == [{"served_model": "m\ufffd"}]
