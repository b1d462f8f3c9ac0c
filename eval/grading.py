"""Grades: what a judge says of answers, asked once for each distinct question and kept by judge, rubric and text.

Nothing in a question names an arm, and questions are asked in the order of their hashes, so the judge is blind to the
arms and cannot drift along them. A reply that cannot be read after all attempts is a grade without a verdict, and
stays; one that never came is asked for again by the next run. A share is graded twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

from corpus.engine import Engine, Message, Request, open_engine, refuse_too_long
from corpus.engine.judge import JudgeReply, Sampling, ask_judge, reply_schema
from corpus.errors import RecipeError
from corpus.models import engine_identity, request_options
from corpus.recipe import Recipe
from corpus.stage import Done, Progress, StageReport, run_stage
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id, draw
from eval.tasks.material import Question

_REMEDY = "raise the judge's max_model_len, or lower the task's max_tokens"


@dataclass(frozen=True)
class Judge:
    """The judge of a recipe."""

    recipe: Recipe
    name: str
    """Its name among `engines`."""

    @property
    def identity(self) -> list[object]:
        """The model, how it is asked and how its replies are drawn."""
        engine, judging = self.recipe.engines[self.name], self.recipe.eval.judging
        drawn = judging.model_dump(mode="json", include={"temperature", "max_tokens"})
        return [engine_identity(engine), request_options(engine), drawn]

    @property
    def model(self) -> str:
        """Its model's name, for the rows."""
        return self.recipe.engines[self.name].model

    def grading_hash(self, rubric: str) -> str:
        """Names how grades by one rubric are given: what makes them current."""
        return content_id("grading", self.identity, rubric)

    def grades_twice(self, grade_id: str) -> bool:
        """Whether the answer of a first grade is among the share that has a second."""
        return draw("graded_twice", grade_id) / 2**64 < self.recipe.eval.judging.twice_fraction

    def grade_id(self, question: Question, again: bool = False) -> str:
        """Names a grade by judge, rubric and text."""
        return content_id("grade", self.identity, list(question.messages), _schema(question.form), again)


@cache
def _schema(form: type[JudgeReply]) -> dict[str, object]:
    return reply_schema(form)


@dataclass(frozen=True)
class Grade:
    """One grade that was given."""

    outcome: str
    """`ok`, or why no reply could be read."""
    reply: str | None
    """The reply as JSON; None unless its outcome is ok."""

    def read(self, form: type[JudgeReply]) -> JudgeReply | None:
        """The reply; None where there is none to read."""
        return None if self.reply is None else form.model_validate_json(self.reply)


@dataclass(frozen=True)
class _Wanted:
    grade_id: str
    question_id: str
    """The id of the first grade, by which the two are found together."""
    task: str
    question: Question
    again: bool


def judge_of(recipe: Recipe) -> Judge | None:
    """The judge that `eval.judge` names, if any."""
    return None if recipe.eval.judge is None else Judge(recipe, recipe.eval.judge)


def grade_missing(
    store: WritingStore, judge: Judge, questions: Mapping[str, tuple[str, Question]], progress: Progress
) -> StageReport | None:
    """Ask the judge what has no grade yet, and a share of it a second time.

    Args:
        store: the run.
        judge: who is asked.
        questions: task and question by the id of the grade.
        progress: where it is said how far it is.

    Raises:
        RecipeError: a question is longer than the judge's context.
        EngineError: the engine can do nothing more; what it said until then is kept.
    """
    wanted: dict[str, _Wanted] = {}
    for first, (task, question) in questions.items():
        wanted[first] = _Wanted(first, first, task, question, again=False)
        if judge.grades_twice(first):
            second = judge.grade_id(question, again=True)
            wanted[second] = _Wanted(second, first, task, question, again=True)
    there = grades(store, list(wanted))
    missing = [wanted[grade_id] for grade_id in sorted(wanted.keys() - there.keys())]
    return asyncio.run(_grade_each(store, judge, missing, progress)) if missing else None


async def _grade_each(store: WritingStore, judge: Judge, missing: Sequence[_Wanted], progress: Progress) -> StageReport:
    replies = _num_replies(store)
    # As for answers: the same seed at each start would give a question that is graded twice the same draws.
    seed = draw("engine", [want.grade_id for want in missing]) % 2**31
    async with open_engine(judge.recipe.engines[judge.name], seed) as engine:
        judging = judge.recipe.eval.judging
        asked = (_request(want.question, judging.max_tokens) for want in missing)
        try:
            refuse_too_long(engine, asked, _REMEDY)
        except RecipeError as error:
            raise RecipeError(f"eval.judge ({judge.name}): {error}") from None
        return await run_stage(
            "judge",
            missing,
            partial(_grade, engine, judge, replies),
            store.writer("eval").append,
            max_in_flight=engine.max_in_flight,
            progress=progress,
        )


async def _grade(engine: Engine, judge: Judge, replies: Mapping[str, int], want: _Wanted) -> Done:
    judging = judge.recipe.eval.judging
    judged = await ask_judge(
        engine,
        want.question.messages,
        want.question.form,
        Sampling(judging.max_tokens, judging.temperature, judging.max_attempts),
        room="eval",
        purpose=f"judge {want.task}",
        item_id=want.grade_id,
        seed=draw("grade", want.grade_id) % 2**31,
        first_attempt=replies.get(want.grade_id, 0),
    )
    if judged.outcome in ("timeout", "error"):
        return Done({"calls": judged.calls}, judged.outcome)
    row = {
        "grade_id": want.grade_id,
        "question_id": want.question_id,
        "task": want.task,
        "judge": judge.model,
        "again": want.again,
        "outcome": judged.outcome,
        "reply": None if judged.reply is None else judged.reply.model_dump_json(),
        "grading_hash": judge.grading_hash(want.question.rubric),
    }
    return Done({"calls": judged.calls, "grades": [row]}, judged.outcome)


def lacks_second(store: Store, judge: Judge) -> bool:
    """Whether a second grade is due that is not there: the share was raised, or the judge did not answer."""
    rows = store.rows("SELECT question_id, bool_or(again) AS has_second FROM grades GROUP BY question_id")
    return any(not row["has_second"] and judge.grades_twice(str(row["question_id"])) for row in rows)


def _request(question: Question, max_tokens: int) -> Request:
    turns = tuple(Message(turn["role"], turn["content"]) for turn in question.messages)
    return Request(turns, max_tokens=max_tokens, temperature=0.0)


def _num_replies(store: Store) -> dict[str, int]:
    """Replies that each grade had before: attempts, which seeds and ids of calls hang on, go on from there."""
    found = store.rows(
        "SELECT item_id, count(*) AS num FROM calls WHERE room = 'eval' AND starts_with(purpose, 'judge ') "
        "AND outcome NOT IN ('timeout', 'error') GROUP BY item_id"
    )
    return {str(row["item_id"]): int(str(row["num"])) for row in found}


def grades(store: Store, grade_ids: Sequence[str]) -> Mapping[str, Grade]:
    """The grades that were given, by id."""
    rows = store.rows(
        "SELECT grade_id, outcome, reply FROM all_grades WHERE grade_id IN (SELECT unnest($ids::VARCHAR[]))",
        {"ids": list(grade_ids)},
    )
    return {
        str(row["grade_id"]): Grade(str(row["outcome"]), None if row["reply"] is None else str(row["reply"]))
        for row in rows
    }
