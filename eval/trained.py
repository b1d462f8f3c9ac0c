"""Which models there are to evaluate: the arms of a recipe with each of their training seeds."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.errors import RecipeError, SetupError
from corpus.recipe import Recipe
from corpus.store import Store
from corpus.store.identity import content_id


@dataclass(frozen=True)
class TrainedArm:
    """An arm with one training seed; the base model has none."""

    arm: str
    seed: int | None
    model_hash: str
    """The base model, the stage that was trained on it, and the arithmetic and kind of device that score it."""
    checkpoint: Path | None
    """None for the base model."""

    @property
    def label(self) -> str:
        """What a person reads."""
        return self.arm if self.seed is None else f"{self.arm} seed {self.seed}"

    def scope(self, task: str) -> str:
        """Its name among the current ones: `midtrain/seed-0/perplexity`, `base/untrained/perplexity`."""
        return f"{self.arm}/{'untrained' if self.seed is None else f'seed-{self.seed}'}/{task}"


def choose_arms(recipe: Recipe, arms: Sequence[str] | None) -> list[str]:
    """The arms asked for (None: all), in the recipe's order.

    Raises:
        RecipeError: an arm that the recipe does not have, with the nearest name.
    """
    for arm in arms or ():
        if arm not in recipe.arms:
            near = difflib.get_close_matches(arm, recipe.arms, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(recipe.arms) or 'none'}"
            raise RecipeError(f"the recipe has no arm '{arm}'; {hint}")
    return [arm for arm in recipe.arms if arms is None or arm in arms]


def trained_arms(recipe: Recipe, store: Store) -> list[TrainedArm]:
    """Every arm and training seed of the recipe whose checkpoint is there.

    Raises:
        SetupError: the base model is not there.
    """
    from train.model import scoring_hash

    base = scoring_hash(recipe.train)
    rows = store.rows("SELECT chain, seed, stage_hash, checkpoint FROM stages")
    stages = {(row["chain"], row["seed"]): row for row in rows}
    trained: list[TrainedArm] = []
    for arm, chain in recipe.arms.items():
        if not chain:
            trained.append(TrainedArm(arm, None, base, None))
            continue
        for seed in recipe.train.seeds:
            row = stages.get(("+".join(chain), seed))
            checkpoint = store.root / str(row["checkpoint"]) if row else None
            if row and checkpoint and checkpoint.is_dir():
                trained.append(TrainedArm(arm, seed, content_id("model", base, row["stage_hash"]), checkpoint))
    return trained


def refuse_untrained(recipe: Recipe, chosen: Sequence[str], trained: Sequence[TrainedArm]) -> None:
    """Check that each chosen arm is there with all training seeds.

    Raises:
        SetupError: one is not; the message names the command.
    """
    there = {(one.arm, one.seed) for one in trained}
    wanted = [(arm, seed) for arm in chosen if recipe.arms[arm] for seed in recipe.train.seeds]
    missing = [(arm, seed) for arm, seed in wanted if (arm, seed) not in there]
    if missing:
        flags = " ".join(f"--arm {arm}" for arm in dict.fromkeys(arm for arm, _ in missing))
        named = ", ".join(f"{arm} (seed {seed})" for arm, seed in missing)
        raise SetupError(f"there is no trained model for {named}; run: specmill train RECIPE {flags}")
