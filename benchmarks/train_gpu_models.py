"""What the cells of `train_gpu.py` are measured on: models of random weights, documents of random tokens.

Speed and memory do not depend on what the weights are, but for all zeros, which are quicker. Lengths of documents are
drawn from a normal distribution of mean 3,166 and deviation 767 tokens, cut at 4,522 and 256: mean 3,154, nine in ten
below 4,148, as replicators of the paper found its corpus (mean, 90th percentile and maximum; the shape is ours).
"""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from train_gpu_list import OWN, SHAPES, Cell, Shape

from corpus.errors import TrainingError
from corpus.hardware import cpu_multiplies_bf16
from corpus.recipe import Lora, StageSettings
from train.adapter import PROJECTIONS
from train.attention import (
    FLEX,
    VARLEN,
    check_attention,
    proof_states,
    use_packed_attention,
    varlen_attention,
)  # fmt: skip
from train.loop import Trainer
from train.loss import check_loss
from train.memory import check_memory
from train.model import Compute
from train.packed import PackedModel
from train.packing import piece_lengths
from train.plan import Plan, make_plan
from train.segments import Segments
from train.speed import matrix_rate
from train.team import Team

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WARM_UP, TIMED = 5, 10
DOCUMENTS = 400
TINY = 32
"""With `--shapes tiny` rows and documents are shorter by this factor."""
Row = dict[str, Any]


def document_lengths(num: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Tokens of some documents."""
    return draw.normal(3166, 767, num).clip(256, 4522).astype(np.int64)


class Unavailable(Exception):
    """A cell cannot be measured here, and why."""


class Room:
    """Where cells are measured: a device, a precision, and the model that was built last."""

    def __init__(self, device: str, shapes: str) -> None:
        """On this machine; a CPU without instructions for bf16 computes in fp32."""
        if device == "cpu":
            torch.set_num_threads(1)  # models so small are slower on more
        dtype = torch.bfloat16 if device == "cuda" or cpu_multiplies_bf16() else torch.float32
        self.compute = Compute(torch.device(device), dtype)
        self.scale = TINY if shapes == "tiny" else 1
        self.shapes = SHAPES[shapes]
        self.rate = matrix_rate(self.compute)
        self._built: tuple[tuple[str, bool], PreTrainedModel] | None = None

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.compute.device.type == "cuda":
            torch.cuda.synchronize()

    def forget(self) -> None:
        """Free what is held."""
        self._built = None
        self.give_back()

    def give_back(self) -> None:
        """Give the memory of what is held no more back to the device, where an estimate looks for it."""
        gc.collect()
        if self.compute.device.type == "cuda":
            torch.cuda.empty_cache()

    def team(self) -> Team:
        """This process alone; a `Trainer` of transformers may have been here before, with another precision."""
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)
        return Team()

    def seconds_of(self, cell: Cell) -> float:
        """A first guess of how long a cell takes; `train_gpu.py` corrects it by what cells took."""
        shape, cuda = self.shapes[cell.shape], self.compute.device.type == "cuda"
        if cell.what in ("canary", "attention"):
            return 45.0 if cell.way == FLEX and cuda else 6.0
        needed = (6 if cell.is_full else 4) + (2 if cell.recompute else 0)
        tokens = cell.row_tokens // self.scale
        pairs = 6 * shape.heads * shape.head_width * shape.layers * tokens * min(tokens, 3154 // self.scale)
        update = 0.1 + (needed * shape.num_weights * tokens + pairs) / (0.35 * self.rate)
        build = 8 + shape.num_weights / 2e9
        passes, builds = (13, 4) if cell.what == "resume" else (WARM_UP + TIMED, 1)
        return passes * update + builds * build + (30 if cell.way == FLEX and cuda else 0)

    def refuse_too_large(self, cell: Cell) -> None:
        """Weights, gradients and moments alone must fit.

        Raises:
            Unavailable: they do not.
        """
        if self.compute.device.type != "cuda" or cell.what in ("canary", "attention"):
            return
        shape, there = self.shapes[cell.shape], torch.cuda.mem_get_info()[1]
        trained = shape.num_weights if cell.is_full else shape.num_adapter_weights
        needed = 16 * trained + (0 if cell.is_full else 2 * shape.num_weights)
        if needed > there:
            raise Unavailable(f"weights, gradients and moments take {needed / 2**30:.0f} GiB of {there / 2**30:.0f}")

    def model(self, cell: Cell) -> PreTrainedModel:
        """Of a cell's shape, attending in its own way; with an adapter, or all weights in fp32."""
        key = (cell.shape, cell.is_full)
        if self._built is None or self._built[0] != key:
            self.forget()
            self._built = key, self._build(cell)
        self.give_back()
        model = self._built[1]
        model.set_attn_implementation(OWN)
        model.gradient_checkpointing_disable()
        if cell.recompute:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return model

    def built(self) -> PreTrainedModel:
        """The model of the cell that is measured."""
        assert self._built is not None
        return self._built[1]

    def _build(self, cell: Cell) -> PreTrainedModel:
        from peft import LoraConfig, get_peft_model

        shape, lora = self.shapes[cell.shape], Lora()
        if cell.is_full:
            return self.random_model(shape, torch.float32)
        model = self.random_model(shape, self.compute.dtype)
        config = LoraConfig(
            r=lora.rank, lora_alpha=int(lora.alpha), lora_dropout=0.0, target_modules=list(PROJECTIONS), bias="none",
            task_type="CAUSAL_LM",
        )  # fmt: skip
        get_peft_model(model, config)
        return model

    def random_model(self, shape: Shape, dtype: torch.dtype) -> PreTrainedModel:
        """Weights drawn on the device, the same at every call."""
        from transformers import AutoModelForCausalLM

        torch.manual_seed(0)
        with self.compute.device:
            return AutoModelForCausalLM.from_config(shape.config(), dtype=dtype, attn_implementation=OWN)

    def one_layer(self, shape: Shape) -> PreTrainedModel:
        """A model of a shape's attention and little else."""
        return self.random_model(replace(shape, layers=1, mlp=64, vocab=64, is_tied=True), self.compute.dtype)

    def attend(self, model: PreTrainedModel, way: str) -> None:
        """Make a model attend in one way.

        Raises:
            Unavailable: this torch, or this device, does not have it.
        """
        if way in (VARLEN, FLEX) and self.compute.device.type == "cpu":
            raise Unavailable(f"{way} has no backward pass on a CPU")
        if way == VARLEN and varlen_attention() is None:
            raise Unavailable(f"torch {torch.__version__} has no varlen_attn")
        use_packed_attention(model, self.compute)  # names the ways
        model.set_attn_implementation(way)

    def plan(self, cell: Cell, num_updates: int) -> tuple[Plan, StageSettings]:
        """Rows of a cell, one an update, as a stage packs them."""
        draw = np.random.default_rng(0)
        lengths = document_lengths(DOCUMENTS, draw) // self.scale
        row_tokens = cell.row_tokens // self.scale
        pieces = [piece for length in lengths.tolist() for piece in piece_lengths(length, row_tokens)]
        starts = np.concatenate([[0], np.cumsum(pieces)])
        token_ids = draw.integers(2, self.shapes[cell.shape].vocab, int(starts[-1]), dtype=np.int32)
        is_target = np.ones(len(token_ids), np.bool_)
        is_target[starts[:-1]] = False
        segments = Segments(token_ids, is_target, starts, [str(number) for number in range(len(pieces))], {})
        settings = StageSettings(data="made", updates=num_updates, seq_tokens=row_tokens, batch_tokens=1)
        return make_plan(segments, settings, 0, "gpu"), settings

    def trainer(self, cell: Cell, num_updates: int) -> tuple[Trainer, Plan, Row]:
        """As a stage makes it, with its proofs; and what it says of itself."""
        model, (plan, settings) = self.model(cell), self.plan(cell, num_updates)
        with self.compute.autocast():
            check_loss(model)
            alone = proof_states(model)
        way = use_packed_attention(model, self.compute)
        if cell.way:
            self.attend(model, way := cell.way)
        packed = PackedModel(model)
        try:
            check_memory(packed, plan, self.compute, "gpu")
            fits = "fits"
        except TrainingError as error:
            fits = str(error).partition(";")[0]
        trainer = Trainer(packed, plan, settings, self.compute, self.team(), 0, "gpu")
        check_attention(model, trainer.hidden_states, alone, self.compute.dtype)
        return trainer, plan, {"attention": way, "memory_estimate": fits, "row_fill": round(plan.fill_fraction, 4)}
