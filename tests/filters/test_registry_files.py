"""Filters that read the spec, eval items and files of the user's: from the recipe to the verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.errors import DataError
from corpus.recipe.file import load_recipe
from corpus.store.schema import TABLES
from filters import curate_corpus
from filters.registry import read_settings

Prose = Callable[..., str]


def add_clauses(run, clauses: dict[str, str]) -> None:
    rows = [
        dict.fromkeys(TABLES["clauses"].schema.names)
        | {"clause_id": f"b2:{number}", "ordinal": number, "text": text, "split": split, "pass_hash": "p"}
        for number, (text, split) in enumerate(clauses.items())
    ]
    writer = run.store.writer("corpus")
    writer.commit("clauses", "p", pa.Table.from_pylist(rows, schema=TABLES["clauses"].schema))
    writer.set_current("clauses", {"spec": "p"})


def reasons(run) -> dict[object, object]:
    rows = run.store.rows("SELECT doc_id, filter, reason FROM verdicts WHERE outcome = 'drop'")
    return {(row["doc_id"], row["filter"]): row["reason"] for row in rows}


def test_clauses_held_out_clauses_and_a_file_of_items_come_from_the_run_and_the_recipe(
    run, make_prose: Prose, tmp_path: Path
) -> None:
    shown, held_out, asked = make_prose(1, 120), make_prose(2, 40), make_prose(3, 30)
    add_clauses(run, {shown: "train", held_out: "held_out"})
    (tmp_path / "items.jsonl").write_text(json.dumps({"q": asked}))
    (tmp_path / "recipe.yaml").write_text(
        "name: run\ncurate: {filters: [spec_copying, {contamination: {files: [{path: items.jsonl, question: q}]}}]}"
    )
    recipe = load_recipe(tmp_path / "recipe.yaml")
    run.add_documents({"copy": shown, "tested": held_out, "asked": asked, "clean": make_prose(4)})
    curate_corpus(recipe, run.store, run.progress)
    assert reasons(run) == {
        ("copy", "spec_copying"): "long copied run",
        ("tested", "spec_copying"): "mostly copied",
        ("tested", "contamination"): "held-out clause",
        ("asked", "contamination"): "eval question",
    }
    [label] = run.column("SELECT label FROM scores WHERE doc_id = 'tested' AND name = 'held_out_ngrams'")
    assert label == "b2:1"
    # A clause that is held out no longer, or an item more, is another scorer; nothing else is.
    assert curate_corpus(recipe, run.store, run.progress).num_scored == 0
    (tmp_path / "items.jsonl").write_text(json.dumps({"q": make_prose(5, 30)}))
    assert curate_corpus(recipe, run.store, run.progress).num_scored == 4
    assert ("asked", "contamination") not in reasons(run)


def test_files_of_filters_lie_beside_the_recipe_and_one_that_is_not_there_is_named(
    run, make_prose: Prose, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "name: run\n"
        "curate: {filters: [{language: {model_file: lid.bin}}, {identity: {names_file: names.yaml}},"
        " {contamination: {files: [{path: deep/items.jsonl}]}}]}"
    )
    recipe = load_recipe(tmp_path / "recipe.yaml")
    settings = read_settings(recipe)
    assert settings["language"].model_file == tmp_path / "lid.bin"
    assert settings["identity"].names_file == tmp_path / "names.yaml"
    assert settings["contamination"].files[0].path == tmp_path / "deep" / "items.jsonl"
    with pytest.raises(DataError, match=r"language.model_file: .*lid.bin cannot be read"):
        curate_corpus(recipe, run.store, run.progress)


def test_the_recipes_own_names_are_no_other_identity(run, make_prose: Prose, tmp_path: Path) -> None:
    (tmp_path / "spec.md").write_text("- The assistant is honest.")
    run.add_documents({"own": "I am Qwen, an AI made by Alibaba Cloud. " + make_prose(1)})
    own = {"path": tmp_path / "spec.md", "model_name": "Qwen", "provider_name": "Alibaba"}
    curate = {"filters": ["identity"]}
    curate_corpus(run.recipe(spec=own, curate=curate), run.store, run.progress)
    assert reasons(run) == {}
    curate_corpus(
        run.recipe(spec=own | {"model_name": "Marlow", "provider_name": "Tidewater"}, curate=curate),
        run.store,
        run.progress,
    )
    assert reasons(run) == {("own", "identity"): "other identity"}
