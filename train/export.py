"""A trained arm as one model for elsewhere."""

from __future__ import annotations

from pathlib import Path

from corpus.errors import RecipeError, nearest
from corpus.recipe import Recipe
from train.merge import first_texts, merge
from train.model import choose_compute, load_tokenizer
from train.scoring import find_trained


def export_arm(recipe: Recipe, run_folder: Path, arm: str, seed: int, folder: Path) -> dict[str, object]:
    """See `train.export_merged`."""
    if arm not in recipe.arms:
        raise RecipeError(f"the recipe has no arm '{arm}'; {nearest(arm, recipe.arms)}")
    if not recipe.arms[arm]:
        raise RecipeError(f"the arm '{arm}' is the base model, {recipe.train.model}; there is nothing to merge")
    if folder.exists():
        raise RecipeError(f"{folder} is there already; name a folder that is not")
    run = find_trained(recipe, run_folder, recipe.arms[arm], seed)
    about = {"arm": arm, "seed": seed, "stage_hash": run.stage_hash, "base_hash": run.base_hash}
    prompts = first_texts(run.mix, load_tokenizer(recipe.train))
    difference = merge(recipe.train, run.folder, folder, prompts, choose_compute(recipe.train), about)
    return {"arm": arm, "seed": seed, "folder": str(folder), **difference.row()}
