"""The plan of a stage: every row of every update, known before the first, a pure function of data, tokenizer and seed.

Resuming therefore needs one integer, and the number of target tokens of an update is known before it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.errors import TrainingError
from corpus.recipe import StageSettings
from corpus.store.identity import draw
from train.packing import pack_best_fit
from train.segments import Segment, Segments

IGNORED = -100
"""The label of a position that is not predicted (torch's own `ignore_index`)."""


@dataclass(frozen=True)
class Row:
    """One packed row, the micro-batch. Arrays of shape [row_tokens], no padding."""

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    """The row's own tokens where they are targets, IGNORED elsewhere (not shifted)."""
    position_ids: NDArray[np.int64]
    """Restart at 0 with each segment."""
    lengths: list[int]
    """Tokens of each segment: what keeps segments apart."""


def row_of(segments: Sequence[Segment]) -> Row:
    """The packed row of some segments."""
    token_ids = np.concatenate([np.asarray(segment.token_ids, np.int64) for segment in segments])
    is_target = np.concatenate([np.asarray(segment.is_target, np.bool_) for segment in segments])
    return _row(token_ids, is_target, [len(segment.token_ids) for segment in segments])


def _row(token_ids: NDArray[np.int64], is_target: NDArray[np.bool_], lengths: list[int]) -> Row:
    positions = np.concatenate([np.arange(length) for length in lengths])
    return Row(token_ids, np.where(is_target, token_ids, IGNORED), positions, lengths)


def empty_row() -> Row:
    """A row with nothing to learn: what a process passes through that has no row of its own."""
    return Row(np.zeros(1, np.int64), np.full(1, IGNORED, np.int64), np.zeros(1, np.int64), [1])


@dataclass(frozen=True)
class Plan:
    """What a stage trains on, in order."""

    segments: Segments
    rows: list[list[int]]
    """Segments of each packed row."""
    updates: list[list[int]]
    """Rows of each update, over all epochs."""
    num_tokens: list[int]
    """Tokens of each update."""
    num_targets: list[int]
    """Target tokens of each update: what its summed loss is divided by."""
    fill_fraction: float
    """Share of the rows' places that hold a token."""
    row_tokens: list[int]
    """Tokens of each packed row."""

    def describe(self) -> str:
        """What goes in and what comes out, in a line."""
        num_in, num_out = len(self.segments.token_ids), sum(self.row_tokens)
        spread = sorted(self.num_targets)
        return (
            f"{num_in:,} tokens in {len(self.segments.sources):,} segments = {num_out:,} in {len(self.rows):,} rows "
            f"({self.fill_fraction:.1%} full); {len(self.updates):,} updates of {spread[0]:,} to {spread[-1]:,} tokens "
            f"to learn (median {spread[len(spread) // 2]:,})"
        )

    def row(self, number: int) -> Row:
        """Packed row `number`."""
        spans = [self._span(segment) for segment in self.rows[number]]
        token_ids = np.concatenate([self.segments.token_ids[span] for span in spans]).astype(np.int64)
        is_target = np.concatenate([self.segments.is_target[span] for span in spans])
        return _row(token_ids, is_target, [span.stop - span.start for span in spans])

    def sources(self, number: int) -> list[str]:
        """Ids of the documents or chats in packed row `number`."""
        return [self.segments.sources[segment] for segment in self.rows[number]]

    def _span(self, segment: int) -> slice:
        return slice(int(self.segments.starts[segment]), int(self.segments.starts[segment + 1]))


def make_plan(segments: Segments, settings: StageSettings, seed: int, stage: str) -> Plan:
    """Pack segments into rows of at most `seq_tokens`, and order the rows into updates of at least `batch_tokens`.

    Each epoch has its own order, drawn from (seed, stage, epoch); what is left at an epoch's end joins its last
    update, so that no update is small. With `updates` given, epochs go on until so many are planned.

    Raises:
        TrainingError: there is not one target token.
    """
    seq_tokens = settings.seq_tokens
    if not segments.is_target.any():
        dropped = {reason: len(sources) for reason, sources in segments.dropped.items()}
        raise TrainingError(
            f"stage '{stage}' has nothing to learn: {len(segments.sources)} texts, 0 target tokens (left out: "
            f"{dropped or 'none'}); look at its mix, or give the stage a larger seq_tokens than {seq_tokens}"
        )
    lengths = np.diff(segments.starts)
    targets = np.add.reduceat(segments.is_target, segments.starts[:-1], dtype=np.int64)
    rows = pack_best_fit(lengths.tolist(), seq_tokens)
    row_tokens = [int(lengths[row].sum()) for row in rows]
    row_targets = [int(targets[row].sum()) for row in rows]
    assert sum(row_tokens) == len(segments.token_ids), (sum(row_tokens), len(segments.token_ids))
    updates: list[list[int]] = []
    epoch = 0
    while len(updates) < settings.updates if settings.updates else epoch < (settings.epochs or 1):
        updates += _updates(_order(len(rows), seed, stage, epoch), row_tokens, row_targets, settings.batch_tokens)
        epoch += 1
    updates = updates[: settings.updates]
    return Plan(
        segments,
        rows,
        updates,
        num_tokens=[sum(row_tokens[row] for row in update) for update in updates],
        num_targets=[sum(row_targets[row] for row in update) for update in updates],
        fill_fraction=sum(row_tokens) / (len(rows) * seq_tokens),
        row_tokens=row_tokens,
    )


def _order(num_rows: int, seed: int, stage: str, epoch: int) -> list[int]:
    """A permutation of the rows; the stage's name and not its chain, so that arms share the order of a stage."""
    return sorted(range(num_rows), key=lambda row: (draw("row", seed, stage, epoch, row), row))


def _updates(
    order: Sequence[int], row_tokens: Sequence[int], row_targets: Sequence[int], batch_tokens: int
) -> list[list[int]]:
    updates: list[list[int]] = []
    rows: list[int] = []
    tokens = targets = 0
    for row in order:
        rows.append(row)
        tokens += row_tokens[row]
        targets += row_targets[row]
        if tokens >= batch_tokens and targets > 0:
            updates.append(rows)
            rows, tokens, targets = [], 0, 0
    if rows and updates:
        updates[-1] += rows
    elif rows:
        updates.append(rows)
    return updates
