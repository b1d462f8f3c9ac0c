"""Briefs: what exactly is to be written, each a pure function of recipe, spec and genre library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import pyarrow as pa

import prompts
from corpus.allocation import allocate
from corpus.errors import RecipeError, nearest
from corpus.ideas import Idea, compose_idea, num_ideas
from corpus.models import model_identity
from corpus.clauses import BRIEFED
from corpus.recipe import GenreSettings, Recipe
from corpus.spec import Clause, context_of
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id, draw
from corpus.store.schema import TABLES
from prompts import Genre

_PARAGRAPH: dict[str, object] = {"stop": ["\n\n"], "min_tokens": 50}
"""A text of one paragraph ends at the first blank line, but for one that comes early: after a title, say."""
_MIN_CHAT_TOKENS = 8


@dataclass(frozen=True)
class Brief:
    """One document or chat to write; the columns of the `briefs` table but for `pass_hash`."""

    brief_id: str
    kind: str
    stance: str
    clause_ids: tuple[str, ...]
    assertion_ids: tuple[str, ...]
    domain: str | None
    subdomain: str | None
    genre: str | None
    """The genre of a document; a chat has none."""
    idea: str
    """The situation of a document; the kind of question of a chat."""
    variant: int
    """Counts briefs that are alike in everything else."""
    prompt_hash: str
    context_hash: str
    model: str
    sampling: str
    seed: int


@dataclass(frozen=True)
class BriefsReport:
    """How the briefs of the current recipe compare with those of the run."""

    new: int
    kept: int
    other_context: int
    """Kept with a text, although what their prompt would show besides the clause is not what it showed then."""
    stale: int
    """Briefs of the run that the current recipe no longer asks for."""
    stale_finished: int
    """Stale briefs whose document or chat is written already."""


def library(recipe: Recipe) -> dict[str, Genre]:
    """The genres the recipe weighs, by name.

    Raises:
        RecipeError: the recipe names a genre that is not there, or a card in its folder is broken.
    """
    try:
        cards = prompts.genres(recipe.generate.genre_folder)
    except prompts.PromptError as error:
        raise RecipeError(f"generate.genre_folder: {error}") from None
    settings = recipe.generate
    _check_known("generate.genres", settings.genres or {}, cards)
    _check_known("generate.by_genre", settings.by_genre, cards)
    return {name: card for name, card in cards.items() if settings.genres is None or settings.genres.get(name, 0) > 0}


def _check_known(key: str, names: Iterable[str], cards: Mapping[str, Genre]) -> None:
    for name in names:
        if name not in cards:
            raise RecipeError(f"{key}: there is no genre '{name}'; {nearest(name, cards)}")


def plan_briefs(recipe: Recipe, clauses: Sequence[Clause], split: Mapping[str, str]) -> list[Brief]:
    """All briefs of a recipe, in the order of their allocation; no model is called."""
    usable = [clause for clause in clauses if split[clause.clause_id] == "train"]
    subjects = [clause.clause_id for clause in usable if clause.kind in BRIEFED]
    if not subjects and recipe.generate.documents + recipe.generate.chats > 0:
        raise RecipeError(
            f"every clause is held out (spec.hold_out.fraction {recipe.spec.hold_out.fraction if recipe.spec else 0}); "
            f"lower it so that something is left to write about"
        )
    contexts = _contexts(usable)
    return [*_documents(recipe, subjects, contexts), *_chats(recipe, subjects, contexts)]


def context_text(usable: Sequence[Clause], clause: Clause) -> str:
    """What stands with a clause in the spec: its examples and commentary, held-out ones left out."""
    return "\n\n".join(neighbour.text for neighbour in context_of(usable, clause))


def _contexts(usable: Sequence[Clause]) -> dict[str, str]:
    return {clause.clause_id: context_text(usable, clause) for clause in usable if clause.kind in BRIEFED}


def _documents(recipe: Recipe, subjects: Sequence[str], contexts: Mapping[str, str]) -> Iterable[Brief]:
    assert recipe.spec is not None
    cards = library(recipe)
    weights = recipe.generate.genres or dict.fromkeys(cards, 1.0)
    template = document_prompt(recipe)
    shows_context = "context" in prompts.load(template).variables
    prompt_hash = _prompt_hash(recipe, template, "idea_shows", "idea_describes")
    variants = recipe.generate.variants
    num_seats = -(-recipe.generate.documents // variants)
    written = 0
    for clause_id, genre, nth in allocate(subjects, weights, num_seats, recipe.seed):
        card = cards[genre]
        idea = compose_idea(card, nth, recipe.seed, recipe.spec.model_name)
        again = nth // num_ideas(card) * variants
        for variant in range(min(variants, recipe.generate.documents - written)):
            written += 1
            yield _brief(
                recipe, "document", clause_id, contexts[clause_id] if shows_context else "", prompt_hash,
                genre=card, idea=idea.text, sampling=_document_sampling(recipe, card, idea), variant=again + variant,
            )  # fmt: skip


def _document_sampling(recipe: Recipe, card: Genre, idea: Idea) -> dict[str, object]:
    """The card's own settings, where it has some, over the recipe's; the recipe's for that genre over both."""
    settings = recipe.generate
    own = settings.by_genre.get(card.name, GenreSettings())
    target_words = own.target_words or card.target_words * settings.length_scale
    return _sampling(
        recipe,
        max_tokens=own.max_tokens or settings.max_tokens,
        temperature=_first(own.temperature, card.temperature, settings.temperature),
        min_p=_first(own.min_p, card.min_p, settings.min_p),
        top_p=_first(own.top_p, card.top_p, settings.top_p),
        target_words=round(target_words * idea.length_fraction),
        **(_PARAGRAPH | dict[str, object](opening=idea.opening) if settings.small_model else {}),
    )


def document_prompt(recipe: Recipe) -> str:
    """The prompt that documents are asked for with."""
    return f"paragraph_{recipe.generate.stance}" if recipe.generate.small_model else "document"


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _sampling(recipe: Recipe, **settings: object) -> dict[str, object]:
    return {"frequency_penalty": recipe.generate.frequency_penalty} | settings | _server_options(recipe)


def _chats(recipe: Recipe, subjects: Sequence[str], contexts: Mapping[str, str]) -> Iterable[Brief]:
    prompt_hash = _prompt_hash(recipe, "chat_question", "chat_answer")
    seen: dict[tuple[str, str], int] = {}
    kinds = dict.fromkeys(prompts.question_kinds(), 1.0)
    for clause_id, kind, _ in allocate(subjects, kinds, recipe.generate.chats, recipe.seed):
        variant = seen.get((clause_id, kind), 0)
        seen[clause_id, kind] = variant + 1
        yield _brief(
            recipe, "chat", clause_id, contexts[clause_id], prompt_hash,
            genre=None, idea=kind, sampling=_chat_sampling(recipe), variant=variant,
        )  # fmt: skip


def _chat_sampling(recipe: Recipe) -> dict[str, object]:
    settings = recipe.generate
    return _sampling(
        recipe,
        max_tokens=settings.chat_max_tokens,
        temperature=settings.temperature,
        min_p=settings.min_p,
        top_p=settings.top_p,
        **(_PARAGRAPH | dict[str, object](min_tokens=_MIN_CHAT_TOKENS) if settings.small_model else {}),
    )


def _brief(
    recipe: Recipe,
    kind: str,
    clause_id: str,
    context: str,
    prompt_hash: str,
    *,
    genre: Genre | None,
    idea: str,
    sampling: Mapping[str, object],
    variant: int,
) -> Brief:
    model = model_identity(recipe.engine.model, recipe.engine.revision)
    identity = (
        kind, [clause_id], genre.hash if genre else None, idea, recipe.generate.stance, prompt_hash, model,
        sampling, recipe.seed, variant,
    )  # fmt: skip
    brief_id = content_id("brief", *identity)
    return Brief(
        brief_id=brief_id,
        kind=kind,
        stance=recipe.generate.stance,
        clause_ids=(clause_id,),
        assertion_ids=(),
        domain=None,
        subdomain=None,
        genre=genre.name if genre else None,
        idea=idea,
        variant=variant,
        prompt_hash=prompt_hash,
        context_hash=content_id("context", context),
        model=model,
        sampling=json.dumps(sampling, sort_keys=True),
        seed=draw("brief_seed", brief_id) % 2**31,
    )


def _server_options(recipe: Recipe) -> dict[str, object]:
    """What goes into the body of every request to a server is a part of what makes the text."""
    options = dict(recipe.engine.options)
    return {"options": options} if recipe.engine.kind == "openai" and options else {}


def _prompt_hash(recipe: Recipe, *names: str) -> str:
    """Hash of the prompt files, and of the assistant's names, which every prompt shows."""
    assert recipe.spec is not None
    hashes = [prompts.load(name).hash for name in (*names, f"stance_{recipe.generate.stance}")]
    kinds = list(prompts.question_kinds().items()) if "chat_question" in names else []
    return content_id("prompt", hashes, kinds, recipe.spec.model_name, recipe.spec.provider_name)


def compare_briefs(store: Store, briefs: Sequence[Brief]) -> BriefsReport:
    """Compare a plan with the run's current briefs; reads only."""
    rows = store.rows("SELECT brief_id, bool_and(stale) AS stale FROM all_briefs GROUP BY brief_id")
    is_stale = {str(row["brief_id"]): bool(row["stale"]) for row in rows}
    contexts = written_contexts(store)
    planned = {brief.brief_id: brief for brief in briefs}
    kept = planned.keys() & is_stale.keys()
    dropped = [brief_id for brief_id, stale in is_stale.items() if brief_id not in planned and not stale]
    return BriefsReport(
        new=len(planned) - len(kept),
        kept=len(kept),
        other_context=sum(
            planned[brief_id].context_hash not in contexts[brief_id] for brief_id in kept & contexts.keys()
        ),
        stale=len(dropped),
        stale_finished=sum(brief_id in contexts for brief_id in dropped),
    )


def written_contexts(store: Store) -> dict[str, set[str]]:
    """The contexts with which each brief that has a text was written, stale texts included."""
    rows = store.rows(
        "SELECT brief_id, list(DISTINCT context_hash) AS contexts FROM (SELECT brief_id, context_hash FROM "
        "all_documents UNION ALL SELECT brief_id, context_hash FROM all_chats) WHERE brief_id IS NOT NULL "
        "GROUP BY brief_id"
    )
    return {str(row["brief_id"]): set(cast("list[str]", row["contexts"])) for row in rows}


def make_briefs(recipe: Recipe, store: WritingStore, briefs: Sequence[Brief]) -> None:
    """Make `briefs` the run's current ones, with the genre cards they use."""
    writer = store.writer("corpus")
    genre_rows = [
        {**card.model_dump(mode="json", exclude={"hash"}), "genre_id": card.hash} for card in library(recipe).values()
    ]
    brief_rows = [
        {**asdict(brief), "clause_ids": list(brief.clause_ids), "assertion_ids": list(brief.assertion_ids)}
        for brief in briefs
    ]
    for table, rows in (("genres", genre_rows), ("briefs", brief_rows)):
        pass_hash = content_id(table, rows)
        whole = [{**row, "pass_hash": pass_hash} for row in rows]
        writer.commit(table, pass_hash, pa.Table.from_pylist(whole, schema=TABLES[table].schema))
        # The recipe's hash is no pass: it says, when the next recipe comes, which keys changed since.
        writer.set_current(table, {"plan": pass_hash, "@recipe": recipe.recipe_hash()})
