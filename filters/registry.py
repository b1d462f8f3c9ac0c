"""The filters there are, and those that a recipe asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError

from corpus.errors import RecipeError, nearest
from corpus.recipe import Recipe, Section
from corpus.recipe_file import explain
from corpus.stage import Progress
from corpus.store import Store
from filters.base import Filter
from filters.classifier import Classifier, ClassifierSettings, train_classifier
from filters.leaks import Leaks, LeaksSettings
from filters.length import Length, LengthSettings
from filters.repetition import Repetition, RepetitionSettings

SETTINGS: Mapping[str, type[Section]] = {
    "length": LengthSettings,
    "repetition": RepetitionSettings,
    "leaks": LeaksSettings,
    "classifier": ClassifierSettings,
}
_PLAIN: Mapping[str, type[Filter]] = {"length": Length, "repetition": Repetition, "leaks": Leaks}


def read_settings(recipe: Recipe) -> dict[str, Section]:
    """The settings of each filter that the recipe names, in its order.

    Raises:
        RecipeError: an unknown filter or setting, a wrong value, a filter named twice.
    """
    settings: dict[str, Section] = {}
    for entry in recipe.curate.filters:
        for name, given in ({entry: None} if isinstance(entry, str) else entry).items():
            if name not in SETTINGS:
                raise RecipeError(_unknown(name))
            if name in settings:
                raise RecipeError(f"curate.filters names '{name}' twice; give it once, with all its settings")
            try:
                settings[name] = SETTINGS[name].model_validate(dict(given or {}))
            except ValidationError as error:
                raise RecipeError(f"curate.filters: {name}: {explain(error, SETTINGS[name])}") from None
    return settings


def make_filters(recipe: Recipe, store: Store, progress: Progress) -> list[Filter]:
    """The recipe's filters, ready to score; a classifier is trained, or loaded where it was trained before.

    Raises:
        RecipeError: as `read_settings`, or a classifier's SQL does not give ids.
    """
    filters: list[Filter] = []
    for name, settings in read_settings(recipe).items():
        if name == "classifier":
            trained = train_classifier(cast("ClassifierSettings", settings), store, progress)
            filters.append(Classifier(cast("ClassifierSettings", settings), trained))
        else:
            filters.append(_PLAIN[name](settings))
    return filters


def _unknown(name: str) -> str:
    return f"curate.filters names '{name}', which is no filter; {nearest(name, SETTINGS)}"
