"""Trains the stages that the arms need and that are not done, parents before children."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from corpus.recipe import Recipe
from corpus.stage import Progress
from corpus.store import Store, WritingStore
from train.runs import OutOfTime, StageRun, chains_of, has_data, stage_runs

if TYPE_CHECKING:
    from train.team import Team


@dataclass(frozen=True)
class TrainedStage:
    """One stage of the report."""

    chain: str
    seed: int
    is_new: bool
    """Whether this call trained it, or found it there."""
    updates: int
    tokens: int
    target_tokens: int
    seconds: float
    first_loss: float
    """Of the first update (nats per target token)."""
    last_loss: float
    """Of the last update (nats per target token)."""
    checkpoint: Path


@dataclass(frozen=True)
class TrainReport:
    """Every stage that the arms need, in the order of training."""

    stages: tuple[TrainedStage, ...]
    """Those that are done."""
    stopped_at: str | None = None
    """Where it stopped because its time was up; None: everything is done."""

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """The report as titled tables."""
        rows: list[dict[str, object]] = [
            {
                "chain": stage.chain,
                "seed": stage.seed,
                "state": "trained now" if stage.is_new else "was there",
                "updates": stage.updates,
                "tokens": stage.tokens,
                "target tokens": stage.target_tokens,
                "seconds": round(stage.seconds, 1),
                "first loss": round(stage.first_loss, 3),
                "last loss": round(stage.last_loss, 3),
            }
            for stage in self.stages
        ]
        return [("training", rows)]


def train_missing(
    recipe: Recipe,
    store: Store,
    team: Team,
    arms: Sequence[str] | None,
    progress: Progress,
    stop_after_seconds: float | None,
) -> TrainReport:
    """See `train.train_chains`; each process of `team` goes through the same stages, the first writes."""
    began = time.monotonic()

    def is_time_up() -> bool:
        return stop_after_seconds is not None and time.monotonic() - began >= stop_after_seconds

    runs = stage_runs(recipe, store.root, chains_of(recipe, arms))
    if isinstance(store, WritingStore):
        # All arms, not only the asked-for ones: a changed recipe makes what the others were trained with stale too.
        known = [chain for chain in chains_of(recipe, None) if has_data(recipe, store.root, chain)]
        hashes = {run.scope: run.stage_hash for run in stage_runs(recipe, store.root, known)}
        for table in ("stages", "steps", "held_out_losses"):
            store.writer("train").set_current(table, hashes)
    stages: list[TrainedStage] = []
    try:
        for run in runs:
            stages.append(_train_if_missing(run, recipe, store, team, progress, is_time_up))
    except OutOfTime as stopped:
        progress.note(f"stopped in time: {stopped}; the same command goes on from there")
        return TrainReport(tuple(stages), stopped_at=str(stopped))
    return TrainReport(tuple(stages))


def _train_if_missing(
    run: StageRun, recipe: Recipe, store: Store, team: Team, progress: Progress, is_time_up: Callable[[], bool]
) -> TrainedStage:
    from train.checkpoint import read_manifest

    def is_missing() -> bool:
        manifest = read_manifest(run.folder)
        is_whole = manifest is not None and manifest["stage_hash"] == run.stage_hash
        return not (is_whole and _has_row(store, run))

    is_new = team.from_first(is_missing)
    if is_new:
        from train.stage import train_stage

        train_stage(run, recipe, store, team, progress, is_time_up)
    manifest = team.from_first(lambda: read_manifest(run.folder))
    if team.is_first:
        for folder in (run.progress_folder, run.merged_folder):
            shutil.rmtree(folder, ignore_errors=True)
    assert manifest is not None, run.folder
    numbers = cast("dict[str, int]", manifest)
    return TrainedStage(
        run.chain,
        run.seed,
        is_new,
        numbers["updates"],
        numbers["tokens"],
        numbers["target_tokens"],
        numbers["seconds"],
        numbers["first_loss"],
        numbers["last_loss"],
        run.folder,
    )


def _has_row(store: Store, run: StageRun) -> bool:
    found = store.query(
        "SELECT 1 FROM all_stages WHERE chain = ? AND seed = ? AND stage_hash = ?",
        [run.chain, run.seed, run.stage_hash],
    )
    return bool(found.num_rows)
