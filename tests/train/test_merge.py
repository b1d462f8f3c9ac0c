"""Merging an adapter: as the beginning of a stage, and as a model for elsewhere."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from corpus.errors import RecipeError, TrainingError
from corpus.store import open_writer
from tests.train.chained import fill_run, train
from tests.train.tiny import Notes
from train import export_merged, train_chains
from train.checkpoint import read_manifest
from train.merge import Difference, merge
from train.model import ADAPTER_FILE, BASE_FOLDER, choose_compute, load_base
from train.scoring import find_trained, load_for_scoring

IDS = torch.arange(10, 30)[None]
ARMS = {"midtrain": ["midtrain"], "both": ["midtrain", "sft"], "three": ["midtrain", "sft", "more"]}


def logits_of(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


@pytest.fixture(scope="module")
def merging(make_recipe, tmp_path_factory):
    """A run whose second stage merges the first, and whose third continues the second."""
    folder = tmp_path_factory.mktemp("merging") / "run"
    fill_run(folder)
    recipe = make_recipe(lora={"rank": 4, "alpha": 8})
    stages = dict(recipe.train.stages)
    stages["sft"] = stages["sft"].model_copy(update={"parent": "merge"})
    stages["more"] = recipe.train.stages["midtrain"]
    train_section = recipe.train.model_copy(update={"stages": stages})
    recipe = recipe.model_copy(update={"train": train_section, "arms": ARMS})
    notes = Notes()
    train(recipe, folder, ["three"], notes)
    return recipe, folder, notes


def test_a_stage_that_merges_begins_where_its_parent_ended_with_a_new_adapter(merging):
    from peft import PeftModel

    recipe, folder, notes = merging
    parent, child = (folder / "checkpoints" / chain / "seed-0" for chain in ("midtrain", "midtrain+sft"))
    base = load_base(recipe.train, child / BASE_FOLDER, frozen=True)
    torch.testing.assert_close(logits_of(base), logits_of(load_for_scoring(recipe, parent)[0]), rtol=1e-4, atol=1e-4)
    assert (logits_of(load_base(recipe.train, frozen=True)) - logits_of(base)).abs().max() > 0.1
    one, other = load_file(parent / ADAPTER_FILE), load_file(child / ADAPTER_FILE)
    assert one.keys() == other.keys()
    assert not any(torch.equal(value, other[name]) for name, value in one.items())
    live = logits_of(PeftModel.from_pretrained(base, str(child)))
    assert torch.equal(logits_of(load_for_scoring(recipe, child)[0]), live)
    manifest = read_manifest(child)
    assert 0 < manifest["merged_difference"]["max_logit_difference"] < 1e-3
    assert manifest["merged_difference"]["mean_kl"] < 1e-6
    assert f"{BASE_FOLDER}/model.safetensors" in manifest["files"]
    assert any("merged midtrain into the base" in note for note in notes.notes)
    config = json.loads((child / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == BASE_FOLDER, "the recipe's model would load without what was merged"
    assert not list(child.parent.glob(".base-*"))


def test_a_stage_that_merges_begins_with_the_loss_of_one_that_continues(merging, tmp_path):
    recipe, folder, _ = merging
    stages = {name: stage.model_copy(update={"parent": "continue"}) for name, stage in recipe.train.stages.items()}
    continuing = recipe.model_copy(update={"train": recipe.train.model_copy(update={"stages": stages})})
    fill_run(tmp_path / "run")
    train(continuing, tmp_path / "run", ["both"])
    one, other = (read_manifest(root / "checkpoints/midtrain+sft/seed-0") for root in (folder, tmp_path / "run"))
    assert one["first_loss"] == pytest.approx(other["first_loss"], rel=1e-5)
    assert one["last_loss"] != pytest.approx(other["last_loss"], rel=1e-3), "a new adapter learns otherwise"


def test_a_stage_after_one_that_merged_stands_on_the_same_merged_model(merging):
    recipe, folder, _ = merging
    child, grandchild = (folder / "checkpoints" / chain / "seed-0" for chain in ("midtrain+sft", "midtrain+sft+more"))
    file = f"{BASE_FOLDER}/model.safetensors"
    assert read_manifest(grandchild)["files"][file] == read_manifest(child)["files"][file]
    before, after = (logits_of(load_for_scoring(recipe, path)[0]) for path in (child, grandchild))
    assert (before - after).abs().max() > 1e-3
    assert find_trained(recipe, folder, ["midtrain", "sft", "more"], 0).folder == grandchild
    # The size of a continued adapter's change, not that of one which began anew on another base.
    assert (before - after).abs().max() < (before - logits_of(load_base(recipe.train, frozen=True))).abs().max() * 5


@pytest.mark.parametrize("arm", ["midtrain", "three"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_exported_model_is_base_and_adapter_in_one_and_says_how_far_from_them(merging, tmp_path, arm, precision):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    recipe, folder, _ = merging
    checkpoint = folder / "checkpoints" / "+".join(ARMS[arm]) / "seed-0"
    exact = logits_of(load_for_scoring(recipe, checkpoint)[0])
    changed = recipe.model_copy(update={"train": recipe.train.model_copy(update={"precision": precision})})
    compute = choose_compute(changed.train)
    prompts = [IDS[0].tolist(), list(range(40, 60))]
    told = merge(changed.train, checkpoint, tmp_path / "out", prompts, compute, {"what": arm})
    assert read_manifest(tmp_path / "out")["what"] == arm
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.dtype == (torch.float32 if precision == "fp32" else torch.bfloat16)
    difference = float((logits_of(model).float() - exact).abs().max())
    assert difference <= (1e-4 if precision == "fp32" else 0.5)
    assert (difference > 1e-3) == (precision == "bf16"), "bf16 rounds, and it shows"
    assert difference <= told.max_logit_difference * 1.01 + 1e-6
    assert (told.num_prompts, told.num_tokens) == (2, 40)
    assert told.mean_kl <= told.max_kl
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template


def test_the_difference_is_the_divergence_of_the_two_distributions():
    from train.merge import _difference

    one, other = torch.randn(2, 5, 30, generator=torch.Generator().manual_seed(0))
    found = _difference([one], [other])
    p, q = torch.distributions.Categorical(logits=one), torch.distributions.Categorical(logits=other)
    by_torch = torch.distributions.kl_divergence(p, q)
    expected = Difference(1, 5, float((one - other).abs().max()), float(by_torch.mean()), float(by_torch.max()))
    assert found.mean_kl == pytest.approx(expected.mean_kl, rel=1e-5)
    assert found.max_kl == pytest.approx(expected.max_kl, rel=1e-5)
    assert replace(found, mean_kl=0, max_kl=0) == replace(expected, mean_kl=0, max_kl=0)


def test_export_writes_what_the_arm_trained_and_refuses_what_it_cannot(merging, tmp_path):
    recipe, folder, _ = merging
    row = export_merged(recipe, folder, "both", 0, tmp_path / "out")
    assert json.loads((tmp_path / "out/config.json").read_text())["model_type"] == "llama"
    assert row["num_prompts"] == 16
    with pytest.raises(RecipeError, match="is there already"):
        export_merged(recipe, folder, "both", 0, tmp_path / "out")
    with pytest.raises(RecipeError, match="did you mean 'both'"):
        export_merged(recipe, folder, "bothe", 0, tmp_path / "other")
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        export_merged(recipe, folder, "both", 1, tmp_path / "other")
    empty = recipe.model_copy(update={"arms": {"base": []}})
    with pytest.raises(RecipeError, match="nothing to merge"):
        export_merged(empty, folder, "base", 0, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_merge_that_is_there_is_not_made_again(merging, tmp_path):
    """As after each `--stop-after`: the merged model is large."""
    recipe, folder, _ = merging
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    shutil.rmtree(run / "checkpoints/midtrain+sft/seed-0")
    notes = [Notes() for _ in range(3)]
    for one in notes:
        with open_writer(run) as store:
            train_chains(recipe, store, ["both"], one, stop_after_seconds=0)
    assert [any("merged midtrain" in note for note in one.notes) for one in notes] == [True, False, False]
    train(recipe, run, ["both"])
    one, other = (load_file(path / "checkpoints/midtrain+sft/seed-0" / ADAPTER_FILE) for path in (run, folder))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_merging_where_there_is_no_adapter_is_refused_with_the_recipe(make_recipe):
    stage = {"data": "docs", "parent": "merge"}
    with pytest.raises(ValueError, match=r"stages\.sft\.parent is merge, and with lora: null"):
        make_recipe(lora=None, stages={"midtrain": {"data": "docs"}, "sft": stage})
