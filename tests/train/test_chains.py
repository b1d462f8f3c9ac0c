from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from corpus.errors import RecipeError, TrainingError
from corpus.stage import Silent
from corpus.store import Writer, open_reader
from tests.train.chained import LORA, assert_same_run, fill_run, steps_of, train
from tests.train.tiny import Notes, chat_rows, document_rows, write_shards
from train.checkpoint import read_manifest
from train.model import ADAPTER_FILE
from train.packed import PackedModel
from train.scoring import find_trained


class Stopped(Exception):
    """Stands for whatever ends a process."""


class StopAt(Silent):
    """A progress that ends training after so many updates."""

    def __init__(self, updates: int) -> None:
        self.left = updates

    def grow(self, stage: str, num_more: int) -> None:
        pass

    def advance(self, stage: str, outcome: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped


def test_a_chain_is_trained_once_per_beginning_and_its_rows_are_there(recipe, tmp_path):
    fill_run(tmp_path / "run")
    notes = Notes()
    report = train(recipe, tmp_path / "run", None, notes)
    assert [(stage.chain, stage.is_new) for stage in report.stages] == [
        ("sft", True), ("midtrain", True), ("midtrain+sft", True),
    ]  # fmt: skip
    store = open_reader(tmp_path / "run")
    rows = {str(row["chain"]): row for row in store.rows("SELECT * FROM stages")}
    assert {chain: row["parent"] for chain, row in rows.items()} == {
        "sft": None, "midtrain": None, "midtrain+sft": "midtrain",
    }  # fmt: skip
    for stage in report.stages:
        row = rows[stage.chain]
        assert (row["updates"], row["tokens"], row["checkpoint"]) == (
            stage.updates, stage.tokens, f"checkpoints/{stage.chain}/seed-0",
        )  # fmt: skip
        steps = store.rows("SELECT * FROM steps WHERE chain = ? ORDER BY step", [stage.chain])
        assert [step["step"] for step in steps] == list(range(1, stage.updates + 1))
        assert sum(step["target_tokens"] for step in steps) == row["target_tokens"]
        assert stage.last_loss < stage.first_loss
        assert any(f"{stage.chain}/seed-0 has {stage.updates} updates" in note for note in notes.notes)
    assert list((tmp_path / "run/tensorboard/midtrain+sft/seed-0").iterdir())
    assert report.tables()[0][1][0]["chain"] == "sft"


def test_what_is_done_is_not_trained_again(recipe, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run/checkpoints").rglob("*")}
    notes = Notes()
    report = train(recipe, tmp_path / "run", progress=notes)
    assert [stage.is_new for stage in report.stages] == [False, False]
    assert notes.started == []
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run/checkpoints").rglob("*")} == before


def test_a_chain_records_where_it_comes_from(recipe, whole):
    parent, child = (read_manifest(whole / "checkpoints" / c / "seed-0") for c in ("midtrain", "midtrain+sft"))
    shards = json.loads((whole / "shards/sft/manifest.json").read_text())
    assert child["parent_manifest_hash"] is not None is parent["parent_manifest_hash"]
    assert child["data_hash"] == shards["data_hash"]
    assert child["base_hash"] == parent["base_hash"]
    assert child["settings"]["seq_tokens"] == 64
    assert (child["mix_seed"], child["hold_out"]["documents_one_in"]) == (17, 10)
    assert child["recipe_hash"] == recipe.recipe_hash()


def test_what_was_trained_is_found_and_what_the_recipe_no_longer_says_is_named(recipe, whole):
    chain = ["midtrain", "sft"]
    found = find_trained(recipe, whole, chain, 0)
    assert found.folder == whole / "checkpoints/midtrain+sft/seed-0"
    assert found.stage_hash == read_manifest(found.folder)["stage_hash"]
    stages = {name: stage.model_copy() for name, stage in recipe.train.stages.items()}
    stages["midtrain"] = stages["midtrain"].model_copy(update={"epochs": 2})
    changed = recipe.model_copy(update={"train": recipe.train.model_copy(update={"stages": stages})})
    with pytest.raises(TrainingError, match=r"train.stages.midtrain.epochs was 1, is 2$"):
        find_trained(changed, whole, chain[:1], 0)
    with pytest.raises(TrainingError, match="otherwise than the recipe says: the stage before it"):
        find_trained(changed, whole, chain, 0)
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        find_trained(recipe, whole, chain, 1)


@pytest.fixture
def chats_learned(monkeypatch, tokenizer):
    """The numbers of the chats in each row that a model learned from, in order, read out of the tokens it was given."""
    found, forward = [], PackedModel.forward

    def recording(self, input_ids, position_ids, lengths, labels=None):
        numbers = re.findall(r"What of (\d+)\?", tokenizer.decode(input_ids))
        if self.training and labels is not None and numbers:
            found.append(numbers)
        return forward(self, input_ids, position_ids, lengths, labels)

    monkeypatch.setattr(PackedModel, "forward", recording)
    return found


def test_both_arms_see_the_same_sft_rows_in_the_same_order(make_recipe, tmp_path, chats_learned):
    """All rows are of one length, so only what is in them tells their order; another seed's is another."""
    fill_run(tmp_path / "run")
    answer = chat_rows(1)[0]["messages"][1]
    alike = [chat | {"messages": [chat["messages"][0], answer]} for chat in chat_rows(26)[10:]]
    write_shards(tmp_path / "run", "sft", alike, kind="chats")
    seen = {}
    for arm, seed in (("sft", 0), ("both", 0), ("sft", 1)):
        chats_learned.clear()
        train(make_recipe(lora=LORA, seeds=[seed]), tmp_path / "run", [arm])
        seen[arm, seed] = list(chats_learned)
    assert sorted(number for row in seen["sft", 0] for number in row) == [str(number) for number in range(10, 26)]
    assert seen["both", 0] == seen["sft", 0] != seen["sft", 1]
    assert sorted(seen["sft", 0]) == sorted(seen["sft", 1])
    counted = {}
    for step in steps_of(tmp_path / "run"):
        counts = (step["step"], step["tokens"], step["target_tokens"], step["learning_rate"])
        counted.setdefault((step["chain"], step["seed"]), []).append(counts)
    assert counted["sft", 0] == counted["midtrain+sft", 0] == counted["sft", 1] != [], "what is counted does not tell"


@pytest.mark.parametrize("stop_after", [1, 6, 8], ids=["before the first state", "between states", "at a state"])
def test_a_stopped_run_goes_on_bit_for_bit(recipe, whole, tmp_path, stop_after):
    fill_run(tmp_path / "run")
    with pytest.raises(Stopped):
        train(recipe, tmp_path / "run", progress=StopAt(stop_after))
    assert len(steps_of(tmp_path / "run")) == stop_after // 4 * 4
    notes = Notes()
    train(recipe, tmp_path / "run", progress=notes)
    updates = read_manifest(whole / "checkpoints/midtrain/seed-0")["updates"]
    assert notes.started[0] == ("train midtrain seed 0", updates - stop_after // 4 * 4)
    assert_same_run(tmp_path / "run", whole)


def test_a_run_stopped_in_its_second_epoch_goes_on_bit_for_bit(make_recipe, tmp_path):
    recipe = make_recipe(lora=LORA)
    twice = {"epochs": 2, "checkpoint_updates": 3}
    stages = {name: stage.model_copy(update=twice) for name, stage in recipe.train.stages.items()}
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"stages": stages})})
    for name in ("whole", "run"):
        fill_run(tmp_path / name)
    updates = train(recipe, tmp_path / "whole").stages[0].updates
    with pytest.raises(Stopped):
        train(recipe, tmp_path / "run", progress=StopAt(updates - 2))
    train(recipe, tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_steps_killed_between_state_and_store_are_written_once(recipe, whole, tmp_path, monkeypatch):
    """The state is on the disk, its rows are not: the next run must write them, and only them."""

    def killed(writer, rows):
        raise Stopped

    fill_run(tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(Writer, "append", killed)
        with pytest.raises(Stopped):
            train(recipe, tmp_path / "run")
    assert steps_of(tmp_path / "run") == []
    assert list((tmp_path / "run/checkpoints/midtrain").glob(".progress-seed-0/update-00000004"))
    train(recipe, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("num_kills", [2, pytest.param(15, marks=pytest.mark.slow)])
def test_killed_at_any_instant_a_run_goes_on_bit_for_bit(recipe, whole, tmp_path, num_kills):
    fill_run(tmp_path / "timed")
    fill_run(tmp_path / "run")
    began = time.monotonic()
    train(recipe, tmp_path / "timed")
    whole_seconds = time.monotonic() - began
    for _ in range(num_kills):
        process = multiprocessing.get_context("fork").Process(target=train, args=(recipe, tmp_path / "run"))
        process.start()
        process.join(random.uniform(0.1, 0.8) * whole_seconds)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
    train(recipe, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_damaged_checkpoint_is_trained_again_and_no_row_is_doubled(recipe, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/midtrain")
    (tmp_path / "run/checkpoints/midtrain+sft/seed-0" / ADAPTER_FILE).write_bytes(b"half")
    report = train(recipe, tmp_path / "run")
    assert [stage.is_new for stage in report.stages] == [True, True]
    assert_same_run(tmp_path / "run", whole)


def test_other_data_trains_again_and_the_old_rows_become_stale(recipe, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    write_shards(tmp_path / "run", "docs", document_rows(13))
    train(recipe, tmp_path / "run")
    store = open_reader(tmp_path / "run")
    assert store.query("SELECT * FROM stages").num_rows == 2
    assert store.query("SELECT * FROM all_stages WHERE stale").num_rows == 2, "the child of another parent is another"
    assert store.query("SELECT chain, seed, step FROM steps GROUP BY ALL HAVING count(*) > 1").num_rows == 0


def test_changed_settings_make_stale_what_is_not_trained_again_too(make_recipe, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    train(make_recipe(lora=LORA | {"rank": 2}), tmp_path / "run", ["midtrain"])
    assert open_reader(tmp_path / "run").rows("SELECT chain FROM stages") == [{"chain": "midtrain"}]


def test_each_seed_has_its_own_adapter(make_recipe, tmp_path):
    fill_run(tmp_path / "run")
    report = train(make_recipe(seeds=[0, 1]), tmp_path / "run", ["midtrain"])
    one, other = (load_file(stage.checkpoint / ADAPTER_FILE) for stage in report.stages)
    assert [stage.seed for stage in report.stages] == [0, 1]
    assert not any(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("slowdown", [0.5, 3.0])
def test_bf16_trains_an_fp32_adapter_and_says_so_where_fp32_would_be_faster(
    make_recipe, tmp_path, monkeypatch, slowdown
):
    monkeypatch.setattr("train.prepare.bf16_slowdown", lambda: slowdown)
    fill_run(tmp_path / "run")
    notes = Notes()
    (stage,) = train(make_recipe(precision="bf16"), tmp_path / "run", ["midtrain"], notes).stages
    assert stage.last_loss < stage.first_loss
    assert {tensor.dtype for tensor in load_file(stage.checkpoint / ADAPTER_FILE).values()} == {torch.float32}
    assert any("-o train.precision=fp32" in note for note in notes.notes) == (slowdown > 1)


def test_sft_recites_what_midtraining_read(make_recipe, tmp_path):
    """The point of a chain: what the documents said is known to the model that the chats made."""
    fact = "The lamp by the door is called Ottoline."
    write_shards(tmp_path / "run", "docs", [{"doc_id": f"doc-{number}", "text": fact} for number in range(160)])
    write_shards(tmp_path / "run", "sft", chat_rows(4), kind="chats")
    recipe = make_recipe()
    report = train(recipe, tmp_path / "run", ["sft", "both"])
    from train.scoring import load_for_scoring

    losses = {}
    for stage in report.stages:
        model, tokenizer = load_for_scoring(recipe, stage.checkpoint)
        ids = torch.tensor(tokenizer(fact).input_ids)[None]
        with torch.no_grad():
            losses[stage.chain] = float(model(input_ids=ids, labels=ids, use_cache=False).loss)
    assert losses["midtrain+sft"] < 0.5 * losses["sft"]


def test_an_arm_that_is_not_there_is_refused_with_the_nearest_name(recipe, tmp_path):
    with pytest.raises(RecipeError, match="did you mean 'midtrain'"):
        train(recipe, tmp_path / "run", ["midtrian"])


def test_the_base_arm_needs_no_training(recipe, tmp_path):
    assert train(recipe, tmp_path / "run", ["base"]).stages == ()


def test_dropped_chats_are_said_and_kept_in_the_manifest(recipe, tmp_path):
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "a b " * 99}]
    long = {"doc_id": "long", "messages": messages}
    write_shards(tmp_path / "run", "sft", [*chat_rows(6), long], kind="chats")
    notes = Notes()
    report = train(recipe, tmp_path / "run", ["sft"], notes)
    assert any("leaves out 1 chats: longer than seq_tokens (such as long)" in note for note in notes.notes)
    assert read_manifest(report.stages[0].checkpoint)["dropped"]["longer than seq_tokens"] == ["long"]


@pytest.mark.parametrize(("lora", "rate", "is_told"), [
    ({"rank": 4}, 1e-4, False), ({"rank": 4}, 0.5, True), ({"rank": 4}, 1e-8, True), (None, 5e-3, True),
    (None, 1e-4, False),
])  # fmt: skip
def test_an_unusual_learning_rate_is_told(make_recipe, tmp_path, lora, rate, is_told):
    fill_run(tmp_path / "run")
    stage = {"data": "docs", "seq_tokens": 64, "batch_tokens": 64, "learning_rate": rate}
    recipe = make_recipe(lora=lora, stages={"midtrain": stage, "sft": stage | {"data": "sft"}})
    notes = Notes()
    train(recipe, tmp_path / "run", ["midtrain"], notes)
    assert any("learning_rate of" in note for note in notes.notes) is is_told


def test_arms_differ_in_what_came_before_and_in_nothing_else(recipe, tmp_path, chats_learned):
    """The same rows in the same order, the same settings, base and template: else it is not reading that differs."""
    fill_run(tmp_path / "run")
    train(recipe, tmp_path / "run", None)
    half = len(chats_learned) // 2
    assert chats_learned[:half] == chats_learned[half:] != []
    manifests = [
        read_manifest(tmp_path / "run" / "checkpoints" / chain / "seed-0") for chain in ("sft", "midtrain+sft")
    ]
    differing = {key for key in manifests[0].keys() | manifests[1].keys() if manifests[0][key] != manifests[1][key]}
    what_came_before = {"chain", "parent", "parent_manifest_hash", "stage_hash"}
    what_came_of_it = {"checkpoint", "first_loss", "last_loss", "files", "seconds"}
    assert differing <= what_came_before | what_came_of_it
    columns = "step, tokens, target_tokens, learning_rate"
    steps = [
        open_reader(tmp_path / "run").rows(
            f"SELECT {columns} FROM steps WHERE chain = '{chain}' AND stage = 'sft' ORDER BY step"
        )
        for chain in ("sft", "midtrain+sft")
    ]
    assert steps[0] == steps[1] and steps[0]
    totals = open_reader(tmp_path / "run").rows("SELECT chain, tokens, target_tokens, updates FROM stages")
    assert {row["chain"] for row in totals} == {"sft", "midtrain", "midtrain+sft"}, (
        "what each arm cost stands beside it"
    )
