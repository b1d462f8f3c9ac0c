"""What was trained already: the checkpoint of a chain and a seed, where it is what the recipe asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from corpus.errors import TrainingError
from corpus.recipe import Recipe
from train.chains import CHECKPOINTS, StageRun, stage_runs
from train.checkpoint import read_manifest


def find_trained(recipe: Recipe, run_folder: Path, chain: Sequence[str], seed: int) -> StageRun:
    """The last stage of `chain`, whose checkpoint is there and is what training by this recipe would give.

    `precision: auto` stands for what it was on the machine that trained it: a run may be evaluated on another.

    Raises:
        TrainingError: there is no whole checkpoint, its data are not there to compare with, or it was trained with
            other settings or data; the message says which.
    """
    folder = run_folder / CHECKPOINTS / "+".join(chain) / f"seed-{seed}"
    manifest = read_manifest(folder)
    if manifest is None:
        raise TrainingError(f"there is no whole checkpoint in {folder}")
    train = recipe.train.model_copy(update={"seeds": [seed]})
    if train.precision == "auto":
        train = train.model_copy(update={"precision": manifest["precision"]})
    asked = recipe.model_copy(update={"train": train})
    run = stage_runs(asked, run_folder, [tuple(chain[: length + 1]) for length in range(len(chain))])[-1]
    if manifest["stage_hash"] != run.stage_hash:
        differing = ", ".join(_differences(manifest, run, asked)) or "the stage before it, or Specmill's code"
        raise TrainingError(f"{folder} was trained otherwise than the recipe says: {differing}")
    return run


def _differences(manifest: Mapping[str, object], run: StageRun, asked: Recipe) -> Iterator[str]:
    was = cast("dict[str, object]", manifest["settings"])
    for key, value in run.settings.model_dump(mode="json", exclude={"data", "checkpoint_updates"}).items():
        if was.get(key) != value:
            yield f"train.stages.{run.stage}.{key} was {was.get(key)}, is {value}"
    train = asked.train.model_dump(mode="json", include={"lora", "precision"})
    yield from (
        f"train.{key} was {manifest[key]}, is {value}" for key, value in train.items() if manifest[key] != value
    )
    if manifest["base_hash"] != run.base_hash:
        yield "another base model"
    if manifest["data_hash"] != run.mix.data_hash:
        yield f"the mix {run.settings.data} held other rows"
