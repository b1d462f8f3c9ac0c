"""Two processes train what one does: replicated (DDP) and in parts (FSDP2), over gloo on the CPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from corpus.errors import SetupError, TrainingError
from corpus.store import open_reader, open_writer
from tests.train.chained import LORA, fill_run, train
from tests.train.team_script import UPDATES, plan, work
from tests.train.test_held_out import add_documents
from train.checkpoint import read_manifest
from train.model import ADAPTER_FILE
from train.progress import State
from train.stage import _check_together
from train.team import Team

BEST = {"keep": "best", "held_out_updates": 2, "learning_rate": 0.05}
ROOT = Path(__file__).parent.parent.parent
FSDP = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}  # fmt: skip


def launch(*command, **environment) -> subprocess.CompletedProcess[str]:
    """Run a command in two processes that know of each other."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    variables = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": paths} | environment
    return subprocess.run([*torchrun, *map(str, command)], env=variables, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def alone(base_folder, tmp_path_factory):
    """What one process comes to, by what it trains."""
    torch.set_num_threads(1)
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("full", "lora")}
    for kind, folder in folders.items():
        work(folder, str(base_folder), kind)
    return folders


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("way", ["replicated", "sharded"])
def test_two_processes_come_to_what_one_does(alone, base_folder, tmp_path, kind, way):
    done = launch(
        ROOT / "tests/train/team_script.py", tmp_path, base_folder, kind, **(FSDP if way == "sharded" else {})
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts, one = (json.loads((folder / "facts.json").read_text()) for folder in (tmp_path, alone[kind]))
    assert (facts["size"], facts["is_sharded"]) == (2, way == "sharded")
    numbers = one["numbers_held"][0]
    expected = [numbers, numbers] if way == "replicated" else [numbers / 2, numbers / 2]
    assert facts["numbers_held"] == pytest.approx(expected, rel=0.05), "sharded means that each holds its part"
    assert facts["held_out"] == pytest.approx(one["held_out"], rel=1e-6)
    for ours, reference in zip(facts["steps"], one["steps"], strict=True):
        assert ours == pytest.approx(reference, rel=2e-6)
    for file, tolerance in (("gradients", 1e-6), ("weights", 1e-4)):
        ours, reference = (load_file(folder / f"{file}.safetensors") for folder in (tmp_path, alone[kind]))
        assert ours.keys() == reference.keys() != set()
        for name, tensor in reference.items():
            difference = (ours[name] - tensor).norm() / tensor.norm().clamp(min=1e-8)
            assert difference <= tolerance, (file, name)
    saved, reference = (next(folder.glob("checkpoint/*model.safetensors")) for folder in (tmp_path, alone[kind]))
    ours, theirs = load_file(saved), load_file(reference)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-5)
        assert kind == "full" or ours[name].any(dim=-1).all(), f"a part of {name} was not saved"


def test_each_process_takes_its_rows_and_all_do_the_same_number_of_passes():
    one, other = Team(), Team()
    for rank, team in enumerate((one, other)):
        team.rank, team.size = rank, 2
    for rows in plan().updates:
        shares = one.share(rows), other.share(rows)
        assert len(shares[0]) == len(shares[1])
        taken = [row for pair in zip(*shares, strict=True) for row in pair]
        assert [row for row in taken if row is not None] == list(rows)
    assert other.share(UPDATES[1]) == [None]


def recipe_file(folder: Path, recipe) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe.model_dump(mode="json") | {"runs": str(folder)}))
    return file


def losses(folder: Path, chain: str) -> list[tuple[int, float, int]]:
    rows = open_reader(folder).rows("SELECT step, loss, target_tokens FROM steps WHERE chain = ? ORDER BY 1", [chain])
    return [(row["step"], row["loss"], row["target_tokens"]) for row in rows]


@pytest.fixture(scope="module")
def demanding(make_recipe):
    """Dropout, best weights, and a stage that merges the one before it: what processes could disagree about."""
    recipe = make_recipe(lora=LORA)
    stages = {name: settings.model_copy(update=BEST) for name, settings in recipe.train.stages.items()}
    stages["sft"] = stages["sft"].model_copy(update={"parent": "merge"})
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"stages": stages})})


@pytest.fixture(scope="module")
def by_one(demanding, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "run"
    fill(folder)
    train(demanding, folder)
    return folder


def fill(folder: Path) -> None:
    fill_run(folder)
    with open_writer(folder) as store:
        add_documents(store)


def assert_same_training(folder: Path, reference: Path) -> None:
    for chain in ("midtrain", "midtrain+sft"):
        found, expected = losses(folder, chain), losses(reference, chain)
        assert [row[::2] for row in found] == [row[::2] for row in expected], "the same rows in every update"
        assert [row[1] for row in found] == pytest.approx([row[1] for row in expected], rel=2e-5)
        ours, theirs = (read_manifest(path / "checkpoints" / chain / "seed-0") for path in (folder, reference))
        assert ours is not None and theirs is not None
        assert ours["kept_update"] == theirs["kept_update"]
        one, other = (load_file(path / f"checkpoints/{chain}/seed-0" / ADAPTER_FILE) for path in (folder, reference))
        for name, tensor in other.items():
            torch.testing.assert_close(one[name], tensor, rtol=1e-2, atol=1e-4)


def test_a_launcher_trains_a_run_in_two_processes_and_one_goes_on_where_they_stopped(demanding, by_one, tmp_path):
    """From the command line: the first process writes, a state of two is resumed by one and by two."""
    fill(tmp_path / "two" / "run")
    file = recipe_file(tmp_path / "two", demanding)
    stopped = launch("-m", "specmill", "train", file, "--arm", "both", "--stop-after", "0s")
    assert stopped.returncode == 0, stopped.stderr[-3000:]
    assert "stopped in time: midtrain/seed-0 after 1 of" in stopped.stderr
    assert losses(tmp_path / "two" / "run", "midtrain")[0][0] == 1
    shutil.copytree(tmp_path / "two", tmp_path / "resumed")
    train(demanding, tmp_path / "resumed" / "run")
    done = launch("-m", "specmill", "train", file, "--arm", "both")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("midtrain+sft") == 1, "one process speaks"
    for name in ("two", "resumed"):
        assert_same_training(tmp_path / name / "run", by_one)


def test_a_launcher_trains_a_run_whose_weights_are_in_parts(demanding, by_one, tmp_path):
    fill(tmp_path / "run")
    file = recipe_file(tmp_path, demanding)
    done = launch(ROOT / "tests/train/sharded_specmill.py", "train", file, "--arm", "both", **FSDP)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same_training(tmp_path / "run", by_one)


def test_what_goes_wrong_in_the_first_process_ends_all_with_its_message(demanding, tmp_path):
    fill(tmp_path / "run")
    file = recipe_file(tmp_path, demanding)
    shard = next((tmp_path / "run/shards/docs").glob("*.parquet"))
    shard.write_bytes(b"no Parquet")
    done = launch("-m", "specmill", "train", file, "--arm", "midtrain")
    assert done.returncode != 0
    assert done.stderr.count("make it again with: specmill mix RECIPE docs") == 2


def test_processes_that_see_different_files_are_refused():
    class Two:
        def from_all(self, mine):
            return [mine, (mine[0] + 1, *mine[1:])]

    class One:
        def from_all(self, mine):
            return [mine]

    run = SimpleNamespace(scope="midtrain/seed-0", run_folder="runs/x")
    state = State("b2:stage", 3, 1, {"steps": [{"step": 3, "loss": 1.0}]})
    _check_together(One(), run, plan(), state)
    with pytest.raises(TrainingError, match="do not see the same files in runs/x"):
        _check_together(Two(), run, plan(), state)


def test_sharding_of_version_1_and_empty_weights_are_refused(monkeypatch):
    from accelerate.utils import FullyShardedDataParallelPlugin

    from train.team import _check_sharding

    class Sharding:
        class state:
            fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=2, cpu_ram_efficient_loading=False)

    _check_sharding(Sharding)
    Sharding.state.fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=2, cpu_ram_efficient_loading=True)
    with pytest.raises(SetupError, match="fsdp_cpu_ram_efficient_loading: false"):
        _check_sharding(Sharding)
    Sharding.state.fsdp_plugin.fsdp_version = 1
    with pytest.raises(SetupError, match="the launcher asks for 1"):
        _check_sharding(Sharding)
