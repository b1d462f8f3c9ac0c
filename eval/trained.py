"""Which models there are to evaluate: the arms of a recipe with each of their training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.errors import RecipeError, SetupError, TrainingError, nearest
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
            raise RecipeError(f"the recipe has no arm '{arm}'; {nearest(arm, recipe.arms)}")
    return [arm for arm in recipe.arms if arms is None or arm in arms]


def trained_arms(recipe: Recipe, store: Store) -> tuple[list[TrainedArm], dict[tuple[str, int], str]]:
    """Every arm and training seed that is trained as the recipe says; and why not, of the others.

    Raises:
        SetupError: the base model is not there.
    """
    from train.scoring import find_trained, scoring_hash

    base = scoring_hash(recipe.train)
    rows = store.rows("SELECT DISTINCT chain, seed, stage_hash FROM all_stages")
    recorded = {(row["chain"], row["seed"], row["stage_hash"]) for row in rows}
    trained: list[TrainedArm] = []
    faults: dict[tuple[str, int], str] = {}
    for arm, chain in recipe.arms.items():
        if not chain:
            trained.append(TrainedArm(arm, None, base, None))
            continue
        for seed in recipe.train.seeds:
            try:
                run = find_trained(recipe, store.root, chain, seed)
            except TrainingError as error:
                faults[arm, seed] = str(error)
                continue
            if (run.chain, seed, run.stage_hash) in recorded:
                trained.append(TrainedArm(arm, seed, content_id("model", base, run.stage_hash), run.folder))
            else:  # training was killed just before its last row
                faults[arm, seed] = f"{run.folder} is not in the table stages"
    return trained, faults


def refuse_untrained(chosen: Sequence[str], faults: Mapping[tuple[str, int], str]) -> None:
    """Check that each chosen arm is trained as the recipe says, with all training seeds.

    Raises:
        SetupError: one is not; the message says why and names the command.
    """
    missing = {(arm, seed): fault for (arm, seed), fault in faults.items() if arm in chosen}
    if missing:
        flags = " ".join(f"--arm {arm}" for arm in dict.fromkeys(arm for arm, _ in missing))
        named = ", ".join(f"{arm} (seed {seed})" for arm, seed in missing)
        raise SetupError(
            f"there is no model trained as the recipe says for {named}; run: specmill train RECIPE {flags} (with "
            "the same -o, if any)"
            + "".join(f"\n  {arm} (seed {seed}): {fault}" for (arm, seed), fault in missing.items())
        )
