from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from corpus.errors import TrainingError
from tests.train.tiny import flatten, tiny_model, trainer_of
from train.adapter import load_trainable
from train.checkpoint import MANIFEST, check_parent, read_manifest, write_checkpoint, write_folder
from train.model import (
    ADAPTER_FILE,
    Compute,
    base_identity,
    load_tokenizer,
    stop_ids,
)
from train.plan import make_plan
from train.scoring import load_for_scoring, scoring_hash
from train.segments import Segment

IDS = torch.arange(10, 30)[None]


def trainer_for(model, settings):
    tokens = np.random.default_rng(0).integers(8, 320, (6, 20)).tolist()
    segments = flatten([Segment(f"text-{n}", row, [False] + [True] * 19) for n, row in enumerate(tokens)])
    sizes = {"seq_tokens": 40, "batch_tokens": 40, "epochs": 3}
    plan = make_plan(segments, settings.model_copy(update=sizes), 0, "midtrain")
    return trainer_of(model, plan, settings)


def logits_of(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


@pytest.fixture
def trained(make_recipe, tmp_path):
    """A stage of 3 updates, saved: recipe, live model, checkpoint folder."""
    recipe = make_recipe()
    model, adapter = load_trainable(recipe.train, None, seed=0)
    trainer = trainer_for(model, recipe.train.stages["midtrain"])
    for number in range(3):
        trainer.update(number)
    folder = tmp_path / "checkpoints" / "midtrain" / "seed-0"
    manifest = {"stage_hash": "b2:one", "base_hash": base_identity(recipe.train)}
    write_checkpoint(folder, model, adapter, load_tokenizer(recipe.train), manifest)
    return recipe, model, folder


def test_a_new_adapter_is_drawn_from_the_seed_and_changes_nothing_yet(make_recipe):
    train = make_recipe().train
    one, same, other = (load_trainable(train, None, seed)[0] for seed in (1, 1, 2))
    adapters = [{n: v for n, v in model.named_parameters() if "lora_" in n} for model in (one, same, other)]
    assert len(adapters[0]) == 2 * 7 * 2, "both factors of seven projections in two layers"
    assert all(torch.equal(value, adapters[1][name]) for name, value in adapters[0].items())
    assert not all(torch.equal(value, adapters[2][name]) for name, value in adapters[0].items())
    assert all(value.requires_grad and value.dtype == torch.float32 for value in adapters[0].values())
    assert not any(value.requires_grad for name, value in one.named_parameters() if "lora_" not in name)
    assert torch.equal(logits_of(one), logits_of(tiny_model()))


def test_a_stage_continues_its_parents_adapter_bit_for_bit_and_moves_it(trained):
    recipe, live, folder = trained
    saved = load_file(folder / ADAPTER_FILE)
    model, _ = load_trainable(recipe.train, folder, seed=0)
    assert torch.equal(logits_of(model), logits_of(live))
    loras = {name: value for name, value in model.named_parameters() if value.requires_grad}
    in_file = {"base_model.model." + name.replace(".default", ""): value for name, value in loras.items()}
    assert in_file.keys() == saved.keys()
    assert all(torch.equal(value, saved[name]) for name, value in in_file.items())
    frozen = {name: value.clone() for name, value in model.named_parameters() if not value.requires_grad}
    trainer_for(model, recipe.train.stages["sft"]).update(0)
    assert all(not torch.equal(value, saved[name]) for name, value in in_file.items()), "every tensor learns"
    after = dict(model.named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in frozen.items()), "the base does not"


def test_a_checkpoint_gives_the_logits_of_the_live_model(trained):
    recipe, live, folder = trained
    loaded, tokenizer = load_for_scoring(recipe, folder)
    base, _ = load_for_scoring(recipe, None)
    assert torch.equal(logits_of(loaded), logits_of(live))
    assert not torch.equal(logits_of(base), logits_of(live))
    assert not loaded.training
    assert tokenizer.chat_template == load_tokenizer(recipe.train).chat_template


def test_a_checkpoint_is_a_plain_peft_folder_without_paths_of_this_machine(trained, tmp_path):
    from peft import PeftModel

    recipe, live, folder = trained
    assert torch.equal(logits_of(PeftModel.from_pretrained(tiny_model(), str(folder))), logits_of(live))
    assert {path.suffix for path in folder.iterdir()} <= {".safetensors", ".json", ".jinja"}
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == recipe.train.model
    assert config["target_modules"] == sorted(config["target_modules"])
    assert config["inference_mode"]


def test_all_weights_are_trained_and_saved_where_the_recipe_has_no_adapter(make_recipe, tmp_path):
    recipe = make_recipe(lora=None)
    model, adapter = load_trainable(recipe.train, None, seed=0)
    assert adapter is None
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    trainer_for(model, recipe.train.stages["midtrain"]).update(0)
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters())
    write_checkpoint(tmp_path / "all", model, None, load_tokenizer(recipe.train), {})
    assert torch.equal(logits_of(load_for_scoring(recipe, tmp_path / "all")[0]), logits_of(model))
    continued, _ = load_trainable(recipe.train, tmp_path / "all", seed=0)
    assert torch.equal(logits_of(continued), logits_of(model))
    with pytest.raises(TrainingError, match="do not go together"):
        load_trainable(make_recipe().train, tmp_path / "all", seed=0)


def test_all_weights_are_scored_in_the_fp32_that_they_were_saved_in(make_recipe, tmp_path):
    recipe = make_recipe(lora=None, precision="bf16")
    model, _ = load_trainable(recipe.train, None, seed=0)
    trainer_for(model, recipe.train.stages["midtrain"]).update(0)
    write_checkpoint(tmp_path / "all", model, None, load_tokenizer(recipe.train), {})
    loaded, _ = load_for_scoring(recipe, tmp_path / "all")
    assert torch.equal(logits_of(loaded), logits_of(model))
    base, _ = load_for_scoring(recipe, None)
    assert torch.equal(logits_of(base), logits_of(tiny_model())), "the arms differ by training, not by rounding"
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_the_scoring_hash_holds_the_precision_that_auto_comes_to_and_the_kind_of_device(make_recipe, monkeypatch):
    def hash_of(**train):
        return scoring_hash(make_recipe(**train).train)

    fp32, bf16 = hash_of(precision="fp32"), hash_of(precision="bf16")
    for multiplies_bf16, expected in ((True, bf16), (False, fp32)):
        monkeypatch.setattr("train.model.cpu_multiplies_bf16", lambda answer=multiplies_bf16: answer)
        assert hash_of(precision="auto") == expected
    assert hash_of(precision="bf16", lora=None) == hash_of(precision="fp32", lora=None), "all weights are read in fp32"
    monkeypatch.setattr("train.scoring.choose_compute", lambda train: Compute(torch.device("meta"), torch.float32))
    assert hash_of(precision="fp32") != fp32


def test_a_parent_of_another_shape_is_refused(trained, make_recipe):
    with pytest.raises(TrainingError, match=r"rank 4, alpha 8.*asks for 8, 8"):
        load_trainable(make_recipe(lora={"rank": 8, "alpha": 8}).train, trained[2], seed=0)


def test_a_parent_is_refused_when_half_written_on_another_base_or_of_other_settings(trained):
    recipe, _, folder = trained
    base = base_identity(recipe.train)
    check_parent(folder, base, "b2:one")
    with pytest.raises(TrainingError, match="another base"):
        check_parent(folder, "b2:other", "b2:one")
    with pytest.raises(TrainingError, match="other settings or data"):
        check_parent(folder, base, "b2:two")
    with (folder / ADAPTER_FILE).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(TrainingError, match="not whole"):
        check_parent(folder, base, "b2:one")
    (folder / MANIFEST).unlink()
    with pytest.raises(TrainingError, match="not whole"):
        check_parent(folder, base, "b2:one")


def test_the_base_is_told_apart_by_its_tokenizer_too(make_recipe, base_folder, tmp_path):
    copy = shutil.copytree(base_folder, tmp_path / "copy")
    assert base_identity(make_recipe(model=str(copy)).train) == base_identity(make_recipe().train)
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    assert base_identity(make_recipe(model=str(copy)).train) != base_identity(make_recipe().train)


def test_generation_stops_at_the_tokenizers_eos_and_at_those_of_the_generation_config(tokenizer):
    model = tiny_model()
    model.generation_config.eos_token_id = [1, 6]
    assert stop_ids(model, tokenizer) == {1, 6, tokenizer.eos_token_id}


def test_an_interrupted_save_leaves_the_checkpoint_before_it(trained):
    folder = trained[2]
    before = read_manifest(folder)

    def fill(temporary):
        (temporary / ADAPTER_FILE).write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(folder, fill)
    assert read_manifest(folder) == before is not None
