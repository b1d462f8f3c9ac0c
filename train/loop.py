"""The updates of a stage: loss = summed cross-entropy of the update's target tokens / their number.

The paper names AdamW, its learning rate, cosine, warm-up and weight decay. It does not name betas and epsilon; these
are torch's own (0.9, 0.999, 1e-8).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch

from corpus.errors import TrainingError
from corpus.recipe import StageSettings
from corpus.store.identity import draw
from train.model import Compute
from train.packed import PackedModel
from train.plan import Plan, Row, empty_row
from train.team import Team, whole


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
        self,
        model: PackedModel,
        plan: Plan,
        settings: StageSettings,
        compute: Compute,
        team: Team,
        seed: int,
        stage: str,
    ) -> None:
        """`model`'s parameters that require gradients are trained; it goes to where `team` computes."""
        self.plan = plan
        self.team = team
        self._settings = settings
        self._compute = compute
        self._seeded = (seed, stage)
        trained = [value for value in model.parameters() if value.requires_grad]
        assert trained, "nothing to train"
        matrices = [value for value in trained if value.ndim > 1]
        others = [value for value in trained if value.ndim <= 1]  # norms and biases do not decay
        groups: list[dict[str, object]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
        # Fused: one pass over the weights, without temporaries of their size.
        optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
        self.module, self.optimizer = team.prepare(model, optimizer)
        self.parameters = {name: value for name, value in model.model.named_parameters() if value.requires_grad}

    def update(self, number: int) -> Step:
        """Do update `number` of the plan, this process its share of the rows.

        Raises:
            TrainingError: the loss or the gradient is not a number (the message names the row and its texts), a row
                does not fit into memory, or the first update moves no weight: adapters that were loaded frozen train
                with a healthy-looking loss.
        """
        began = time.monotonic()
        self.module.train()
        num_targets = self.plan.num_targets[number]
        rows = self.team.share(self.plan.updates[number])
        with _told_when_too_large(self.plan, number):
            losses = [
                self._backward(number, row, num_targets, is_last=place == len(rows) - 1)
                for place, row in enumerate(rows)
            ]
        total = self.team.total(float(torch.stack(losses).sum()))
        if not math.isfinite(total):
            self._refuse_rows(number, rows, losses)
        rate = learning_rate(self._settings, number, len(self.plan.updates))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = float(whole(torch.nn.utils.clip_grad_norm_(self.parameters.values(), self._settings.max_grad_norm)))
        if not math.isfinite(norm):
            raise TrainingError(f"the gradient of update {number} is {norm}; lower the stage's learning_rate")
        before = self._sums() if number == 0 else []
        with _told_when_too_large(self.plan, number):
            self.optimizer.step()
        self.optimizer.zero_grad()
        if number == 0 and rate > 0 and self._sums() == before:
            raise TrainingError(
                f"the first update, at a learning rate of {rate:.3g}, moved none of {len(self.parameters)} weights; "
                "raise the stage's learning_rate, and look at train.lora"
            )
        seconds = time.monotonic() - began
        return Step(total / num_targets, self.plan.num_tokens[number], num_targets, rate, norm, seconds)

    def held_out_loss(self, rows: Sequence[Row]) -> float:
        """Summed cross-entropy (nats) of rows that are not trained on."""
        self.module.eval()
        with torch.no_grad():
            losses = [self._loss(empty_row() if row is None else row) for row in self.team.share(rows)]
        return self.team.total(float(torch.stack(losses).sum()))

    def hidden_states(self, token_ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Last hidden states [row_tokens, width] of a packed row, as an update computes them."""
        positions = torch.cat([torch.arange(length) for length in lengths])
        device = self.team.device
        with self._compute.autocast():
            return cast(torch.Tensor, self.module(token_ids.to(device), positions.to(device), list(lengths)))

    def _loss(self, row: Row) -> torch.Tensor:
        tensors = (torch.from_numpy(array) for array in (row.input_ids, row.position_ids, row.labels))
        input_ids, position_ids, labels = (tensor.to(self.team.device, non_blocking=True) for tensor in tensors)
        with self._compute.autocast():
            return cast(torch.Tensor, self.module(input_ids, position_ids, row.lengths, labels))

    def _backward(self, number: int, row_number: int | None, num_targets: int, *, is_last: bool) -> torch.Tensor:
        row = empty_row() if row_number is None else self.plan.row(row_number)
        # Dropout of each row of an update has its own seed: no state of a generator needs saving, and which process
        # does the row is the same to it.
        torch.manual_seed(draw("dropout", *self._seeded, number, row_number))
        with self.team.last_only(self.module, is_last=is_last):
            loss = self._loss(row)
            # Replicas and shards take the mean of their gradients; the loss is a sum over all of them.
            torch.autograd.backward(loss * (self.team.size / num_targets))
        return loss.detach()

    def _refuse_rows(self, number: int, rows: Sequence[int | None], losses: Sequence[torch.Tensor]) -> None:
        """One message for all processes: which row of which of them gave no number."""
        mine = [(row, float(loss)) for row, loss in zip(rows, losses, strict=True) if row is not None]
        bad = [pair for some in self.team.from_all(mine) for pair in some if not math.isfinite(pair[1])]
        row, value = bad[0] if bad else (self.plan.updates[number][0], math.inf)  # a sum may overflow
        sources = ", ".join(self.plan.sources(row)[:5])
        raise TrainingError(
            f"the loss is {value} at update {number}, row {row} (texts {sources}); lower the stage's learning_rate, "
            "or look at those texts with: specmill trace. The last good state is kept"
        )

    def _sums(self) -> list[float]:
        return [float(whole(value).double().sum()) for value in self.parameters.values()]


@contextmanager
def _told_when_too_large(plan: Plan, number: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        longest = max(plan.row_tokens[row] for row in plan.updates[number])
        raise TrainingError(
            f"update {number}, of rows up to {longest:,} tokens, does not fit into memory "
            f"({str(error).splitlines()[0]}); lower the stage's seq_tokens, or set train.recompute: true"
        ) from error


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
