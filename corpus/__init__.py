"""The corpus room: from a spec to clauses, briefs, documents and chats. These functions are its door."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpus.engine import Message
    from corpus.generate_report import GenerateReport
    from corpus.imports import ImportReport
    from corpus.preview import Preview
    from corpus.recipe import Recipe
    from corpus.stage import Progress
    from corpus.store import Store, WritingStore


def write_starter(folder: Path) -> Path:
    """Write `recipe.yaml` and `spec.md` into `folder`; returns the recipe's path.

    Raises:
        RecipeError: there is a recipe or a spec already.
    """
    from corpus import starter

    return starter.write_starter(folder)


def check_plan(recipe: Recipe) -> None:
    """Raise what is wrong with a recipe's spec, genres or library, before a run is made of it."""
    from corpus import plans

    plans.make_plan(recipe)


def check_mix_names(recipe: Recipe) -> None:
    """Refuse a recipe whose mixes name genres, sets or clauses that no row can have; see `corpus.mix_names`."""
    from corpus import mix_names

    mix_names.check_mix_names(recipe)


def refuse_stale(recipe: Recipe, store: Store) -> None:
    """Refuse a recipe that would leave finished work of the run behind; see `corpus.staleness`."""
    from corpus import staleness

    staleness.refuse_stale(recipe, store)


def preview_run(recipe: Recipe) -> Preview:
    """What `generate_corpus` would write; writes nothing."""
    from corpus import preview as inside

    return inside.preview(recipe)


def unknown_rows(recipe: Recipe) -> list[dict[str, object]]:
    """What its mixes name and no row will be of, unless it is imported: where, what, and why."""
    from corpus import mix_names

    return [one._asdict() for one in mix_names.unknown_names(recipe)]


def generate_corpus(
    recipe: Recipe,
    store: WritingStore,
    progress: Progress,
    *,
    top_up: bool = False,
    refresh_context: bool = False,
) -> GenerateReport:
    """Clauses, briefs, documents and chats: whatever of them is missing. See `corpus.generation`."""
    from corpus import generation, served

    report = generation.generate_corpus(recipe, store, progress, top_up=top_up, refresh_context=refresh_context)
    served.note_changed_models(store, progress)
    return report


def rounds_left(store: Store, rounds: int) -> int:
    """How many of a recipe's rounds of topping up its briefs have not had yet."""
    from corpus import known

    return max(0, rounds - known.last_round(store))


def import_rows(
    recipe: Recipe, store: WritingStore, files: Sequence[Path], set_name: str, *, skip_bad: bool = False
) -> ImportReport:
    """Documents and chats from Parquet or JSONL; `skip_bad` counts beside the recipe's. See `corpus.imports`."""
    from corpus import counting, foreign, imports, models
    from corpus.errors import RecipeError

    if not set_name.strip() or foreign.has_half_character(set_name):
        raise RecipeError(f"--as {set_name!r} is no name for a set; give letters, such as --as instructions")
    counting.record_tokenizer(recipe, store)
    base = (recipe.train.model, recipe.train.revision, recipe.train.trust_remote_code)
    # Its counter imports transformers: only where there are chats.
    chat_counter = cache(lambda: models.chat_token_counter(recipe.train))
    settings = recipe.imports.model_copy(update={"skip_bad": skip_bad or recipe.imports.skip_bad})
    return imports.import_rows(
        store, files, set_name, models.token_counter(*base), lambda chats: chat_counter()(chats), settings
    )


def sent_prompts(root: Path, row_id: str) -> list[tuple[str, Sequence[Message]]]:
    """The prompts that were sent for a document or a chat of the run in `root`, made again: title and messages.

    Raises:
        QueryError: no such row, or its prompt cannot be made again.
        StoreError: there is no run in that folder.
    """
    from corpus import sent
    from corpus.recipe.file import load_recipe
    from corpus.store import open_reader

    store = open_reader(root)
    return list(sent.sent_prompts(load_recipe(root), store, row_id))
