"""How fast an update was, beside what this machine multiplies matrices at; and what it took of memory.

Model FLOPs of an update (recomputation is not counted), N the weights of the layers' matrices, n the trained ones
among them or beside them, W those of the output layer, s the tokens of a segment:

    4 N tokens + 6 n tokens [+ 2 N tokens where all weights are trained]   matrices, forward and backward
    4 W targets [+ 2 W targets where it is trained]                        logits of the learned tokens only
    6 (heads x width) layers sum(s^2)                                      causal attention, forward and backward

MFU is that, per second, as a share of the rate of a plain matrix product, measured on this device and in this
precision when the stage begins: not of a data sheet.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from train.model import Compute
from train.plan import Plan

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def matrix_rate(compute: Compute) -> float:
    """FLOP/s of a product of two square matrices, random ones: the best of a few (0.1 to 0.5 s)."""
    size = 8192 if compute.device.type == "cuda" else 1024
    one, other = (torch.randn(size, size, device=compute.device).to(compute.dtype) for _ in range(2))
    seconds = []
    for _ in range(4):
        _wait(compute.device)
        began = time.perf_counter()
        torch.mm(one, other)
        _wait(compute.device)
        seconds.append(time.perf_counter() - began)
    return float(2 * size**3 / min(seconds))


def reset_peak_memory(device: torch.device) -> None:
    """Count the most that is held from now on; the CPU's counter is the process's own and stays."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """The most that was held at once: by tensors on an accelerator, by the whole process on the CPU (bytes)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # The other counter outlives an exec: it would begin with what the starting process held.
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Costs:
    """What a token, a learned token and a pair of tokens of one segment cost (FLOPs, forward and backward)."""

    per_token: float
    per_target: float
    per_pair: float

    @classmethod
    def of(cls, model: PreTrainedModel) -> Costs:
        """Those of a causal model, its adapter inside."""
        head = model.get_output_embeddings().weight
        tables = {id(head), id(model.get_input_embeddings().weight)}
        frozen = trained = 0
        for parameter in model.parameters():
            if parameter.ndim == 2 and id(parameter) not in tables:
                frozen += 0 if parameter.requires_grad else parameter.numel()
                trained += parameter.numel() if parameter.requires_grad else 0
        config = model.config.get_text_config()
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return cls(
            per_token=4 * frozen + 6 * trained,
            per_target=(6 if head.requires_grad else 4) * head.numel(),
            per_pair=6 * config.num_attention_heads * width * config.num_hidden_layers,
        )

    def of_update(self, plan: Plan, number: int) -> float:
        """FLOPs of update `number` of a plan, over all processes."""
        starts = plan.segments.starts
        segments = np.concatenate([plan.rows[row] for row in plan.updates[number]])
        squares = float(((starts[segments + 1] - starts[segments]).astype(float) ** 2).sum())
        tokens, targets = plan.num_tokens[number], plan.num_targets[number]
        return self.per_token * tokens + self.per_target * targets + self.per_pair * squares
