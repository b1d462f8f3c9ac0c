"""What each of two processes runs in test_team.py: some updates, a state saved and restored, a checkpoint.

With ACCELERATE_USE_FSDP=true the weights are in parts. accelerate offers that for accelerators only; told that this
one is such, it does on the CPU exactly what it does there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from corpus.recipe import Lora, StageSettings, Train
from tests.train.test_loop import UNEQUAL, plan_with, segments_of
from tests.train.tiny import tiny_model, trainer_of
from train.adapter import _new_adapter
from train.attention import check_attention, proof_states
from train.checkpoint import write_checkpoint
from train.model import load_tokenizer
from train.plan import empty_row
from train.progress import State, load_progress, restore, save_progress
from train.team import Team, whole

SETTINGS = StageSettings(data="docs", learning_rate=1e-2, warmup_fraction=0.0, max_grad_norm=1e6)
UPDATES = [list(range(9)), [3], [1, 2], [8, 7, 6]]
"""The first has an odd number of rows, the second one row only: a process has nothing to learn from there."""


def plan():
    return plan_with(segments_of([*UNEQUAL, 5]), [[number] for number in range(9)], UPDATES)


def make_model(kind: str):
    model = tiny_model()
    if kind == "full":
        return model, None
    model.requires_grad_(False)
    adapter = _new_adapter(model, Train(), Lora(rank=4, alpha=8), 0)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.1)
    return model, adapter


def work(out: Path, base_folder: str, kind: str) -> None:
    """Everything that both numbers of processes do; the first process writes to `out`."""
    team = Team()
    model, _ = make_model(kind)
    alone = proof_states(model)
    trainer = trainer_of(model, plan(), SETTINGS)
    check_attention(model, trainer.hidden_states, alone, torch.float32)
    gradients: dict[str, torch.Tensor] = {}
    step = trainer.optimizer.step

    def keep_gradients() -> None:
        gradients.update({name: whole(value.grad).clone() for name, value in trainer.parameters.items()})
        step()

    trainer.optimizer.step = keep_gradients
    steps = [trainer.update(0)]
    trainer.optimizer.step = step
    steps += [trainer.update(number) for number in (1, 2)]
    held_out = trainer.held_out_loss([trainer.plan.row(0), trainer.plan.row(4), empty_row()])
    state = State("b2:stage", 3, 1, {"steps": [vars(one) for one in steps]})
    save_progress(out / "progress", state, trainer.parameters, trainer.optimizer, team, keep_last=1)
    team.wait()
    steps.append(trainer.update(3))
    weights = {name: whole(value).clone() for name, value in trainer.parameters.items()}

    again, again_adapter = make_model(kind)
    restored = trainer_of(again, plan(), SETTINGS)
    found = load_progress(out / "progress", "b2:stage")
    assert found is not None
    restore(found[1], found[0].num_updates, restored.parameters, restored.optimizer)
    restored.update(3)
    for name, value in restored.parameters.items():
        torch.testing.assert_close(whole(value), weights[name], rtol=1e-6, atol=1e-7)
    tokenizer = load_tokenizer(Train(model=base_folder))
    write_checkpoint(out / "checkpoint", again, again_adapter, tokenizer, {}, is_first=team.is_first)
    parts = team.from_all(sum(value.numel() for value in _local(trainer.parameters)))
    if team.is_first:
        save_file(gradients, out / "gradients.safetensors")
        save_file(weights, out / "weights.safetensors")
        facts = {
            "size": team.size, "is_sharded": team.is_sharded, "numbers_held": parts, "held_out": held_out,
            "steps": [[one.loss, one.grad_norm, one.tokens, one.target_tokens] for one in steps],
        }  # fmt: skip
        (out / "facts.json").write_text(json.dumps(facts))
    team.wait()


def _local(parameters):
    for value in parameters.values():
        yield value.to_local() if hasattr(value, "to_local") else value


if __name__ == "__main__":
    torch.set_num_threads(1)
    if os.environ.get("ACCELERATE_USE_FSDP") == "true":
        from accelerate.state import PartialState
        from accelerate.utils import DistributedType

        PartialState(cpu=True)
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_XPU
    work(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    torch.distributed.destroy_process_group()
