"""The judge: an engine of the recipe says of each generated row whether it may be trained on.

It comes last, so that only rows that every other filter keeps are paid for. Its replies are scores, written as they
come; a reply that cannot be read after all attempts leaves the row unjudged, one that never came is asked for again by
the next curation. A share of the rows is judged twice, since a verdict is worth what its repetition agrees with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import ClassVar, Literal, cast

from pydantic import Field, PositiveInt

import prompts
from corpus.engine import Engine, open_engine
from corpus.engine.judge import Judged, Sampling, ask_judge
from corpus.models import engine_identity, request_options
from corpus.recipe import Recipe, Section
from corpus.stage import Done, Progress, run_stage
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id, draw
from filters.base import KEEP, Filter, Kind, Score, Verdict
from filters.gate import Gate
from filters.judges.agreement import read_verdicts
from filters.judges.rubric import CRITERIA, Opinion, Rubric
from filters.judging import missing, part_writer, score_row
from filters.rows import READ_ROWS

PURPOSE = "judge"
"""Of the calls, in the room `filters`; their item is the row's id."""
NOT_ASKED = Score("verdict", None, label="not asked", evidence="no clause to judge by")
"""What a row has that cannot be asked about; it is kept."""


class JudgeSettings(Section):
    """Who judges, what, and how often."""

    engine: str
    """The engine of `engines` that judges."""
    applies_to: list[Literal["documents", "chats"]] = Field(["documents", "chats"], min_length=1)
    """What is judged. Rows without a clause, such as imported ones, are kept unasked."""
    judged_twice_fraction: float = Field(0.1, ge=0, le=1)
    """Share of the judged rows that are judged a second time, for the agreement (fraction; ours). The first counts."""
    temperature: float = Field(0.7, ge=0, le=2)
    """Sampling temperature (ours); at 0 a second verdict would only repeat the first, and so would another attempt."""
    max_tokens: PositiveInt = 400
    """Longest reply (tokens of the judge's model; ours: room for one long sentence)."""
    max_attempts: PositiveInt = 2
    """Replies asked for per verdict before a row is unjudged; more of them later do not ask again (replies)."""


class Judge(Filter):
    """A language model's verdict on a row beside its clause."""

    name = "judge"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {}
    settings: JudgeSettings

    def __init__(self, settings: JudgeSettings, recipe: Recipe, rubric: Rubric, gate: Gate) -> None:
        """Judge the rows that come through the gate, with one of the recipe's engines."""
        super().__init__(settings)
        self.engine = recipe.engines[settings.engine]
        self.engine_seed = recipe.seed
        self.rubric = rubric
        self.unanswered: frozenset[str] = frozenset()
        """Rows that were asked about and got no reply at all: their verdict is another one once they have."""
        self._gate = gate

    def scored_with(self) -> list[object]:
        """The model, how it is asked and how its replies are drawn; see `Filter.scored_with`."""
        options = request_options(self.engine)
        drawn = self.settings.model_dump(mode="json", include={"temperature", "max_tokens"})
        return [engine_identity(self.engine), options, self.rubric.hash, drawn]

    def judged_with(self) -> list[object]:
        """Which rows it was not asked about, and which it did not answer; see `Filter.judged_with`."""
        return [sorted(self._gate.before), self._gate.unjudged, sorted(self.unanswered)]

    @property
    def again_hash(self) -> str:
        """Names how the second verdicts were made, as `scorer_hash` does for the first."""
        return content_id("again", self.scorer_hash)

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        if "verdict" not in scores:
            return Verdict("unjudged", "no reply")
        verdict = scores["verdict"]
        if verdict.label == NOT_ASKED.label:
            return Verdict("keep", NOT_ASKED.evidence)
        if verdict.value is None:
            return Verdict("unjudged", verdict.evidence)
        if verdict.value:
            return KEEP
        return Verdict("drop", f"not {next(name for name in CRITERIA if not scores[name].value)}")


def ask_missing(store: WritingStore, judge: Judge, gate: Gate, progress: Progress) -> set[str]:
    """Ask the judge about every row that comes through the gate and has no score of it yet.

    The engine is started only if there is something to ask. Returns the ids of the rows that got a score.

    Raises:
        EngineError: the engine can do nothing more; what it said until then is kept.
        SetupError: the engine is not installed, or its model is not there.
    """
    lacking = _unscored(store, judge, gate)
    jobs = {row_id: kind for row_id, (kind, clause_ids) in lacking.items() if judge.rubric.is_shown(clause_ids)}
    part_writer(store)({
        "scores": [
            score_row(row_id, judge.name, judge.scorer_hash, NOT_ASKED) for row_id in sorted(lacking.keys() - jobs)
        ]
    })  # fmt: skip
    if jobs or _judged_once(store, judge, gate):
        asyncio.run(_ask(store, judge, gate, jobs, progress))
    judge.unanswered = frozenset(_unscored(store, judge, gate))
    return lacking.keys() - judge.unanswered


async def _ask(store: WritingStore, judge: Judge, gate: Gate, jobs: Mapping[str, Kind], progress: Progress) -> None:
    async with open_engine(judge.engine, judge.engine_seed) as engine:
        if jobs:
            await _ask_each("judge", store, judge, engine, jobs, progress)
        again = _judged_once(store, judge, gate)
        if again:
            await _ask_each("judge again", store, judge, engine, again, progress)


async def _ask_each(
    stage: Literal["judge", "judge again"],
    store: WritingStore,
    judge: Judge,
    engine: Engine,
    jobs: Mapping[str, Kind],
    progress: Progress,
) -> None:
    """One verdict on each of the rows, written with its calls as it comes."""
    settings = judge.settings
    sampling = Sampling(settings.max_tokens, settings.temperature, settings.max_attempts)
    is_second = stage == "judge again"
    firsts = read_verdicts(store, judge.scorer_hash) if is_second else {}
    scorer_hash = judge.again_hash if is_second else judge.scorer_hash
    replies = _num_replies(store)
    ids = list(jobs)
    blocks = {row_id: place // READ_ROWS for place, row_id in enumerate(ids)}

    @lru_cache(maxsize=2)  # what is in flight lies in one block, or in two beside each other
    def rendered(block: int) -> dict[str, list[prompts.Message]]:
        of_block = ids[block * READ_ROWS : (block + 1) * READ_ROWS]
        shown: dict[str, list[prompts.Message]] = {}
        for kind in settings.applies_to:
            shown |= judge.rubric.render(kind, [row_id for row_id in of_block if jobs[row_id] == kind])
        return shown

    async def ask(row_id: str) -> Done:
        judged = await ask_judge(
            engine,
            rendered(blocks[row_id])[row_id],
            Opinion,
            sampling,
            room="filters",
            purpose=PURPOSE,
            item_id=row_id,
            seed=draw("judge", row_id) % 2**31,
            first_attempt=replies.get(row_id, 0),
        )
        scores = [score_row(row_id, stage, scorer_hash, score) for score in _scores(judged, firsts.get(row_id))]
        return Done({"calls": judged.calls, "scores": scores}, judged.outcome)

    await run_stage(
        stage, ids, ask, store.writer("filters").append, max_in_flight=engine.max_in_flight, progress=progress
    )


def _scores(judged: Judged[Opinion], first: bool | None) -> list[Score]:
    """The scores of one verdict, beside the first one where it is a second; none where no reply came."""
    if judged.outcome in ("timeout", "error"):
        return []
    opinion = judged.reply
    if opinion is None:
        return [Score("verdict", None, label="unjudged", evidence=judged.outcome)]
    kept = opinion.verdict == "keep"
    answers = [Score(name, float(getattr(opinion, name))) for name in CRITERIA]
    agrees = [] if first is None else [Score("agreement", float(kept == first))]
    return [Score("verdict", float(kept), label=opinion.verdict, evidence=opinion.reason), *answers, *agrees]


def _unscored(store: Store, judge: Judge, gate: Gate) -> dict[str, tuple[Kind, Sequence[str]]]:
    """Kind and clauses of the rows that come through the gate and have no score; rows of one clause together."""
    lacking = missing(store, "scores", [judge.scorer_hash])
    found = [
        (kind, cast("list[str] | None", row["clause_ids"]) or [], str(row["id"]))
        for kind in judge.settings.applies_to
        for row in (gate.rows(store, kind, "clause_ids") if lacking[kind] else ())
        if row["id"] in lacking[kind]
    ]
    return {row_id: (kind, clause_ids) for kind, clause_ids, row_id in sorted(found)}


def _judged_once(store: Store, judge: Judge, gate: Gate) -> dict[str, Kind]:
    """The rows that are still to be judged a second time: drawn one by one, so that a larger share only adds."""
    lacking = missing(store, "scores", [judge.again_hash])
    firsts = read_verdicts(store, judge.scorer_hash)
    return {
        row_id: kind
        for kind in judge.settings.applies_to
        for row_id in (gate.ids(store, kind) if firsts else ())
        if row_id in firsts
        and row_id in lacking[kind]
        and draw("judged_twice", row_id) / 2**64 < judge.settings.judged_twice_fraction
    }


def _num_replies(store: Store) -> dict[str, int]:
    """Replies that each row had from any judge: attempts, which seeds and ids of calls hang on, count on from there."""
    found = store.rows(
        "SELECT item_id, count(*) AS num FROM calls WHERE room = 'filters' AND purpose = ? "
        "AND outcome NOT IN ('timeout', 'error') GROUP BY item_id",
        [PURPOSE],
    )
    return {str(row["item_id"]): cast("int", row["num"]) for row in found}
