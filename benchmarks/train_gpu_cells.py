"""What `train_gpu.py` measures: a function for each kind of cell."""

from __future__ import annotations

import itertools
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from train_gpu_list import OWN, Cell
from train_gpu_models import TIMED, WARM_UP, Room

from corpus.errors import TrainingError
from train.attention import check_attention, hidden_states, proof_states
from train.loop import Trainer, learning_rate
from train.plan import Plan
from train.progress import State, load_progress, restore, save_progress
from train.speed import Costs, peak_memory_bytes, reset_peak_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Row = dict[str, Any]
PEERS = str(Path(__file__).resolve().parent / "peers")
CANARY_LENGTHS = (700, 300, 24)
"""Documents of the row that is held against fp32 (tokens)."""


def train(cell: Cell, room: Room) -> Row:
    """Updates of one row."""
    trainer, plan, about = room.trainer(cell, WARM_UP + TIMED)
    return about | _speed(cell, room, plan, _timed(room, lambda number: trainer.update(number).loss, plan))


def _timed(room: Room, update: Callable[[int], float], plan: Plan) -> list[float]:
    """Seconds of each update."""
    reset_peak_memory(room.compute.device)
    seconds = []
    for number in range(len(plan.updates)):
        room.wait()
        began = time.perf_counter()
        loss = update(number)
        room.wait()
        seconds.append(time.perf_counter() - began)
        assert math.isfinite(loss), (number, loss)
    return seconds


def _speed(cell: Cell, room: Room, plan: Plan, seconds: list[float]) -> Row:
    """The columns of a measurement: medians of the updates that count."""
    costs, device = Costs.of(room.built()), room.compute.device
    numbers = range(WARM_UP, WARM_UP + TIMED)
    rates = [plan.num_tokens[number] / seconds[number] for number in numbers]
    flops = statistics.median(costs.of_update(plan, number) / seconds[number] for number in numbers)
    row = {
        "tokens_per_update": statistics.median(plan.num_tokens[number] for number in numbers),
        "seconds_per_update": statistics.median(seconds[WARM_UP:]),
        "tokens_per_second": statistics.median(rates),
        "quartiles": statistics.quantiles(rates, n=4)[::2],
        "tflops": flops / 1e12,
        "mfu_measured": flops / room.rate,
    }
    if device.type == "cuda":
        row["peak_gib"] = peak_memory_bytes(device) / 2**30
        row["reserved_gib"] = torch.cuda.max_memory_reserved() / 2**30
        row["sm_clock"] = _sm_clock()
    return row


def _sm_clock() -> str:
    """Clock and power right after the updates, where the driver's tool is there."""
    tool = shutil.which("nvidia-smi")
    asked = [tool or "", "--query-gpu=clocks.sm,power.draw", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() if tool else ""


def peer(cell: Cell, room: Room) -> Row:
    """The same rows by `transformers.Trainer`, flattened, on its SDPA."""
    if PEERS not in sys.path:
        sys.path.append(PEERS)
    from accelerate.state import AcceleratorState
    from train_job import Job
    from trainer_job import arguments
    from transformers import TrainerCallback, TrainingArguments
    from transformers_train import Flattening

    model, (plan, settings) = room.model(cell), room.plan(cell, WARM_UP + TIMED)
    AcceleratorState._reset_state(reset_partial_state=True)
    rates = [learning_rate(settings, number, len(plan.updates)) for number in range(len(plan.updates))]
    rows = [list(_documents(plan, row)) for rows in plan.updates for row in rows]
    job = Job("", None, settings.model_dump(mode="json"), torch.get_num_threads(), rates, rows)
    times = [0.0]

    class Timed(TrainerCallback):
        def on_train_begin(self, *_: object, **__: object) -> None:
            times[0] = time.perf_counter()

        def on_step_end(self, *_: object, **__: object) -> None:
            room.wait()
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        asked = arguments(job, Path(folder)) | {"use_cpu": room.compute.device.type == "cpu"}
        asked["bf16"] = room.compute.dtype == torch.bfloat16
        trainer = Flattening(job, model=model, args=TrainingArguments(**asked), callbacks=[Timed()])
        reset_peak_memory(room.compute.device)
        trainer.train()
    row = _speed(cell, room, plan, [after - before for before, after in itertools.pairwise(times)])
    room.forget()  # accelerate has wrapped the model's forward
    return {"attention": OWN} | row


def _documents(plan: Plan, number: int) -> Iterator[list[int]]:
    row = plan.row(number)
    for stop, length in zip(np.cumsum(row.lengths).tolist(), row.lengths, strict=True):
        yield row.input_ids[stop - length : stop].tolist()


def resume(cell: Cell, room: Room) -> Row:
    """Five updates, beside three, a saved state, a new model and two more; and five again, for the noise."""

    def fresh() -> Trainer:
        room.forget()
        return room.trainer(cell, 5)[0]

    def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
        return {name: value.detach().float().cpu() for name, value in trainer.parameters.items()}

    straight = fresh()
    losses = [straight.update(number).loss for number in range(5)]
    expected = weights(straight)
    again = fresh()
    losses_again = [again.update(number).loss for number in range(5)]
    noise = _largest(expected, weights(again))
    first = fresh()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            first.update(number)
        state = State("gpu", 3, torch.get_num_threads(), {})
        save_progress(Path(folder), state, first.parameters, first.optimizer, first.team, 1)
        second = fresh()
        saved = load_progress(Path(folder), "gpu")
        assert saved is not None
        restore(saved[1], saved[0].num_updates, second.parameters, second.optimizer)
    losses_after = [second.update(number).loss for number in (3, 4)]
    return {
        "largest_weight_difference": _largest(expected, weights(second)),
        "largest_loss_difference": max(abs(a - b) for a, b in zip(losses[3:], losses_after, strict=True)),
        "weight_noise": noise,
        "loss_noise": max(abs(a - b) for a, b in zip(losses, losses_again, strict=True)),
    }


def _largest(ours: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((value - other[name]).abs().max()) for name, value in ours.items())


def canary(cell: Cell, room: Room) -> Row:
    """A packed row by one way to attend, against each document alone in fp32: states, gradients, leaks.

    What computing each alone in bf16 differs by stands beside it: rounding, which is no fault of packing.
    """
    shape, dtype = room.shapes[cell.shape], room.compute.dtype
    lengths = [max(4, length // room.scale) for length in CANARY_LENGTHS]
    model, exact = room.random_model(shape, dtype), room.random_model(shape, torch.float32)
    exact.load_state_dict(model.state_dict())
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(2, shape.vocab, (sum(lengths),), generator=draw).to(room.compute.device)
    weigh = torch.randn(sum(lengths), shape.hidden, generator=draw).to(room.compute.device)

    def learned(of: PreTrainedModel, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        of.zero_grad()
        torch.autograd.backward((states.float() * weigh).sum())
        return states.detach().float(), of.get_input_embeddings().weight.grad.float()

    def alone(of: PreTrainedModel) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [
            of.base_model(input_ids=some[None], use_cache=False).last_hidden_state[0] for some in ids.split(lengths)
        ]
        return learned(of, torch.cat(parts))

    def packed(token_ids: torch.Tensor, some: Sequence[int]) -> torch.Tensor:
        positions = torch.cat([torch.arange(length) for length in some])
        device = room.compute.device
        return hidden_states(model, token_ids.to(device), positions.to(device), list(some))

    expected, expected_gradient = alone(exact)
    with room.compute.autocast():
        by_rounding, gradient_by_rounding = alone(model)
        proof = proof_states(model)
        room.attend(model, cell.way)
        found, found_gradient = learned(model, packed(ids, lengths))
        try:
            check_attention(model, packed, proof, dtype)
            leaks = "none"
        except TrainingError as error:
            leaks = str(error)
    return {
        "states_error": _relative(found, expected),
        "gradient_error": _relative(found_gradient, expected_gradient),
        "states_error_of_rounding": _relative(by_rounding, expected),
        "gradient_error_of_rounding": _relative(gradient_by_rounding, expected_gradient),
        "leaks": leaks,
    }


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def attention(cell: Cell, room: Room) -> Row:
    """Forward and backward of one layer's attention over a row of documents."""
    from transformers import AttentionInterface
    from transformers.masking_utils import create_causal_mask

    shape, device = room.shapes[cell.shape], room.compute.device
    plan, _ = room.plan(cell, 1)
    lengths = max((plan.row(row).lengths for row in range(len(plan.rows))), key=sum)
    num_tokens = sum(lengths)
    model = room.one_layer(shape)
    room.attend(model, cell.way)
    inner = model.base_model.layers[0].self_attn
    positions = torch.cat([torch.arange(length) for length in lengths])[None].to(device)
    embeds = torch.zeros(1, num_tokens, shape.hidden, dtype=room.compute.dtype, device=device)
    mask = create_causal_mask(
        config=model.config, inputs_embeds=embeds, attention_mask=None, past_key_values=None, position_ids=positions
    )
    q, k, v = (
        torch.randn(1, num_tokens, heads, shape.head_width, dtype=room.compute.dtype, device=device, requires_grad=True)
        for heads in (shape.heads, shape.kv_heads, shape.kv_heads)
    )
    ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)
    given = {"segment_lengths": tuple(lengths), "segment_ends": ends, "scaling": shape.head_width**-0.5}
    attend = AttentionInterface()[cell.way]
    milliseconds = []
    for _ in range(WARM_UP + TIMED):
        room.wait()
        began = time.perf_counter()
        result, _ = attend(inner, *(one.transpose(1, 2) for one in (q, k, v)), mask, dropout=0.0, **given)
        torch.autograd.backward(result.float().sum())
        room.wait()
        milliseconds.append(1000 * (time.perf_counter() - began))
    took = statistics.median(milliseconds[WARM_UP:])
    flops = 6 * shape.heads * shape.head_width * sum(length**2 for length in lengths)
    return {
        "row_tokens": num_tokens, "documents": len(lengths), "milliseconds": took,
        "tflops": flops / took / 1e9, "of_measured_rate": flops / took * 1000 / room.rate,
    }  # fmt: skip


MEASURES: dict[str, Callable[[Cell, Room], Row]] = {
    "train": train, "peer": peer, "resume": resume, "canary": canary, "attention": attention,
}  # fmt: skip
