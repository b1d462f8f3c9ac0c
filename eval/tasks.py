"""The tasks by name, with the settings that a recipe gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from corpus.errors import RecipeError, nearest
from corpus.recipe import Recipe, Section, Settings
from corpus.recipe.file import explain
from corpus.store import Store
from eval.material import Material
from eval.perplexity import PerplexitySettings, load_texts
from eval.preference import PreferenceSettings, load_choices

TaskSettings = TypeVar("TaskSettings", bound=Section)


@dataclass(frozen=True)
class Task:
    """One task of a recipe."""

    name: str
    settings: Section
    load: Callable[[Recipe, Store], Material]
    """Reads the items from the run and from the room's files."""


@dataclass(frozen=True)
class _Kind(Generic[TaskSettings]):
    settings: type[TaskSettings]
    load: Callable[[Recipe, Store, TaskSettings], Material]

    def bind(self, name: str, given: Settings) -> Task:
        try:
            settings = self.settings.model_validate(given)
        except ValidationError as error:
            raise RecipeError(f"eval.tasks: {name}: {explain(error, self.settings)}") from None
        return Task(name, settings, lambda recipe, store: self.load(recipe, store, settings))


_KINDS: dict[str, _Kind[PerplexitySettings] | _Kind[PreferenceSettings]] = {
    "perplexity": _Kind(PerplexitySettings, load_texts),
    "preference": _Kind(PreferenceSettings, load_choices),
}

SETTINGS: Mapping[str, type[Section]] = {name: kind.settings for name, kind in _KINDS.items()}
"""What a recipe may say of each task."""


def make_tasks(recipe: Recipe) -> list[Task]:
    """The tasks of `eval.tasks`, in its order.

    Raises:
        RecipeError: an unknown task (the message has the nearest name), an unknown or a wrong setting, a task twice.
    """
    tasks: list[Task] = []
    for entry in recipe.eval.tasks:
        named = {entry: None} if isinstance(entry, str) else entry
        for name, given in named.items():
            if name not in _KINDS:
                raise RecipeError(f"eval.tasks: unknown task '{name}'; {nearest(name, _KINDS)}")
            if any(task.name == name for task in tasks):
                raise RecipeError(f"eval.tasks: '{name}' stands there twice; keep one")
            tasks.append(_KINDS[name].bind(name, given or {}))
    return tasks
