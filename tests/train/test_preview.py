"""What `specmill plan` says of training: before a mix is made, before anything is trained, and after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus.recipe import Recipe
from corpus.store import open_writer
from corpus.store.schema import TABLES
from train import preview_rows


def recipe_in(folder: Path, **stages: object) -> Recipe:
    return Recipe.model_validate({
        "name": "run", "runs": folder, "mixes": {"docs": {"tokens": 5_000}, "sft": {"kind": "chats"}},
        "train": {"seeds": [0, 1, 2], "stages": {
            "mid": {"data": "docs", "batch_tokens": 500, "seq_tokens": 100} | stages,
            "sft": {"data": "sft", "updates": 10, "batch_tokens": 90, "seq_tokens": 100},
        }},
        "arms": {"base": [], "sft": ["sft"], "mid+sft": ["mid", "sft"], "mid": ["mid"]},
    })  # fmt: skip


def by_chain(recipe: Recipe) -> dict[str, dict[str, object]]:
    return {str(row["chain"]): row for row in preview_rows(recipe)}


def test_shared_beginnings_stand_there_once_and_the_recipes_budget_is_what_is_known(tmp_path: Path) -> None:
    rows = by_chain(recipe_in(tmp_path))
    assert list(rows) == ["sft", "mid", "mid+sft"]
    assert (rows["mid"]["updates"], rows["mid"]["tokens a seed"]) == (10, 5_000)
    assert (rows["sft"]["updates"], rows["sft"]["tokens a seed"]) == (10, 1_000), "an update has whole rows"
    assert {row["seconds"] for row in rows.values()} == {None}
    assert {row["trained"] for row in rows.values()} == {0}
    assert rows["sft"]["passes over the data"] is None, "nobody knows how many chats there will be"


def test_a_mix_that_is_made_and_a_stage_that_is_trained_say_more(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, epochs=2)
    shards = tmp_path / "run" / "shards" / "docs"
    shards.mkdir(parents=True)
    (shards / "manifest.json").write_text(json.dumps({"num_tokens": 4_000}))
    with open_writer(tmp_path / "run") as store:
        writer, empty = store.writer("train"), dict.fromkeys(name for name, _ in TABLES["stages"].columns)
        writer.append({
            "stages": [empty | {"chain": "mid", "seed": seed, "stage": "mid", "tokens": 8_800, "updates": 16,
                                "seconds": 88.0, "stage_hash": f"h{seed}"} for seed in (0, 2)]
        })  # fmt: skip
        writer.set_current("stages", {"mid/seed-0": "h0", "mid/seed-2": "h2"})
    row = by_chain(recipe)["mid"]
    assert (row["seeds"], row["trained"]) == (3, 2)
    assert row["tokens a seed"] == 8_000
    assert row["updates"] == 15, "of 550 tokens, as they were"
    assert row["seconds"] == pytest.approx(80.0), "one seed is missing, at 100 tokens a second"
    assert by_chain(recipe)["sft"]["seconds"] == pytest.approx(3 * 1_000 / 100), "at the only known speed"


def test_a_mix_of_another_run_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, data="other:docs")
    assert [row["data"] for row in preview_rows(recipe)] == ["sft", "other:docs (not there yet)", "sft"]
    shards = tmp_path / "other" / "shards" / "docs"
    shards.mkdir(parents=True)
    (shards / "manifest.json").write_text(json.dumps({"num_tokens": 4_000}))
    assert by_chain(recipe)["mid"]["data"] == "other:docs"
    assert by_chain(recipe)["mid"]["tokens a seed"] == 4_000


def test_without_arms_nothing_is_trained(tmp_path: Path) -> None:
    assert preview_rows(Recipe.model_validate({"name": "run", "runs": tmp_path})) == []
