"""Scores, verdicts, duplicates, mixes and train-ready shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpus.recipe import Recipe
    from corpus.stage import Progress
    from corpus.store import Store, WritingStore
    from filters.curate import CurateReport
    from filters.learned.classifying import TrainedReport
    from filters.mixes.mix import MixReport
    from filters.mixes.mix_plan import MixPlan
    from filters.thresholds import WhatIfReport

__all__ = ["build_mix", "check_settings", "curate_corpus", "plan_mix", "train_classifier", "what_if"]


def check_settings(recipe: Recipe) -> None:
    """Check the filters that a recipe names, and their settings.

    Raises:
        RecipeError: an unknown filter or setting (with the nearest known one), a wrong value, a filter named twice.
    """
    from filters.registry import read_settings

    read_settings(recipe)


def curate_corpus(recipe: Recipe, store: WritingStore, progress: Progress) -> CurateReport:
    """Score and judge what is not judged yet, and look for duplicates among what is kept.

    Raises:
        RecipeError: the filters of the recipe are not what they should be.
    """
    from filters.curate import curate_corpus as curate

    return curate(recipe, store, progress)


def plan_mix(recipe: Recipe, store: Store, name: str) -> MixPlan:
    """What a mix of the recipe would hold beside its targets, and what it lacks; writes nothing.

    Raises:
        RecipeError: no such mix, a clause that is not in the spec, mixes of one size that cannot be had.
        DataError: the run is not curated with this recipe, or holds rows that are not.
    """
    from filters.mixes.mix_plan import plan_mix as plan

    return plan(recipe, store, name)


def train_classifier(recipe: Recipe, store: WritingStore, name: str, progress: Progress) -> TrainedReport:
    """Train one classifier of the recipe, unless that is done already, and measure it; nothing is judged.

    Raises:
        RecipeError: the recipe has no such classifier, or its queries do not give ids.
        DataError: there is too little to learn from.
        SetupError: no training succeeded, or the model it names is not one.
    """
    from filters.learned.classifying import train_classifier as train

    return train(recipe, store, name, progress)


def what_if(recipe: Recipe, store: Store, changes: Sequence[str]) -> WhatIfReport:
    """What curation would give with other thresholds, from the scores that are there; nothing is written.

    Args:
        recipe: The recipe that the run was curated with.
        store: The run.
        changes: Each `filter.setting=value`.

    Raises:
        RecipeError: no such filter or setting, or a wrong value; or texts would have to be scored anew.
        DataError: the run is not curated with this recipe.
    """
    from filters.thresholds import what_if as ask

    return ask(recipe, store, changes)


def build_mix(recipe: Recipe, store: WritingStore, name: str, progress: Progress) -> MixReport:
    """Sample one mix of the recipe from the curated rows and write it as shards, unless that is done already.

    Raises:
        RecipeError: no such mix, nothing to put into it, or less than it asks for (`shortfall: refuse`).
        DataError: the run is not curated with this recipe, or holds rows that are not.
    """
    from filters.mixes.mix import build_mix as build

    return build(recipe, store, name, progress)
