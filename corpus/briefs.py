"""Briefs: what exactly is to be written, each a pure function of recipe, spec, outline and genre library."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pyarrow as pa

import prompts
from corpus.models import engine_identity
from corpus.recipe import Recipe
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id, draw
from corpus.store.schema import TABLES
from prompts import Genre


@dataclass(frozen=True)
class Brief:
    """One document or chat to write; the columns of the `briefs` table but for `pass_hash`."""

    brief_id: str
    kind: str
    """`document`, `chat` or `preference`."""
    stance: str
    clause_ids: tuple[str, ...]
    assertion_ids: tuple[str, ...]
    domain: str | None
    subdomain: str | None
    genre: str | None
    """The genre of a document; a chat has none."""
    question_kind: str | None
    """The kind of question of a chat; a document has none."""
    idea: str
    """What a document is about; who asks a chat's question, and what they are busy with."""
    variant: int
    """Counts briefs that are alike in everything else."""
    seat: str
    """What it was allotted to: the clause or subdomain, and the how-manieth of its genre or kind of question."""
    round: int
    """0 for what the recipe asks for; the round of topping up that filled what curation removed."""
    wave: int
    """Which wave of `avoid_recurring` writes it, from 0."""
    prompt_hash: str
    context_hash: str
    model: str
    sampling: str
    """JSON: how the engine samples, and what else makes the request."""
    seed: int


@dataclass(frozen=True)
class Subject:
    """What a brief is about: a clause, or some assertions of one subdomain."""

    clause_ids: tuple[str, ...]
    assertion_ids: tuple[str, ...] = ()
    domain: str | None = None
    subdomain: str | None = None


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
    unknown: int = 0
    """Documents whose briefs an outline has yet to give."""


def make_brief(
    recipe: Recipe,
    kind: str,
    subject: Subject,
    *,
    context: str,
    prompt_hash: str,
    genre: Genre | None = None,
    question_kind: str | None = None,
    idea: str,
    sampling: Mapping[str, object],
    variant: int = 0,
    seat: str,
    round_number: int = 0,
) -> Brief:
    """One brief. Its id is the hash of all that makes its text but for `context`, which has a column of its own."""
    model = engine_identity(recipe.engine)
    stance = recipe.generate.stance
    brief_id = content_id(
        "brief", kind, vars(subject), genre.hash if genre else None, question_kind, idea, stance, prompt_hash, model,
        sampling, recipe.seed, variant,
    )  # fmt: skip
    return Brief(
        brief_id=brief_id,
        kind=kind,
        stance=stance,
        clause_ids=subject.clause_ids,
        assertion_ids=subject.assertion_ids,
        domain=subject.domain,
        subdomain=subject.subdomain,
        genre=genre.name if genre else None,
        question_kind=question_kind,
        idea=idea,
        variant=variant,
        seat=seat,
        round=round_number,
        wave=0,
        prompt_hash=prompt_hash,
        context_hash=content_id("context", context),
        model=model,
        sampling=json.dumps(sampling, sort_keys=True),
        seed=draw("brief_seed", brief_id) % 2**31,
    )


def with_worn(brief: Brief, wave: int, worn: str) -> Brief:
    """A brief in its wave, whose prompt shows also what is worn by then."""
    shown = content_id("context", brief.context_hash, worn) if worn else brief.context_hash
    return replace(brief, wave=wave, context_hash=shown)


def prompt_hash(recipe: Recipe, *names: str) -> str:
    """Hash of the prompt files, and of the assistant's names, which every prompt shows."""
    assert recipe.spec is not None
    hashes = [prompts.load(name).hash for name in (*names, f"stance_{recipe.generate.stance}")]
    kinds = list(prompts.question_kinds().items()) if {"chat_question", "preference_question"} & {*names} else []
    kinds += list(prompts.question_endings().items()) if "short_question" in names else []
    return content_id("prompt", hashes, kinds, recipe.spec.model_name, recipe.spec.provider_name)


def compare_briefs(store: Store, briefs: Sequence[Brief], unknown: int = 0) -> BriefsReport:
    """Compare a plan with the run's current briefs; reads only. `unknown` are those that the plan cannot know yet."""
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
        unknown=unknown,
    )


def written_contexts(store: Store) -> dict[str, set[str]]:
    """The contexts with which each brief that has a text was written, stale texts included."""
    rows = store.rows(
        "SELECT brief_id, list(DISTINCT context_hash) AS contexts FROM (SELECT brief_id, context_hash FROM "
        "all_documents UNION ALL SELECT brief_id, context_hash FROM all_chats) WHERE brief_id IS NOT NULL "
        "GROUP BY brief_id"
    )
    return {str(row["brief_id"]): set(cast("list[str]", row["contexts"])) for row in rows}


def commit_briefs(recipe: Recipe, store: WritingStore, briefs: Sequence[Brief], cards: Mapping[str, Genre]) -> str:
    """Make `briefs` the run's current ones, with the genre cards they use.

    Returns:
        The pass that briefs which become known later are appended under.
    """
    writer = store.writer("corpus")
    genre_rows = [{**card.model_dump(mode="json", exclude={"hash"}), "genre_id": card.hash} for card in cards.values()]
    brief_rows = [brief_row(brief, "") for brief in briefs]
    later = ""
    for table, rows in (("genres", genre_rows), ("briefs", brief_rows)):
        pass_hash = content_id(table, rows)
        later = content_id("later", pass_hash)
        whole = [{**row, "pass_hash": pass_hash} for row in rows]
        writer.commit(table, pass_hash, pa.Table.from_pylist(whole, schema=TABLES[table].schema))
        # The recipe's hash is no pass: it says, when the next recipe comes, which keys changed since.
        writer.set_current(table, {"plan": pass_hash, "later": later, "@recipe": recipe.recipe_hash()})
    return later


def brief_row(brief: Brief, pass_hash: str) -> dict[str, object]:
    """A row of the `briefs` table."""
    lists = {"clause_ids": list(brief.clause_ids), "assertion_ids": list(brief.assertion_ids)}
    return {**vars(brief), **lists, "pass_hash": pass_hash}


def brief_of(row: Mapping[str, object]) -> Brief:
    """A brief from its row."""
    names = Brief.__dataclass_fields__
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items() if name in names}
    return Brief(**cast("dict[str, Any]", values))  # of mixed types, as the schema has them
