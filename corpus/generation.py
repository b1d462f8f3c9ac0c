"""The whole of generating: clauses, briefs, documents, chats; and the plan of it, which writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from corpus.briefs import Brief, BriefsReport, compare_briefs, make_briefs, plan_briefs
from corpus.chats import write_chats
from corpus.documents import write_documents
from corpus.engine import open_engine
from corpus.errors import RecipeError
from corpus.models import chat_token_counter, token_counter
from corpus.clauses import SpecReport, check_spec, commit_clauses, split_clauses
from corpus.recipe import Recipe
from corpus.recipe_file import load_recipe
from corpus.spec import Clause
from corpus.stage import Progress, StageReport
from corpus.store import Store, WritingStore
from corpus.writing import Effort, missing_jobs

STALENESS = ("spec", "engine", "generate", "seed")
"""The recipe's sections that briefs are made of."""


@dataclass(frozen=True)
class Plan:
    """What a recipe asks to have written."""

    clauses: list[Clause]
    split: dict[str, str]
    briefs: list[Brief]


@dataclass(frozen=True)
class GenerateReport:
    """What generating did."""

    spec: SpecReport
    briefs: BriefsReport
    stages: list[StageReport]
    num_briefs: int
    num_failed: int
    """Briefs of the current recipe that have no text and no attempt left."""

    @property
    def failed_fraction(self) -> float:
        """Share of the briefs that failed."""
        return self.num_failed / self.num_briefs if self.num_briefs else 0.0

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person."""
        return [
            ("clauses", clause_rows(self.spec)),
            ("briefs", brief_rows(self.briefs)),
            ("written", [
                {"stage": stage.stage, "outcome": outcome, "items": count, "seconds": stage.wall_seconds}
                for stage in self.stages
                for outcome, count in sorted(stage.outcomes.items())
            ]),
        ]  # fmt: skip


def clause_rows(spec: SpecReport) -> list[dict[str, object]]:
    """Clauses by kind, as a table."""
    rows: list[dict[str, object]] = [{"kind": kind, "clauses": count} for kind, count in spec.num_clauses.items()]
    return [*rows, {"kind": "held out of all prompts", "clauses": spec.num_held_out}]


def brief_rows(briefs: BriefsReport) -> list[dict[str, object]]:
    """New, kept and stale briefs, as a table."""
    return [
        {"state": "new", "briefs": briefs.new},
        {"state": "kept", "briefs": briefs.kept},
        {"state": "kept with other context", "briefs": briefs.other_context},
        {"state": "stale", "briefs": briefs.stale},
    ]


def make_plan(recipe: Recipe) -> Plan:
    """Read the spec and compose the briefs, in memory.

    Raises:
        RecipeError: no spec, an unknown genre, nothing left to write about.
        SpecError: the spec cannot be read or holds no rule.
    """
    if recipe.spec is None:
        raise RecipeError("the recipe has no `spec`, so there is nothing to generate from; give spec.path")
    clauses = check_spec(recipe.spec)
    split = split_clauses(clauses, recipe.spec.hold_out.fraction, recipe.seed)
    return Plan(clauses, split, plan_briefs(recipe, clauses, split))


def refuse_stale(recipe: Recipe, store: Store, plan: Plan) -> None:
    """Stop before finished work is left behind.

    Raises:
        RecipeError: finished briefs would become stale; the message names the changed keys.
    """
    report = compare_briefs(store, plan.briefs)
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
    places = {"spec": {"path"}, "generate": {"max_attempts", "max_failed_fraction"}}
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


def generate_corpus(
    recipe: Recipe,
    store: WritingStore,
    progress: Progress,
    *,
    top_up: bool = False,
    refresh_context: bool = False,
) -> GenerateReport:
    """Make the briefs and write what they ask for; the engine is started only if something is missing.

    What the recipe no longer asks for becomes stale: `refuse_stale` says beforehand whether that is finished work.

    Raises:
        EngineError: the engine can do nothing more; what was finished is kept.
    """
    plan = make_plan(recipe)
    compared = compare_briefs(store, plan.briefs)
    spec_report = commit_clauses(recipe, store, plan.clauses, plan.split)
    make_briefs(recipe, store, plan.briefs)
    effort = Effort(recipe.generate.max_attempts, top_up, refresh_context)
    stages = asyncio.run(_write(recipe, store, effort, progress))
    store.seal()
    return GenerateReport(spec_report, compared, stages, len(plan.briefs), _count_failed(store))


async def _write(recipe: Recipe, store: WritingStore, effort: Effort, progress: Progress) -> list[StageReport]:
    if not (missing_jobs(store, "document", "documents", effort) or missing_jobs(store, "chat", "chats", effort)):
        return []
    base = (recipe.train.model, recipe.train.revision, recipe.train.trust_remote_code)
    async with open_engine(recipe.engine, recipe.seed) as engine:
        documents = await write_documents(recipe, store, engine, token_counter(*base), effort, progress)
        chats = await write_chats(recipe, store, engine, chat_token_counter(*base), effort, progress)
    return [documents, chats]


def _count_failed(store: Store) -> int:
    rows = store.rows(
        "SELECT count(*) AS failed FROM briefs WHERE brief_id NOT IN (SELECT brief_id FROM documents WHERE brief_id "
        "IS NOT NULL UNION ALL SELECT brief_id FROM chats WHERE brief_id IS NOT NULL)"
    )
    return int(str(rows[0]["failed"]))
