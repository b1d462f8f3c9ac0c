"""What a changed recipe would leave behind: finished work is never made stale without being asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from corpus.briefs import compare_briefs, written_contexts
from corpus.errors import RecipeError
from corpus.known import load_known
from corpus.plans import make_plan
from corpus.recipe import Recipe
from corpus.recipe.file import load_recipe
from corpus.store import Store

STALENESS = ("spec", "engine", "generate", "seed")
"""The recipe's sections that briefs are made of."""
_HOW_HARD = {"max_attempts", "max_failed_fraction", "rounds"}
"""Keys of `generate` that say how hard texts are tried for, not what they are."""


def refuse_stale(recipe: Recipe, store: Store) -> None:
    """Stop before finished work is left behind.

    Raises:
        RecipeError: finished briefs would become stale; the message names the changed keys.
    """
    if not written_contexts(store):
        return
    report = compare_briefs(store, make_plan(recipe, load_known(store), again="settled").briefs)
    if not report.stale_finished:
        return
    changed = ", ".join(_changed_keys(recipe, store)) or "the text of the spec, a prompt or a genre card"
    raise RecipeError(
        f"{report.stale_finished} finished briefs would become stale, because of: {changed}. "
        f"Their rows stay readable in all_documents and all_chats. To go on: specmill generate RECIPE --update; "
        f"to keep them: take the change back, or give the recipe another name"
    )


def _changed_keys(recipe: Recipe, store: Store) -> Iterator[str]:
    before_hash = store.current("briefs").get("@recipe", "").removeprefix("b2:")
    before = load_recipe(store.root / "recipes" / f"{before_hash}.yaml")
    places = {"spec": {"path"}, "generate": _HOW_HARD}
    old, new = (
        dict(_flat(one.model_dump(mode="json", include=set(STALENESS), exclude=places))) for one in (before, recipe)
    )
    yield from (key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key))


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
