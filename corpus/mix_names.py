"""What the mixes of a recipe name and no row can have: misspelt genres, sets that nobody imported, other clauses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import prompts
from corpus.clause_names import ClauseNames
from corpus.clauses import check_spec, split_clauses
from corpus.errors import RecipeError, StoreError, nearest
from corpus.plans import library
from corpus.recipe import Mix, Recipe
from corpus.recipe.mix import AXES, Axis
from corpus.run import run_folder
from corpus.store import Store, open_reader

GENERATED = "generated"


class UnknownName(NamedTuple):
    """A part that no row will be of."""

    key: str
    """Where the recipe names it."""
    name: str
    why: str
    """What is wrong with it, and the nearest name that is known."""


def unknown_names(recipe: Recipe) -> list[UnknownName]:
    """The sets, genres and clauses in `mixes` that neither the run has nor generating will bring."""
    if not recipe.mixes:
        return []
    try:
        store = open_reader(run_folder(recipe))
    except StoreError:
        store = None
    clauses, held_out = _clauses(recipe)
    found: list[UnknownName] = []
    for mix, settings in recipe.mixes.items():
        for axis in AXES:
            for key, name in _named(settings, axis):
                if axis == "clauses":
                    why = _why_no_clause(name, clauses, held_out)
                elif axis == "genres":
                    why = _why_no_genre(recipe, name, _labels(store, "documents", "genre"))
                else:
                    sets = _labels(store, settings.kind, "set") | ({GENERATED} if recipe.spec else set())
                    why = "" if name in sets else f"no such set is imported; {nearest(name, sorted(sets))}"
                if why:
                    found.append(UnknownName(f"mixes.{mix}.{key}", name, why))
    return found


def check_mix_names(recipe: Recipe) -> None:
    """Refuse a recipe whose mixes name what no row can have.

    Raises:
        RecipeError: the message lists them all.
    """
    found = unknown_names(recipe)
    if found:
        lines = "".join(f"\n  {one.key}: '{one.name}': {one.why}" for one in found)
        raise RecipeError(f"the mixes name what no row will be of:{lines}\nMend the names, or bring the rows in first")


def _named(settings: Mix, axis: Axis) -> Iterator[tuple[str, str]]:
    """The names along an axis, with their keys."""
    for name, weight in (settings.weights(axis) or {}).items():
        if weight > 0:
            yield axis, name
    for name in getattr(settings.leave_out, axis):
        yield f"leave_out.{axis}", name
    asked = getattr(settings.ablate, axis) if settings.ablate else []
    if asked != "each":
        yield from ((f"ablate.{axis}", name) for name in asked)


def _labels(store: Store | None, table: str, column: str) -> set[str]:
    """What stands in a column of the run."""
    rows = store.rows(f"SELECT DISTINCT {column} AS label FROM {table} WHERE {column} IS NOT NULL") if store else []
    return {str(row["label"]) for row in rows}


def _clauses(recipe: Recipe) -> tuple[ClauseNames, set[str]]:
    """The names of the spec's clauses, and the ids of those held out."""
    if recipe.spec is None:
        return ClauseNames([]), set()
    clauses = check_spec(recipe.spec)
    split = split_clauses(clauses, recipe.spec.hold_out.fraction, recipe.seed)
    names = ClauseNames((clause.clause_id, clause.label, clause.path) for clause in clauses)
    return names, {clause_id for clause_id, part in split.items() if part == "held_out"}


def _why_no_clause(name: str, clauses: ClauseNames, held_out: set[str]) -> str:
    fitting = clauses.fitting(name)
    if not fitting:
        return f"no clause or section of the spec has this name; {nearest(name, clauses.all_names()[:60])}"
    return "it is held out, and nothing is written about it" if fitting <= held_out else ""


def _why_no_genre(recipe: Recipe, name: str, in_run: set[str]) -> str:
    generated = set(library(recipe)) if recipe.spec else set()
    if name in generated | in_run:
        return ""
    cards = set(prompts.genres(recipe.generate.genre_folder)) if recipe.spec else set()
    if name in cards:
        return "generate.genres gives this genre no weight; give it one"
    return f"there is no such genre; {nearest(name, sorted(cards | in_run))}"
