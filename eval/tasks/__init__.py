"""The tasks of a recipe: of which kind each is, with the settings that the recipe gives it.

A task is named after its kind, or has a name of its own and says its `kind`: so a recipe measures the same kind on
several files of items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from corpus.errors import RecipeError, nearest
from corpus.recipe import Recipe, Section, Settings
from corpus.recipe.file import explain
from corpus.store import Store
from eval.tasks.agentic.task import AgenticSettings, load_agentic
from eval.tasks.capability import CapabilitySettings, load_capability
from eval.tasks.items import ItemError
from eval.tasks.material import Sampled, Scored
from eval.tasks.perplexity import PerplexitySettings, load_texts
from eval.tasks.preference import PreferenceSettings, load_choices
from eval.tasks.spec_qa import SpecQASettings, load_spec_qa

TaskSettings = TypeVar("TaskSettings", bound=Section)

NOT_DECIDING = frozenset(
    {"margin", "items_file", "controls", "principles", "sampled", "max_tokens", "temperature", "samples"}
)
"""Settings that change no log-probability: what the items are is in their own hash, how answers are drawn in theirs."""


@dataclass(frozen=True)
class Loaded:
    """A task's items: the side that is scored, the side that is answered, or both."""

    scored: Scored | None = None
    sampled: Sampled | None = None


@dataclass(frozen=True)
class Task:
    """One task of a recipe."""

    name: str
    kind: str
    settings: Section
    load: Callable[[Recipe, Store | None], Loaded]
    """Reads the items from the run, where there is one, and from files."""

    def deciding_settings(self) -> dict[str, object]:
        """The settings that scores by log-probability hang on."""
        return self.settings.model_dump(mode="json", exclude=set(NOT_DECIDING))


@dataclass(frozen=True)
class _Kind(Generic[TaskSettings]):
    settings: type[TaskSettings]
    load: Callable[[Recipe, Store | None, TaskSettings], Loaded]

    def bind(self, name: str, kind: str, given: Settings) -> Task:
        try:
            settings = self.settings.model_validate(given)
        except ValidationError as error:
            raise RecipeError(f"eval.tasks: {name}: {explain(error, self.settings)}") from None
        return Task(name, kind, settings, lambda recipe, store: self.load(recipe, store, settings))


def _choices(recipe: Recipe, store: Store | None, settings: PreferenceSettings) -> Loaded:
    choices = load_choices(recipe, store, settings)
    return Loaded(scored=choices, sampled=choices if settings.sampled else None)


_KINDS: Mapping[
    str,
    _Kind[PerplexitySettings]
    | _Kind[PreferenceSettings]
    | _Kind[SpecQASettings]
    | _Kind[AgenticSettings]
    | _Kind[CapabilitySettings],
] = {
    "perplexity": _Kind(PerplexitySettings, lambda *given: Loaded(scored=load_texts(*given))),
    "preference": _Kind(PreferenceSettings, _choices),
    "spec_qa": _Kind(SpecQASettings, lambda *given: Loaded(sampled=load_spec_qa(*given))),
    "agentic": _Kind(AgenticSettings, lambda *given: Loaded(sampled=load_agentic(*given))),
    "capability": _Kind(CapabilitySettings, lambda *given: Loaded(scored=load_capability(*given))),
}

SETTINGS: Mapping[str, type[Section]] = {name: kind.settings for name, kind in _KINDS.items()}
"""What a recipe may say of each kind of task."""


def check_judge(recipe: Recipe, tasks: Sequence[Task]) -> None:
    """Check that what the recipe says of answers and of a judge is of use to a task.

    Raises:
        RecipeError: nothing would use it: the run would look as if it had followed it.
    """
    sampling = [task for task in tasks if task.kind in _SAMPLING or getattr(task.settings, "sampled", False)]
    for key, value in (("judge", recipe.eval.judge), ("samples", recipe.eval.samples)):
        if value is not None and recipe.arms and not sampling:
            raise RecipeError(
                f"eval.{key} ({value}): none of the tasks asks for answers, so nothing would use it; leave it out, or "
                "name a task that does: spec_qa, agentic, or preference with sampled: true"
            )


_SAMPLING = ("spec_qa", "agentic")


def check_items(recipe: Recipe, tasks: Sequence[Task]) -> None:
    """Check that the items of each task can be read and asked, as far as they are there before a run.

    Raises:
        ItemError: a file of items is not what its task reads.
        RecipeError: an item lacks what its task needs of it.
    """
    for task in tasks:
        try:
            loaded = task.load(recipe, None)
        except ItemError as error:
            raise ItemError(f"eval.tasks: {task.name}: {error}") from None
        if loaded.sampled is not None:
            list(
                loaded.sampled.prompts
            )  # rendering them finds what they are made of, such as inspect-evals, or says so


def make_tasks(recipe: Recipe) -> list[Task]:
    """The tasks of `eval.tasks`, in its order.

    Raises:
        RecipeError: an unknown kind (the message has the nearest name), an unknown or a wrong setting, a name twice.
    """
    tasks: list[Task] = []
    for entry in recipe.eval.tasks:
        named = {entry: None} if isinstance(entry, str) else entry
        for name, given in named.items():
            settings = dict(given or {})
            kind = str(settings.pop("kind", name))
            if kind not in _KINDS:
                raise RecipeError(
                    f"eval.tasks: {name}: there is no kind of task '{kind}'; {nearest(kind, _KINDS)} (a task with a "
                    "name of its own says its kind, as in my_choices: {kind: preference, items_file: mine.jsonl})"
                )
            if "/" in name:
                raise RecipeError(f"eval.tasks: '{name}' holds a slash, which metrics are divided by; leave it out")
            if any(task.name == name for task in tasks):
                raise RecipeError(f"eval.tasks: '{name}' stands there twice; keep one, or give one another name")
            tasks.append(_KINDS[kind].bind(name, kind, settings))
    return tasks
