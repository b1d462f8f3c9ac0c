"""The updates of a stage: loss = summed cross-entropy of the update's target tokens / their number.

The paper names AdamW, its learning rate, cosine, warm-up and weight decay. It does not name betas and epsilon; these
are torch's own (0.9, 0.999, 1e-8).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from corpus.errors import TrainingError
from corpus.recipe import StageSettings
from corpus.store.identity import draw
from train.loss import row_loss
from train.model import Compute
from train.plan import Plan

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Step:
    """What one update did."""

    loss: float
    """Mean cross-entropy of the target tokens, before the update (nats)."""
    tokens: int
    target_tokens: int
    learning_rate: float
    grad_norm: float
    """Before clipping."""
    seconds: float


class Trainer:
    """A model, its optimizer and the plan. Update k is a pure function of the state after update k - 1."""

    def __init__(
        self, model: PreTrainedModel, plan: Plan, settings: StageSettings, compute: Compute, seed: int, stage: str
    ) -> None:
        """`model`'s parameters that require gradients are trained; it stays on `compute.device`."""
        self.model = model
        self.plan = plan
        self.parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        assert self.parameters, "nothing to train"
        self._settings = settings
        self._compute = compute
        self._seeded = (seed, stage)
        matrices = [value for value in self.parameters.values() if value.ndim > 1]
        others = [value for value in self.parameters.values() if value.ndim <= 1]  # norms and biases do not decay
        groups: list[dict[str, object]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)

    def update(self, number: int) -> Step:
        """Do update `number` of the plan.

        Raises:
            TrainingError: the loss or the gradient is not a number (the message names the row and its texts), or the
                first update moves no weight: adapters that were loaded frozen train with a healthy-looking loss.
        """
        began = time.monotonic()
        self.model.train()
        # Dropout of each update has its own seed, so that no state of a generator needs saving.
        torch.manual_seed(draw("dropout", *self._seeded, number))
        num_targets = self.plan.num_targets[number]
        loss = sum(self._backward(number, row, num_targets) for row in self.plan.updates[number])
        rate = learning_rate(self._settings, number, len(self.plan.updates))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), self._settings.max_grad_norm))
        if not math.isfinite(norm):
            raise TrainingError(f"the gradient of update {number} is {norm}; lower the stage's learning_rate")
        before = self._sums() if number == 0 else []
        self.optimizer.step()
        self.optimizer.zero_grad()
        if number == 0 and rate > 0 and self._sums() == before:
            raise TrainingError(
                f"the first update, at a learning rate of {rate:.3g}, moved none of {len(self.parameters)} weights; "
                "raise the stage's learning_rate, and look at train.lora"
            )
        seconds = time.monotonic() - began
        return Step(loss / num_targets, self.plan.num_tokens[number], num_targets, rate, norm, seconds)

    def _sums(self) -> list[float]:
        return [float(value.detach().double().sum()) for value in self.parameters.values()]

    def _backward(self, number: int, row_number: int, num_targets: int) -> float:
        row = self.plan.row(row_number)
        tensors = (torch.from_numpy(array) for array in (row.input_ids, row.labels, row.position_ids))
        input_ids, labels, position_ids = (tensor.to(self._compute.device) for tensor in tensors)
        with self._compute.autocast():
            loss = row_loss(self.model, input_ids, labels, position_ids)
        value = float(loss.detach())
        if not math.isfinite(value):
            sources = ", ".join(self.plan.sources(row_number)[:5])
            raise TrainingError(
                f"the loss is {value} at update {number}, row {row_number} (texts {sources}); lower the stage's "
                "learning_rate, or look at those texts with: specmill trace"
            )
        torch.autograd.backward(loss / num_targets)
        return value


def learning_rate(settings: StageSettings, update: int, num_updates: int) -> float:
    """Linear warm-up to the peak over `warmup_fraction` of the updates, then half a cosine towards 0.

    No update has a rate of 0: the first takes the first step of the warm-up, and 0 comes after the last.
    """
    warmup = math.ceil(settings.warmup_fraction * num_updates)
    if update < warmup:
        return settings.learning_rate * (update + 1) / warmup
    return settings.learning_rate * (1 + math.cos(math.pi * (update - warmup) / (num_updates - warmup))) / 2


@contextmanager
def reproducible(device: torch.device, num_threads: int) -> Iterator[None]:
    """On the CPU: deterministic kernels and a fixed number of threads: a resumed run is the same bit for bit."""
    if device.type != "cpu":
        yield
        return
    before, threads_before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # else every new tensor is written twice; torch's stubs lack it
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads_before)
