"""Midtraining and SFT: a model reads the documents, then learns from the chats.

The door is `train_chains` (`follow_chains` for the other processes of a launcher), `preview_rows` and `export_merged`;
`train.scoring` is there for the eval room: what was trained, and loading it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpus.recipe import Recipe
    from corpus.stage import Progress
    from corpus.store import Store
    from train.chains import TrainReport

__all__ = ["export_merged", "follow_chains", "preview_rows", "train_chains"]


def train_chains(
    recipe: Recipe,
    store: Store,
    arms: Sequence[str] | None,
    progress: Progress,
    *,
    stop_after_seconds: float | None = None,
) -> TrainReport:
    """Train every stage that `arms` (None: all of the recipe) need and that is not there, shared beginnings once.

    With `stop_after_seconds` it saves and returns after the first update that ends later than that, counted from this
    call; called again, it goes on.

    Killed at any instant, calling it again goes on from the last resumable state; on the CPU the result is the same
    bit for bit.

    Raises:
        RecipeError: an arm that the recipe does not have.
        TrainingError: a mix without shards, data that cannot be learned, a parent that does not fit, a loss that is
            not a number.
        SetupError: the base model is not there.
        StoreError: the disk is full; everything up to the last resumable state is kept.
    """
    from train.chains import train_missing
    from train.team import Team

    team = Team()
    team.wait()  # for `follow_chains` of the others: the run is there now
    return train_missing(recipe, store, team, arms, progress, stop_after_seconds)


def follow_chains(
    recipe: Recipe, run_folder: Path, arms: Sequence[str] | None, *, stop_after_seconds: float | None = None
) -> None:
    """Take part in `train_chains` as a process that writes nothing: all but the first that a launcher started.

    Every process sees the same `run_folder`: on several machines it lies on a shared disk.

    Raises:
        SpecmillError: as `train_chains`.
    """
    from corpus.stage import Silent
    from corpus.store import open_reader
    from train.chains import train_missing
    from train.team import Team

    team = Team()
    team.wait()
    train_missing(recipe, open_reader(run_folder), team, arms, Silent(), stop_after_seconds)


def preview_rows(recipe: Recipe) -> list[dict[str, object]]:
    """What training would come to, a row for each stage of each chain; writes nothing.

    Raises:
        RecipeError: a stage with a name that cannot be.
    """
    from train.preview import stage_rows

    return stage_rows(recipe)


def export_merged(recipe: Recipe, run_folder: Path, arm: str, seed: int, folder: Path) -> dict[str, object]:
    """Write what an arm's chain trained as one model, its adapter merged into the base in fp32, to a new `folder`.

    Returns:
        Columns to show: the folder, and how far the saved model's next-token distributions are from those of base
        and adapter apart (nats).

    Raises:
        RecipeError: no such arm, or one without a stage, or the folder is there already.
        TrainingError: the arm was not trained, or with other settings, or has no adapter.
        StoreError: the disk is full.
    """
    from train.export import export_arm

    return export_arm(recipe, run_folder, arm, seed, folder)
