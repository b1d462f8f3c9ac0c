"""Which mixes a stage may train on, of this run and of others."""

from __future__ import annotations

import json

import pytest

from corpus.errors import DataError, TrainingError
from corpus.recipe import Spec
from corpus.store import open_reader
from tests.train.chained import fill_run, train
from tests.train.tiny import chat_rows, document_rows, write_shards


def test_a_stage_reads_the_mix_of_the_run_beside_it(make_recipe, tmp_path):
    stage = {"data": "other:docs", "seq_tokens": 64, "batch_tokens": 64}
    recipe = make_recipe(stages={"midtrain": stage, "sft": stage | {"data": "sft"}})
    write_shards(tmp_path / "other", "docs", document_rows(6))
    train(recipe, tmp_path / "run", ["midtrain"])
    manifest = json.loads((tmp_path / "other/shards/docs/manifest.json").read_text())
    assert open_reader(tmp_path / "run").rows("SELECT data_hash FROM stages") == [{"data_hash": manifest["data_hash"]}]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"seed": 18}, r"seed 18 \(the recipe's: 17\)"),
        ({"hold_out": {}}, "documents_one_in not recorded"),
        (
            {"hold_out": {"documents_one_in": 10, "clauses_fraction": 0.2}},
            r"made with clauses_fraction 0.2 \(the recipe's: 0.1\)",
        ),
    ],
    ids=["another seed", "made before it was recorded", "other clauses held out"],
)
def test_a_mix_that_may_hold_what_this_run_measures_as_unseen_is_refused(make_recipe, tmp_path, about, message):
    stage = {"data": "other:docs", "seq_tokens": 64, "batch_tokens": 64}
    recipe = make_recipe(stages={"midtrain": stage, "sft": stage | {"data": "sft"}})
    recipe = recipe.model_copy(update={"spec": Spec(path="spec.md")})
    write_shards(tmp_path / "other", "docs", document_rows(6), **about)
    with pytest.raises(TrainingError, match=f"{message}.*give both .* specmill mix the recipe of run 'other' docs"):
        train(recipe, tmp_path / "run", ["midtrain"])
    write_shards(tmp_path / "run", "sft", chat_rows(4), kind="chats")
    assert len(train(recipe, tmp_path / "run", ["sft"]).stages) == 1, "a chain without that mix is trained"


def test_a_mix_of_another_run_without_a_spec_holds_no_clause(make_recipe, tmp_path):
    recipe = make_recipe().model_copy(update={"spec": Spec(path="spec.md")})
    fill_run(tmp_path / "run")
    assert len(train(recipe, tmp_path / "run", ["midtrain"]).stages) == 1


def test_a_mix_made_before_the_seed_was_changed_is_refused(recipe, tmp_path):
    fill_run(tmp_path / "run")
    with pytest.raises(
        TrainingError, match=r"seed 17 \(the recipe's: 18\); make it again with: specmill mix RECIPE docs"
    ):
        train(recipe.model_copy(update={"seed": 18}), tmp_path / "run", ["midtrain"])


def test_a_mix_that_was_not_made_is_named_with_the_verb_that_makes_it(recipe, tmp_path):
    with pytest.raises(TrainingError, match="specmill mix RECIPE docs"):
        train(recipe, tmp_path / "run", ["midtrain"])


def test_shards_that_do_not_hold_what_their_manifest_says_are_refused(recipe, tmp_path):
    fill_run(tmp_path / "run")
    manifest = tmp_path / "run/shards/docs/manifest.json"
    manifest.write_text(manifest.read_text().replace('"num_rows": 12', '"num_rows": 13'))
    with pytest.raises(DataError, match="12 rows, its manifest says 13"):
        train(recipe, tmp_path / "run", ["midtrain"])
    with (tmp_path / "run/shards/docs/00001.parquet").open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match=r"00001.parquet is not as it was written; .* specmill mix RECIPE docs"):
        train(recipe, tmp_path / "run", ["midtrain"])
