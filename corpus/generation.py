"""The whole of generating: clauses, outline, briefs, texts; each begins as soon as what it needs is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from corpus.briefs import BriefsReport, brief_row, commit_briefs, compare_briefs
from corpus.chats import ChatWriter
from corpus.clauses import commit_clauses
from corpus.counting import record_tokenizer
from corpus.documents import DocumentWriter, missing_rewrites
from corpus.engine import Engine, Request, open_engine, refuse_too_long
from corpus.errors import EngineError
from corpus.generate_report import GenerateReport
from corpus.known import load_known, missing_seats, outline_attempts
from corpus.models import chat_token_counter, token_counter
from corpus.outline_seats import Group
from corpus.outlining import Outliner, commit_assertions
from corpus.plans import Plan, make_plan
from corpus.recipe import Recipe
from corpus.recurring import known_names, recurring_in
from corpus.stage import Progress, StageReport, Work, run_work
from corpus.store import Store, WritingStore
from corpus.waves import store_worn
from corpus.writing import Effort, Job, Pen, missing_jobs

WRITING = ("ideas", "documents", "rewrites", "chats", "preferences")
"""The stages that run together, in the order they are shown in."""


def generate_corpus(
    recipe: Recipe,
    store: WritingStore,
    progress: Progress,
    *,
    top_up: bool = False,
    refresh_context: bool = False,
) -> GenerateReport:
    """Make the briefs and write what they ask for; the engine is started only if something is missing.

    With `top_up`, failed briefs get as many attempts again, texts that curation removed get others in their place, and
    an outline takes up the clauses that no assertion covers. What the recipe no longer asks for becomes stale:
    `refuse_stale` says beforehand whether that is finished work.

    Raises:
        EngineError: the engine can do nothing more; what was finished is kept.
        RecipeError: a prompt does not fit the context, or the run's rows were counted with another tokenizer.
    """
    record_tokenizer(recipe, store)
    known = load_known(store, retry_failed=top_up)
    new_seats = missing_seats(store) if top_up else []
    known = replace(known, extras=[*known.extras, *new_seats])
    plan = make_plan(recipe, known, again="open" if top_up else "known")
    spec_report = commit_clauses(recipe, store, plan.clauses, plan.split)
    generation = _Generation(recipe, store, Effort(recipe.generate.max_attempts, top_up, refresh_context), progress)
    stages = asyncio.run(generation.run(plan))
    store.seal()
    assert generation.compared is not None
    num_briefs, num_failed = _count(store)
    return GenerateReport(
        spec=spec_report,
        briefs=generation.compared,
        stages=stages,
        num_briefs=num_briefs,
        num_failed=num_failed,
        num_without_idea=generation.num_without_idea,
        num_new_seats=_count_round(store, new_seats[0].round) if new_seats else 0,
    )


class _Generation:
    """One pass of generating, with the engine open from the first thing that is missing."""

    def __init__(self, recipe: Recipe, store: WritingStore, effort: Effort, progress: Progress) -> None:
        self._recipe = recipe
        self._store = store
        self._effort = effort
        self._progress = progress
        self._write = store.writer("corpus").append
        self._planned: set[str] = set()
        """Briefs that are on record: two groups may come to the same one."""
        self.compared: BriefsReport | None = None
        """How the briefs compare with those that were there, once the outline is complete."""
        self.num_without_idea = 0
        """Documents that no idea is to be had for."""

    async def run(self, plan: Plan) -> list[StageReport]:
        """Outline, then everything else together; wave by wave where the recipe avoids what recurs."""
        later = ""
        if not plan.open_steps:
            later = self._commit(plan)
            if not (plan.has_open_ideas or self._missing(plan)):
                self.num_without_idea = plan.num_without_idea
                return []
        reports: list[StageReport] = []
        async with open_engine(self._recipe.engine, self._recipe.seed) as engine:
            if plan.open_steps:
                reports += await self._make_outline(plan, engine)
                plan = make_plan(self._recipe, plan.known)
                self._refuse_empty(plan)
                later = self._commit(plan)
            if self._recipe.generate.avoid_recurring:
                reports += await self._write_in_waves(plan, engine, later)
            else:
                reports += await self._write_all(plan, engine, later, plan.groups if plan.outline else [])
        self.num_without_idea = make_plan(self._recipe, plan.known).num_without_idea
        return reports

    def _commit(self, plan: Plan) -> str:
        self.compared = self.compared or compare_briefs(self._store, plan.briefs, plan.num_unknown)
        if plan.outline is not None and not plan.open_steps:
            commit_assertions(self._store, plan.outline)
        self._planned |= {brief.brief_id for brief in plan.briefs}
        return commit_briefs(self._recipe, self._store, plan.briefs, plan.cards)

    def _missing(self, plan: Plan) -> bool:
        if len(plan.wave_keys) > 1 and set(plan.wave_keys[1:]) - plan.known.worn.keys():
            return True
        tables = (("document", "documents"), ("chat", "chats"), ("preference", "chats"))
        return any(missing_jobs(self._store, kind, table, self._effort) for kind, table in tables) or bool(
            missing_rewrites(self._store, self._effort)
        )

    async def _make_outline(self, plan: Plan, engine: Engine) -> list[StageReport]:
        assert plan.outline is not None
        outliner = self._outliner(plan, engine)
        refuse_too_long(
            engine,
            map(outliner.request, plan.open_steps),
            "lower generate.outline_section_tokens or generate.outline_max_tokens, or raise the context",
        )
        work = outliner.outline_work(plan.outline, plan.open_steps)
        reports = await self._run(("outline",), work, engine)
        if "domains" in outliner.unanswered:
            raise EngineError(
                "a call for the outline's domains got no reply, and everything else rests on them; see why with: "
                "specmill sql RECIPE failures, and run again to ask it again"
            )
        return reports

    def _outliner(self, plan: Plan, engine: Engine) -> Outliner:
        replies = plan.known.replies
        assert isinstance(replies, dict)
        return Outliner(self._recipe, engine, replies, outline_attempts(self._store))

    def _refuse_empty(self, plan: Plan) -> None:
        assert plan.outline is not None
        if not plan.subdomains:
            rows = self._store.rows("SELECT purpose, outcome, error FROM calls WHERE outcome <> 'ok' LIMIT 1")
            raise EngineError(
                f"the outline gave no subdomain; the first bad call: {rows[0] if rows else 'none'}. See them with: "
                f"specmill sql RECIPE failures; a model that keeps to JSON schemas is needed, or outline: clauses"
            )
        uncovered = plan.outline.uncovered()
        if uncovered:
            self._progress.note(
                f"{len(uncovered)} clauses are covered by no assertion of the outline (specmill sql RECIPE "
                f"uncovered_clauses); generate --top-up takes them up again"
            )

    async def _write_in_waves(self, plan: Plan, engine: Engine, later: str) -> list[StageReport]:
        """Every brief first, then wave after wave: each is told what recurs in those before it."""
        reports = []
        if plan.groups:
            outliner = self._outliner(plan, engine)
            work = [each for group in plan.groups for each in self._ideas_only(plan, group, outliner)]
            reports += await self._run(("ideas",), work, engine)
            plan = make_plan(self._recipe, plan.known)
        for wave, key in enumerate(plan.wave_keys):
            if wave and key not in plan.known.worn:
                found = recurring_in(self._store, known_names(self._recipe), first_waves=wave)
                store_worn(self._store, wave, key, found)
                known = replace(plan.known, worn=load_known(self._store).worn)
                plan = make_plan(self._recipe, known)
            self._commit(plan)
            reports += await self._write_all(plan, engine, later, [], wave)
        return reports

    def _ideas_only(self, plan: Plan, group: Group, outliner: Outliner) -> list[Work]:
        step = plan.of_group(group, outliner.replies).step
        return [outliner.ideas_work(step, lambda: ([], self._ideas_only(plan, group, outliner)))] if step else []

    async def _write_all(
        self, plan: Plan, engine: Engine, later: str, groups: list[Group], wave: int | None = None
    ) -> list[StageReport]:
        pen = Pen(self._recipe, engine, self._effort, plan.shown)
        base = (self._recipe.train.model, self._recipe.train.revision, self._recipe.train.trust_remote_code)
        worn = {number: plan.worn(number) for number in range(len(plan.wave_keys))}
        documents = DocumentWriter(pen, plan.cards, worn, token_counter(*base))
        store, effort = self._store, self._effort
        jobs = missing_jobs(store, "document", "documents", effort)
        jobs = [job for job in jobs if wave is None or job.brief.wave == wave]
        asked: Iterator[Request] = chain.from_iterable(map(documents.longest_requests, jobs))
        work = []
        if not wave:  # what has no wave comes with the first one, once
            rewrites = missing_rewrites(store, effort)
            talks = missing_jobs(store, "chat", "chats", effort)
            preferences = missing_jobs(store, "preference", "chats", effort)
            asked = chain(asked, (request for job, _ in rewrites for request in documents.longest_requests(job)))
            work += [documents.rewrite_work(job, row) for job, row in rewrites]
            if groups:
                outliner = self._outliner(plan, engine)
                unwritten = (Job(plan.longest_brief(group)) for group in groups)
                asked = chain(asked, chain.from_iterable(map(documents.longest_requests, unwritten)))
                for group in groups:
                    work += self._ideas_and_texts(plan, group, outliner, documents, later)
        work += [documents.work(job) for job in jobs]
        if not wave and (talks or preferences):  # its counter imports transformers, which takes seconds
            chats = ChatWriter(pen, chat_token_counter(self._recipe.train))
            asked = chain(asked, map(chats.longest_request, [*talks, *preferences]))
            work += [*map(chats.work, talks), *map(chats.preference_work, preferences)]
        refuse_too_long(engine, asked, "lower generate.excerpt_tokens or generate.max_tokens, or raise the context")
        return await self._run(WRITING, work, engine)

    def _ideas_and_texts(
        self, plan: Plan, group: Group, outliner: Outliner, documents: DocumentWriter, later: str
    ) -> list[Work]:
        """Ask for a group's ideas; each reply's documents are work at once, before the next call for ideas."""
        step = plan.of_group(group, outliner.replies).step
        if step is None:
            return []

        def then() -> tuple[list[dict[str, object]], list[Work]]:
            now = plan.of_group(group, outliner.replies).briefs
            new = [brief for brief in now if brief.brief_id not in self._planned]
            self._planned.update(brief.brief_id for brief in new)
            rows = [brief_row(brief, later) for brief in new]
            more = self._ideas_and_texts(plan, group, outliner, documents, later)
            return rows, [*(documents.work(Job(brief)) for brief in new), *more]

        return [outliner.ideas_work(step, then)]

    async def _run(self, stages: tuple[str, ...], work: list[Work], engine: Engine) -> list[StageReport]:
        shown = [stage for stage in stages if self._is_asked(stage)]
        return await run_work(
            shown, work, self._write, max_in_flight=engine.max_in_flight, progress=self._progress
        )  # fmt: skip

    def _is_asked(self, stage: str) -> bool:
        settings = self._recipe.generate
        asked = {
            "ideas": settings.outline == "model", "rewrites": settings.rewrite, "preferences": settings.preferences
        }  # fmt: skip
        return bool(asked.get(stage, True))


def _count_round(store: Store, number: int) -> int:
    """Briefs of one round of topping up."""
    (row,) = store.rows("SELECT count(*) AS num FROM briefs WHERE round = ?", [number])
    return int(str(row["num"]))


def _count(store: Store) -> tuple[int, int]:
    """Briefs, and those without a text."""
    (row,) = store.rows(
        "SELECT count(*) AS briefs, count(*) FILTER (brief_id NOT IN (SELECT brief_id FROM documents WHERE brief_id "
        "IS NOT NULL UNION ALL SELECT brief_id FROM chats WHERE brief_id IS NOT NULL)) AS failed FROM briefs"
    )
    return int(str(row["briefs"])), int(str(row["failed"]))
