"""Which stages the arms need, each with the hash of everything that decides what it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.errors import RecipeError, TrainingError, nearest
from corpus.recipe import Recipe, StageSettings
from corpus.store.identity import content_id
from train.shards import Mix, find_mix

TRAIN_CODE_VERSION = 2
"""Part of every stage's hash: raised when the same data and settings would train something else."""
CHECKPOINTS = "checkpoints"
"""The folder of finished checkpoints, below the run's."""


_NOT_IN_RESULT = {"data", "checkpoint_updates", "keep_last", "held_out_updates", "held_out_tokens"}
"""Settings of a stage that do not change what is trained; `data` stands there as the hash of what it holds."""


class OutOfTime(Exception):
    """A stage was told to stop by now; all that is done is in its resumable state. The text says how far it came."""


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
    def run_folder(self) -> Path:
        """The run's folder."""
        return self.folder.parents[2]

    @property
    def progress_folder(self) -> Path:
        """Where its resumable state is while it trains."""
        return self.folder.with_name(f".progress-{self.folder.name}")

    @property
    def merged_folder(self) -> Path:
        """Where the merged model that its adapter stands on is while it trains."""
        return self.folder.with_name(f".base-{self.folder.name}")


def deciding_settings(settings: StageSettings) -> dict[str, object]:
    """The settings of a stage that decide what it becomes: measuring decides only where the best is kept."""
    measuring = {"held_out_updates", "held_out_tokens"} if settings.keep == "best" else set()
    deciding = settings.model_dump(mode="json", exclude=_NOT_IN_RESULT - measuring)
    return deciding | {"epochs": None if settings.updates else settings.epochs or 1}


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
            raise RecipeError(f"the recipe has no arm '{arm}'; {nearest(arm, recipe.arms)}")
    chains = [tuple(recipe.arms[arm]) for arm in (recipe.arms if arms is None else arms)]
    return list(dict.fromkeys(chain[: length + 1] for chain in chains for length in range(len(chain))))


def stage_runs(recipe: Recipe, run_folder: Path, chains: Sequence[tuple[str, ...]]) -> list[StageRun]:
    """The stage runs of `chains` with every seed, parents before children.

    Raises:
        TrainingError: a mix has no shards yet, or was made with another seed or hold-out.
    """
    from train.model import base_identity, precision_of, template_hash

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
                deciding_settings(settings),
                template_hash(recipe.train) if mix.kind == "chats" else None,
                recipe.train.lora and recipe.train.lora.model_dump(mode="json"),
                precision_of(recipe.train),
                seed,
            )
            folder = run_folder / CHECKPOINTS / name / f"seed-{seed}"
            made[chain, seed] = StageRun(name, chain[-1], seed, settings, mix, base, parent, stage_hash, folder)
    return list(made.values())


def has_data(recipe: Recipe, run_folder: Path, chain: tuple[str, ...]) -> bool:
    """Whether every mix that a chain trains on is made."""
    try:
        for stage in chain:
            find_mix(recipe, run_folder, recipe.train.stages[stage].data)
    except TrainingError:
        return False
    return True
