"""The sampled side of the tasks: the arms' answers, what a judge says of them, and the rows that follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from corpus.recipe import Recipe
from corpus.stage import Progress, StageReport
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id
from eval.answering import ArmEngine, Wanted, answer_missing, wanted_answers
from eval.grading import Judge, grade_missing, grades, lacks_second
from eval.tasks import Task
from eval.tasks.material import Measured, Question, Sampled
from eval.trained import TrainedArm


@dataclass(frozen=True)
class Answered:
    """The answers that one task wants of one arm, and what the rows made of them are known by."""

    one: TrainedArm
    task: Task
    sampled: Sampled
    wanted: Sequence[Wanted]
    eval_hash: str

    @property
    def answers_hash(self) -> str:
        """What makes an answer current."""
        return self.wanted[0].answers_hash


@dataclass(frozen=True)
class _Judged:
    """One answer that a judge has something to say of."""

    of_task: Answered
    want: Wanted
    rows: Sequence[Measured]
    """What rules told of it; they are written with the grade's."""
    question: Question
    grade_id: str
    is_read: bool
    """Whether its rows are written already: then only a second grade can be missing."""


def answers_of(
    recipe: Recipe, one: TrainedArm, task: Task, sampled: Sampled, judge: Judge | None, code: int
) -> Answered:
    """What a task wants of an arm. Its rows hang on the answers, on how they are read and grouped, and on the judge."""
    wanted = wanted_answers(recipe, one, task.name, sampled)
    read = [
        code,
        wanted[0].answers_hash,
        sampled.reading_hash,
        [asked.cluster for asked in sampled.prompts],
        None if judge is None else judge.identity,
    ]
    return Answered(one, task, sampled, wanted, content_id("read", read))


def answer_arms(
    recipe: Recipe, store: WritingStore, answered: Sequence[Answered], serve: ArmEngine, progress: Progress
) -> Iterator[StageReport]:
    """Ask for the answers that are missing, one engine after the other."""
    arms: dict[TrainedArm, list[Wanted]] = {of_task.one: [] for of_task in answered}
    for of_task in answered:
        arms[of_task.one] += of_task.wanted
    for one, wanted in arms.items():
        report = answer_missing(recipe, store, one, wanted, serve, progress)
        if report is not None:
            yield report


def read_answers(
    store: WritingStore, answered: Sequence[Answered], judge: Judge | None, progress: Progress
) -> Iterator[StageReport]:
    """Write what rules and the judge say of the answers that have no rows yet, of all arms together.

    What rules tell alone is written first, so that a judge that breaks off takes nothing with it. Answers with rows are
    read once more only where a second grade is due.
    """
    unread_only = judge is None or not lacks_second(store, judge)
    write = store.writer("eval").append
    judged: list[_Judged] = []
    for of_task in answered:
        for want, text, is_read in _given(store, of_task, unread_only=unread_only):
            reading = of_task.sampled.read(want.asked, text, can_judge=judge is not None)
            if reading.question is not None:
                assert judge is not None, want
                grade_id = judge.grade_id(reading.question)
                judged.append(_Judged(of_task, want, reading.rows, reading.question, grade_id, is_read))
            elif not is_read:
                write({"evals": rows_of(of_task, want, reading.rows)})
    if judge is not None and judged:
        questions = {one.grade_id: (one.of_task.task.name, one.question) for one in judged}
        report = grade_missing(store, judge, questions, progress)
        if report is not None:
            yield report
        waiting = [one for one in judged if not one.is_read]
        given = grades(store, [one.grade_id for one in waiting])
        for one in waiting:
            grade = given.get(one.grade_id)
            if grade is None:
                continue  # nothing came back: the next run asks again
            reply = grade.read(one.question.form)
            told = one.question.unjudged(f"judge: {grade.outcome}") if reply is None else one.question.conclude(reply)
            rows = [*one.rows, *(replace(row, judge=judge.model) for row in told)]
            write({"evals": rows_of(one.of_task, one.want, rows)})
    _tell_missing(store, answered, progress)


def rows_of(of_task: Answered, want: Wanted, rows: Sequence[Measured]) -> list[dict[str, object]]:
    """Rows of `evals` about one answer."""
    return [
        {
            **asdict(row),
            "eval_id": content_id("eval", of_task.eval_hash, row.item_id, row.variant, want.sample),
            "arm": of_task.one.arm,
            "train_seed": of_task.one.seed,
            "task": of_task.task.name,
            "sample": want.sample,
            "answer_id": want.answer_id,
            "eval_hash": of_task.eval_hash,
        }
        for row in rows
    ]


def _given(store: Store, of_task: Answered, *, unread_only: bool) -> Iterator[tuple[Wanted, str, bool]]:
    """The answers that were given, with their texts, and whether they have rows already."""
    found = store.rows(
        """
        SELECT answer_id, text, is_read FROM (
            SELECT answer_id, text, answer_id IN (
                SELECT answer_id FROM all_evals WHERE eval_hash = $eval_hash AND answer_id IS NOT NULL
            ) AS is_read FROM all_answers WHERE answers_hash = $answers_hash
        ) WHERE NOT (is_read AND $unread_only)
        """,
        {"answers_hash": of_task.answers_hash, "eval_hash": of_task.eval_hash, "unread_only": unread_only},
    )
    given = {str(row["answer_id"]): (str(row["text"]), bool(row["is_read"])) for row in found}
    for want in of_task.wanted:
        if want.answer_id in given:
            yield want, *given[want.answer_id]


def _tell_missing(store: Store, answered: Sequence[Answered], progress: Progress) -> None:
    """Say which answers have no rows: rates are over the others, which need not be like them."""
    there: Mapping[str, int] = Counter(
        {
            str(row["eval_hash"]): int(str(row["n"]))
            for row in store.rows(
                "SELECT eval_hash, count(DISTINCT answer_id) AS n FROM all_evals "
                "WHERE eval_hash IN (SELECT unnest($hashes::VARCHAR[])) GROUP BY eval_hash",
                {"hashes": [of_task.eval_hash for of_task in answered]},
            )
        }
    )
    for of_task in answered:
        missing = len(of_task.wanted) - there.get(of_task.eval_hash, 0)
        if missing:
            progress.note(
                f"{of_task.one.label}, {of_task.task.name}: {missing} of {len(of_task.wanted)} answers were not given "
                "or not graded (specmill sql RUN failures says why), and its rates are over the others; run it again"
            )
