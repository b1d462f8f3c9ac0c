"""What a mix of the recipe may not ask for, and what should be known of one that asks for what is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import prompts
from corpus.clause_names import ClauseNames
from corpus.errors import RecipeError, nearest
from corpus.recipe import Mix
from corpus.store import Store
from filters.mixes.sampling import Part, Source


def check_twins(store: Store, settings: Mix, name: str) -> None:
    """Refuse to train on each question twice because nobody said which of its answers is meant."""
    if settings.kind == "chats" and settings.reasoning is None:
        (row,) = store.rows("SELECT count(*) AS twins FROM curated_chats WHERE twin_id IS NOT NULL")
        if row["twins"]:
            raise RecipeError(
                f"mix '{name}': {row['twins']} curated chats are there twice, with reasoning and without; say which "
                f"are meant: mixes.{name}.reasoning: with, without or both"
            )


def check_clauses(settings: Mix, name: str, names: ClauseNames) -> None:
    """Refuse a name that no clause has: its part would be empty for ever."""
    named = {"clauses": settings.weights("clauses") or (), "leave_out.clauses": settings.leave_out.clauses}
    for key, patterns in named.items():
        for pattern in patterns:
            if not names.fitting(pattern):
                known = names.all_names()
                raise RecipeError(f"mixes.{name}.{key}: no clause or section is named '{pattern}'; "
                                  f"{nearest(pattern, known[:40])}")  # fmt: skip


def check_left_out(store: Store, family: Mapping[str, Mix]) -> None:
    """Refuse to leave out what no row ever was of: a misspelt ablation is the whole mix under another name."""
    kind = next(iter(family.values())).kind
    known = {
        "sets": {str(row["set"]) for row in store.rows(f"SELECT DISTINCT set FROM {kind}")},
        "genres": {
            *prompts.genres(),
            *(str(row["genre"]) for row in store.rows("SELECT DISTINCT genre FROM documents WHERE genre IS NOT NULL")),
        },
    }
    for name, settings in family.items():
        for axis, names in known.items():
            for one in getattr(settings.leave_out, axis):
                if one not in names:
                    raise RecipeError(
                        f"mixes.{name}: there is no {axis.removesuffix('s')} '{one}' to leave out; "
                        f"{nearest(one, names)}"
                    )


def in_no_part(name: str, settings: Mix, parts: Sequence[Part], sources: Sequence[Source]) -> list[str]:
    """A note on rows without a genre, where genres divide all there is."""
    if not settings.is_divided_by("genres"):
        return []
    placed = {row.id for part in parts for row in part.rows}
    lost = [row for row in sources if row.genre is None and row.id not in placed]
    tokens = sum(row.num_tokens for row in lost)
    of_sets = ", ".join(sorted({row.set for row in lost})[:5])
    found = f"mix '{name}': {len(lost):,} rows ({tokens:,} tokens, of {of_sets}) have no genre and are in no part of it"
    return [f"{found}; give their sets shares of their own (mixes.{name}.sets) to have them"] if lost else []


def without_effect(name: str, settings: Mix, sources: Sequence[Source]) -> list[str]:
    """Notes on what is left out and is not there: such a mix is no ablation."""
    there = {
        "sets": {source.set for source in sources},
        "genres": {source.genre for source in sources if source.genre is not None},
    }
    return [
        f"mix '{name}' leaves out '{part}' of {axis}, and no row is of it; {nearest(part, sorted(known))}"
        for axis, known in there.items()
        for part in getattr(settings.leave_out, axis)
        if part not in known
    ]
