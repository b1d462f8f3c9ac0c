"""Asks for what an outline lacks, call by call: each reply makes the next ones possible."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import partial

import pyarrow as pa

from corpus.engine import Engine, Message, Request, ask
from corpus.outline import Outline
from corpus.outline_steps import Step
from corpus.recipe import Recipe
from corpus.stage import Done, Work
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id, draw
from corpus.store.schema import TABLES
from corpus.structured import Unreadable

_BATCH = "@batch "
"""Scopes of `store.current("assertions")` that name passes, in the order in which the outline grew."""


class Outliner:
    """Makes work of an outline's steps. What it learns goes into `replies`."""

    def __init__(
        self, recipe: Recipe, engine: Engine, replies: MutableMapping[str, str | None], attempts: Mapping[str, int]
    ) -> None:
        """`replies` are those that are known, `attempts` how many were had; see `corpus.known`."""
        self._attempts = attempts
        self.unanswered: list[str] = []
        """Purposes of the calls that got no reply."""
        self._asking: dict[str, asyncio.Future[tuple[list[dict[str, object]], str]]] = {}
        self._recipe = recipe
        self._engine = engine
        self.replies = replies

    def outline_work(self, outline: Outline, steps: Iterable[Step]) -> list[Work]:
        """Work on steps, and on those that they make possible."""

        async def do(step: Step) -> Done:
            calls, outcome = await self._ask(step)
            now_open = outline.advance([step], self.replies)
            return Done({"calls": calls}, outcome, self.outline_work(outline, now_open))

        return [Work("outline", partial(do, step)) for step in steps]

    def ideas_work(self, step: Step, then: Callable[[], tuple[list[dict[str, object]], list[Work]]]) -> Work:
        """Work on a call for ideas; `then` gives the briefs that they made known, and the work that follows."""

        async def do() -> Done:
            calls, outcome = await self._ask(step)
            briefs, following = then()
            return Done({"calls": calls, "briefs": briefs}, outcome, following)

        return Work("ideas", do)

    def request(self, step: Step) -> Request:
        """What the engine is asked."""
        settings = self._recipe.generate
        return Request(
            messages=tuple(Message(message["role"], message["content"]) for message in step.messages),
            max_tokens=settings.outline_max_tokens,
            temperature=settings.outline_temperature,
            seed=draw("outline", self._recipe.seed, step.item_id) % 2**31,
            schema=step.schema,
        )

    async def _ask(self, step: Step) -> tuple[list[dict[str, object]], str]:
        """The step's calls and outcome. Two steps may ask the very same: it is asked once, and on record once."""
        if step.item_id in self._asking:
            return [], (await self._asking[step.item_id])[1]
        self._asking[step.item_id] = asyncio.ensure_future(self._ask_once(step))
        return await self._asking[step.item_id]

    async def _ask_once(self, step: Step) -> tuple[list[dict[str, object]], str]:
        asked = await ask(
            self._engine,
            self.request(step),
            room="corpus",
            purpose=step.purpose,
            item_id=step.item_id,
            first_attempt=self._attempts.get(step.item_id, 0),
            max_attempts=self._recipe.generate.max_attempts,
            accept=lambda reply: _problem(step, reply),
        )
        self.replies[step.item_id] = asked.text
        if asked.outcome in ("timeout", "error"):
            self.unanswered.append(step.purpose)
        if asked.text is not None:
            # Kept where it is ok, too: the outline is replayed from it. What it lost of its items is on record.
            asked.calls[-1] |= {"reply": asked.text, "error": "; ".join(step.read(asked.text)[1]) or None}
        return asked.calls, asked.outcome


def _problem(step: Step, reply: str) -> str | None:
    try:
        step.read(reply)
    except Unreadable as error:
        return str(error)
    return None


def commit_assertions(store: WritingStore, outline: Outline) -> None:
    """Make the outline's assertions the run's current ones, and remember how it grew."""
    rows = [
        {
            "assertion_id": each.assertion_id,
            "clause_ids": list(each.clause_ids),
            "domain": one.domain,
            "subdomain": one.name,
            "text": each.text,
            "explanation": each.explanation,
            "label": each.label,
        }
        for one in outline.subdomains
        for each in one.assertions
    ]
    unique = list({str(row["assertion_id"]): row for row in rows}.values())
    pass_hash = content_id("assertions", unique)
    whole = [{**row, "pass_hash": pass_hash} for row in unique]
    writer = store.writer("corpus")
    writer.commit("assertions", pass_hash, pa.Table.from_pylist(whole, schema=TABLES["assertions"].schema))
    passes = batch_passes(store)
    is_of_this_outline = bool(
        passes
        and store.rows(
            "SELECT 1 FROM all_assertions WHERE pass_hash = $first AND assertion_id IN (SELECT unnest($ids)) LIMIT 1",
            {"first": passes[0], "ids": [str(row["assertion_id"]) for row in unique]},
        )
    )
    if not is_of_this_outline:
        passes = [pass_hash]
    elif pass_hash not in passes:
        passes.append(pass_hash)
    numbered = {f"{_BATCH}{number:03d}": one for number, one in enumerate(passes)}
    writer.set_current("assertions", {"plan": pass_hash, **numbered})


def batch_passes(store: Store) -> list[str]:
    """The passes of the outline that the current one grew from, the first one first; see `Known.batches`."""
    current = store.current("assertions")
    return [current[scope] for scope in sorted(current) if scope.startswith(_BATCH)]
