"""What a mix is short of, and what would fill it: how many documents, of what, and by which command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import cast

import prompts
from corpus.errors import nearest
from corpus.recipe import Mix, Recipe
from corpus.store import Store
from filters.mixes.sampling import Cell, Filled, Source

GENERATED = "generated"
"""The set of the rows that the run wrote itself."""
_KINDS = {"documents": ("document",), "chats": ("chat", "preference")}


@dataclass(frozen=True)
class Shortfall:
    """One part of a mix that has less than its target."""

    filled: Filled
    num_rows: int
    """Documents or chats that would fill it, at the mean length of those there are (estimated)."""
    remedy: str
    """What to do, for a person."""

    @property
    def line(self) -> str:
        """For a message."""
        cell = self.filled.cell
        return (
            f"{cell.label}: wanted {self.filled.target_tokens:,} tokens ({float(cell.share):.1%}), "
            f"there are {self.filled.available_tokens:,}; {self.remedy}"
        )


@dataclass(frozen=True)
class _Brief:
    genre: str | None
    clause: str | None
    brief_id: str


def find_shortfalls(
    recipe: Recipe,
    store: Store,
    settings: Mix,
    name: str,
    cells: Sequence[Filled],
    sources: Sequence[Source],
    clauses: Mapping[str, str],
) -> tuple[Shortfall, ...]:
    """The parts that are short, each with what would fill it.

    Args:
        recipe: its `generate` is what can be raised.
        store: its briefs say what a brief has yielded so far.
        settings: the mix.
        name: its name.
        cells: what it got.
        sources: all rows that it may hold.
        clauses: the part of each clause that is named.
    """
    short = [filled for filled in cells if filled.is_short]
    if not short:
        return ()
    briefs = _briefs(store, settings, clauses)
    curated, usable = _yielded(store, settings, sources)
    in_run = {source.genre for source in sources} | {brief.genre for brief in briefs}
    known = sorted({genre for genre in in_run if genre is not None} | _library(recipe))
    sets = sorted({source.set for source in sources} | {GENERATED})
    imported = _imported(store, settings)
    found: list[Shortfall] = []
    for filled in short:
        like = [source for source in sources if _holds(filled.cell, source.set, source.genre, source.clause)]
        mean_tokens = _mean_tokens(like or sources)
        missing = max(filled.missing_tokens, 1)
        num_rows = ceil(missing / settings.repeats / mean_tokens) if mean_tokens else 0
        remedy = _unknown(filled.cell, known, sets)
        if remedy is None and (filled.cell.set not in (None, GENERATED) or recipe.spec is None):
            remedy = _import(settings, filled.cell, num_rows, imported, like)
        if remedy is None:
            own = [brief for brief in briefs if _holds(filled.cell, GENERATED, brief.genre, brief.clause)]
            remedy = _remedy(recipe, settings, filled.cell, num_rows, own, briefs, curated, usable)
        found.append(Shortfall(filled, num_rows, remedy))
    return tuple(found)


def _holds(cell: Cell, set_name: str, genre: str | None, clause: str | None) -> bool:
    return cell.set in (None, set_name) and cell.genre in (None, genre) and cell.clause in (None, clause)


def _mean_tokens(sources: Sequence[Source]) -> float:
    return sum(source.num_tokens for source in sources) / len(sources) if sources else 0.0


def _unknown(cell: Cell, genres: Sequence[str], sets: Sequence[str]) -> str | None:
    """What to say of a genre or set that is nowhere."""
    if cell.set is not None and cell.set not in sets:
        return f"there is no set '{cell.set}'; {nearest(cell.set, sets)}"
    if cell.genre is not None and cell.genre not in genres:
        return f"there is no genre '{cell.genre}'; {nearest(cell.genre, genres)}"
    return None


def _imported(store: Store, settings: Mix) -> dict[tuple[str, str | None], int]:
    """How many rows each set has, by genre, of those that were not written here."""
    genre = "genre" if settings.kind == "documents" else "NULL"
    rows = store.rows(
        f"SELECT set, {genre} AS genre, count(*) AS num FROM {settings.kind} WHERE brief_id IS NULL GROUP BY ALL"
    )
    return {(str(row["set"]), cast("str | None", row["genre"])): cast("int", row["num"]) for row in rows}


def _import(
    settings: Mix,
    cell: Cell,
    num_rows: int,
    imported: Mapping[tuple[str, str | None], int],
    usable: Sequence[Source],
) -> str:
    """How many rows to import, at the yield of those that were."""
    if cell.set == GENERATED:
        return f"the recipe has no spec, so that nothing is in '{GENERATED}'; give it one, or leave that set out"
    where = f" as set '{cell.set}'" if cell.set is not None else ""
    num_there = sum(
        num for (name, genre), num in imported.items() if cell.set in (None, name) and cell.genre in (None, genre)
    )
    if not num_rows or not usable or not num_there:
        about = f"about {num_rows:,} more {settings.kind} (estimated)" if num_rows else f"{settings.kind} that are kept"
        return f"import {about}{where}: specmill import"
    num_more = ceil(num_rows * num_there / len(usable))
    return (
        f"import about {num_more:,} more {settings.kind} (estimated; of {num_there:,} a mix may use {len(usable):,})"
        f"{where}: specmill import"
    )


def _remedy(
    recipe: Recipe,
    settings: Mix,
    cell: Cell,
    num_rows: int,
    own: Sequence[_Brief],
    briefs: Sequence[_Brief],
    curated: set[str],
    usable: set[str],
) -> str:
    kind = settings.kind
    about = f"about {num_rows:,} more {kind} (estimated)" if num_rows else f"{kind} that curation keeps"
    weights = recipe.generate.genres
    if cell.genre is not None and weights is not None and not weights.get(cell.genre):
        return f"{about}: generate.genres gives '{cell.genre}' no weight; give it one, then specmill generate"
    if not own:
        return f"{about}: nothing was asked for yet that would be of this part; raise generate.{kind}"
    num_usable = sum(brief.brief_id in usable for brief in own)
    num_lost = sum(brief.brief_id not in curated for brief in own)
    # Of a part that has kept nothing, the whole run's yield is the best guess.
    yielded = num_usable / len(own) or sum(brief.brief_id in usable for brief in briefs) / len(briefs)
    said = [f"{about}; of its {len(own):,} briefs a mix may use {num_usable:,}"]
    if num_lost:
        said.append(f"ask again for what failed or was dropped: specmill generate --top-up (up to {num_lost:,})")
    if yielded and num_rows:
        now: int = getattr(recipe.generate, kind)
        more = ceil(num_rows / yielded / (len(own) / len(briefs)))
        weight = ", or this genre's weight in generate.genres" if cell.genre is not None else ""
        said.append(f"raise generate.{kind} from {now:,} to about {now + more:,}{weight}")
    return "; ".join(said)


def _library(recipe: Recipe) -> set[str]:
    """The genres that can be generated."""
    if recipe.spec is None:
        return set()
    try:
        return set(prompts.genres(recipe.generate.genre_folder))
    except prompts.PromptError:  # generating says what is wrong with the folder
        return set(prompts.genres())


def _briefs(store: Store, settings: Mix, clauses: Mapping[str, str]) -> list[_Brief]:
    rows = store.rows(
        "SELECT brief_id, genre, clause_ids FROM briefs WHERE kind IN (SELECT unnest($kinds))",
        {"kinds": list(_KINDS[settings.kind])},
    )
    return [
        _Brief(
            cast("str | None", row["genre"]) if settings.kind == "documents" else None,
            next((clauses[one] for one in cast("list[str] | None", row["clause_ids"]) or () if one in clauses), None),
            str(row["brief_id"]),
        )
        for row in rows
    ]


def _yielded(store: Store, settings: Mix, sources: Sequence[Source]) -> tuple[set[str], set[str]]:
    """Briefs of which a row is curated, and those of which one may stand in the mix: the others are held out."""
    view, key = ("curated", "doc_id") if settings.kind == "documents" else ("curated_chats", "chat_id")
    usable = {source.id for source in sources}
    rows = store.rows(f"SELECT {key} AS id, brief_id FROM {view} WHERE brief_id IS NOT NULL")
    return {str(row["brief_id"]) for row in rows}, {str(row["brief_id"]) for row in rows if row["id"] in usable}
