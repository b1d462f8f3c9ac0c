"""Which stages the arms need, which of them are done, and in what order the others are trained."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from corpus.errors import RecipeError, TrainingError
from corpus.recipe import Recipe, StageSettings
from corpus.stage import Progress
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id
from train.shards import Mix, find_mix

TRAIN_CODE_VERSION = 1
"""Part of every stage's hash: raised when the same data and settings would train something else."""
CHECKPOINTS = "checkpoints"
"""The folder of finished checkpoints, below the run's."""


@dataclass(frozen=True)
class StageRun:
    """One stage of one chain with one seed: what is trained, and skipped when it is there."""

    chain: str
    """Stages up to and with this one, joined with '+': `midtrain+sft`."""
    stage: str
    seed: int
    settings: StageSettings
    mix: Mix
    base_hash: str
    parent: StageRun | None
    stage_hash: str
    """Everything that decides the result: base, parent, data, settings, seed."""
    folder: Path
    """Where its finished checkpoint is."""

    @property
    def scope(self) -> str:
        """Its name among the current ones: `midtrain+sft/seed-0`."""
        return f"{self.chain}/seed-{self.seed}"

    @property
    def progress_folder(self) -> Path:
        """Where its resumable state is while it trains."""
        return self.folder.with_name(f".progress-{self.folder.name}")


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


def train_missing(recipe: Recipe, store: WritingStore, arms: Sequence[str] | None, progress: Progress) -> TrainReport:
    """See `train.train_chains`."""
    runs = stage_runs(recipe, store.root, chains_of(recipe, arms))
    # All arms, not only the asked-for ones: a changed recipe makes what the others were trained with stale too.
    known = [chain for chain in chains_of(recipe, None) if _has_data(recipe, store.root, chain)]
    hashes = {run.scope: run.stage_hash for run in stage_runs(recipe, store.root, known)}
    for table in ("stages", "steps"):
        store.writer("train").set_current(table, hashes)
    return TrainReport(tuple(_train_if_missing(run, recipe, store, progress) for run in runs))


def chains_of(recipe: Recipe, arms: Sequence[str] | None) -> list[tuple[str, ...]]:
    """The distinct chains that `arms` (None: all) go through, shared beginnings once, parents first.

    Raises:
        RecipeError: an arm or a stage with a name that cannot be.
    """
    for stage in recipe.train.stages:
        if "+" in stage:
            raise RecipeError(f"train.stages.{stage}: '+' joins the stages of a chain; name the stage without it")
    for arm in arms or ():
        if arm not in recipe.arms:
            near = difflib.get_close_matches(arm, recipe.arms, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(recipe.arms) or 'none'}"
            raise RecipeError(f"the recipe has no arm '{arm}'; {hint}")
    chains = [tuple(recipe.arms[arm]) for arm in (recipe.arms if arms is None else arms)]
    return list(dict.fromkeys(chain[: length + 1] for chain in chains for length in range(len(chain))))


def stage_runs(recipe: Recipe, run_folder: Path, chains: Sequence[tuple[str, ...]]) -> list[StageRun]:
    """The stage runs of `chains` with every seed, parents before children.

    Raises:
        TrainingError: a mix has no shards yet, or was made with another seed or hold-out.
    """
    from train.model import base_identity, precision_of

    stages = dict.fromkeys(stage for chain in chains for stage in chain)
    mixes = {stage: find_mix(recipe, run_folder, recipe.train.stages[stage].data) for stage in stages}
    base = base_identity(recipe.train) if chains else ""
    made: dict[tuple[tuple[str, ...], int], StageRun] = {}
    for seed in recipe.train.seeds:
        for chain in chains:
            settings, mix, parent = recipe.train.stages[chain[-1]], mixes[chain[-1]], made.get((chain[:-1], seed))
            name = "+".join(chain)
            stage_hash = content_id(
                "stage",
                TRAIN_CODE_VERSION,
                base,
                parent.stage_hash if parent else None,
                chain[-1],
                mix.data_hash,
                settings.model_dump(mode="json", exclude={"data", "checkpoint_updates"}),
                recipe.train.lora and recipe.train.lora.model_dump(mode="json"),
                precision_of(recipe.train),
                seed,
            )
            folder = run_folder / CHECKPOINTS / name / f"seed-{seed}"
            made[chain, seed] = StageRun(name, chain[-1], seed, settings, mix, base, parent, stage_hash, folder)
    return list(made.values())


def _train_if_missing(run: StageRun, recipe: Recipe, store: WritingStore, progress: Progress) -> TrainedStage:
    from train.checkpoint import read_manifest

    manifest = read_manifest(run.folder)
    is_whole = manifest is not None and manifest["stage_hash"] == run.stage_hash
    is_new = not (is_whole and _has_row(store, run))
    if is_new:
        from train.stage import train_stage

        train_stage(run, recipe, store, progress)
        manifest = read_manifest(run.folder)
    shutil.rmtree(run.progress_folder, ignore_errors=True)
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


def _has_data(recipe: Recipe, run_folder: Path, chain: tuple[str, ...]) -> bool:
    try:
        for stage in chain:
            find_mix(recipe, run_folder, recipe.train.stages[stage].data)
    except TrainingError:
        return False
    return True


def _has_row(store: Store, run: StageRun) -> bool:
    found = store.query(
        "SELECT 1 FROM all_stages WHERE chain = ? AND seed = ? AND stage_hash = ?",
        [run.chain, run.seed, run.stage_hash],
    )
    return bool(found.num_rows)
