"""The plan of a stage: every row of every update, known before the first, a pure function of data, tokenizer and seed.

Resuming therefore needs one integer, and the number of target tokens of an update is known before it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.errors import TrainingError
from corpus.store.identity import draw
from train.packing import pack_best_fit

IGNORED = -100
"""The label of a position that is not predicted (torch's own `ignore_index`)."""


@dataclass(frozen=True)
class Segment:
    """A stretch of tokens that sees only itself: a document, a piece of one, or a chat."""

    source: str
    """The id of the document or chat."""
    token_ids: Sequence[int]
    is_target: Sequence[bool]
    """Which tokens are to be predicted; never the first, which nothing comes before."""


@dataclass(frozen=True)
class Segments:
    """Segments in flat arrays, and what could not become one."""

    token_ids: NDArray[np.int32]
    """[num_tokens]"""
    is_target: NDArray[np.bool_]
    """[num_tokens]"""
    starts: NDArray[np.int64]
    """[num_segments + 1]: segment s is `token_ids[starts[s]:starts[s + 1]]`."""
    sources: list[str]
    """[num_segments]"""
    dropped: Mapping[str, list[str]]
    """Ids of what is not trained on, by reason."""


@dataclass(frozen=True)
class Row:
    """One packed row, the micro-batch. Arrays of shape [row_tokens], no padding."""

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    """The row's own tokens where they are targets, IGNORED elsewhere (not shifted)."""
    position_ids: NDArray[np.int64]
    """Restart at 0 with each segment: what keeps segments apart."""


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

    def row(self, number: int) -> Row:
        """Packed row `number`."""
        spans = [self._span(segment) for segment in self.rows[number]]
        token_ids = np.concatenate([self.segments.token_ids[span] for span in spans]).astype(np.int64)
        is_target = np.concatenate([self.segments.is_target[span] for span in spans])
        positions = np.concatenate([np.arange(span.stop - span.start) for span in spans])
        return Row(token_ids, np.where(is_target, token_ids, IGNORED), positions)

    def sources(self, number: int) -> list[str]:
        """Ids of the documents or chats in packed row `number`."""
        return [self.segments.sources[segment] for segment in self.rows[number]]

    def _span(self, segment: int) -> slice:
        return slice(int(self.segments.starts[segment]), int(self.segments.starts[segment + 1]))


def flatten(segments: Iterable[Segment], dropped: Mapping[str, list[str]]) -> Segments:
    """Put segments into flat arrays. `dropped` may still fill up while `segments` is read."""
    ids: list[NDArray[np.int32]] = []
    targets: list[NDArray[np.bool_]] = []
    sources: list[str] = []
    for segment in segments:
        assert len(segment.token_ids) == len(segment.is_target) > 0, segment.source
        assert not segment.is_target[0], segment.source
        ids.append(np.asarray(segment.token_ids, dtype=np.int32))
        targets.append(np.asarray(segment.is_target, dtype=np.bool_))
        sources.append(segment.source)
    starts = np.cumsum([0, *(len(array) for array in ids)], dtype=np.int64)
    empty_ids, empty_targets = np.zeros(0, np.int32), np.zeros(0, np.bool_)
    return Segments(
        np.concatenate([empty_ids, *ids]), np.concatenate([empty_targets, *targets]), starts, sources, dropped
    )


def make_plan(segments: Segments, *, seq_tokens: int, batch_tokens: int, epochs: int, seed: int, stage: str) -> Plan:
    """Pack segments into rows of at most `seq_tokens`, and order the rows into updates of at least `batch_tokens`.

    Each epoch has its own order, drawn from (seed, stage, epoch); what is left at an epoch's end joins its last
    update, so that no update is small.

    Raises:
        TrainingError: there is not one target token.
    """
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
    updates = [
        update
        for epoch in range(epochs)
        for update in _updates(_order(len(rows), seed, stage, epoch), row_tokens, row_targets, batch_tokens)
    ]
    return Plan(
        segments,
        rows,
        updates,
        num_tokens=[sum(row_tokens[row] for row in update) for update in updates],
        num_targets=[sum(row_targets[row] for row in update) for update in updates],
        fill_fraction=sum(row_tokens) / (len(rows) * seq_tokens),
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
