"""Arms x training seeds x tasks: what is missing is measured, a few items at a time, and written as it comes.

Scored items first, arm by arm, then the arms' answers, then what a judge says of all of them, and then the rows that
follow. Each step does only what is not there yet, and each is there as soon as it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.recipe import Recipe
from corpus.stage import Done, Progress, StageReport, run_each
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id
from eval.answering import ArmEngine, Wanted, answer_missing, wanted_answers
from eval.grading import Judge, grade_missing, grades, judge_of
from eval.scoring.precision import ready_to_score
from eval.statistics.arms import ArmRow, arms_table, headline, tables
from eval.statistics.effects import write_effects
from eval.tasks import Loaded, Task, make_tasks
from eval.tasks.material import Measured, Reading, Scored
from eval.trained import TrainedArm, choose_arms, refuse_untrained, trained_arms

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EVAL_CODE_VERSION = 3
"""Part of every eval's hash: raised when the same model and items would get other scores."""
CHUNK_ITEMS = 16
"""Items that are measured and written together: what a killed process has to measure again, at most."""

Loader = Callable[[Recipe, Path | None], "tuple[PreTrainedModel, PreTrainedTokenizerBase]"]


@dataclass(frozen=True)
class EvalReport:
    """What was measured now, and where all arms stand."""

    stages: tuple[StageReport, ...]
    """What was done, in order: each arm and training seed, each engine's answers, the judge."""
    arms: tuple[ArmRow, ...]
    """Every metric of every arm, and its differences from other arms."""

    def rows(self) -> list[dict[str, object]]:
        """Arms and differences, one table row each, sorted by metric."""
        return [row for _, of_table in self.tables() for row in of_table]

    def headline(self) -> list[dict[str, object]]:
        """One row an arm with its main metrics."""
        return headline(self.arms)

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """The report as titled tables: what was declared, the arms, and their differences."""
        return tables(self.arms)


@dataclass(frozen=True)
class _Chunk:
    task: str
    eval_hash: str
    scored: Scored = field(repr=False)
    item_ids: Sequence[str]


@dataclass(frozen=True)
class _Answered:
    """The answers that one task wants of one arm, and what the rows made of them are known by."""

    one: TrainedArm
    task: Task
    loaded: Loaded
    wanted: Sequence[Wanted]
    eval_hash: str


def evaluate_missing(
    recipe: Recipe,
    store: WritingStore,
    arms: Sequence[str] | None,
    progress: Progress,
    load_model: Loader,
    serve: ArmEngine,
) -> EvalReport:
    """See `eval.evaluate_arms`; `load_model` loads the base model (None) or a checkpoint, `serve` names its engine."""
    tasks = make_tasks(recipe)
    chosen = choose_arms(recipe, arms)
    trained, faults = trained_arms(recipe, store) if chosen else ([], {})
    refuse_untrained(chosen, faults)
    loaded = {task.name: task.load(recipe, store) for task in tasks}
    judge = judge_of(recipe)
    hashes: dict[str, str] = {}
    answers_hashes: dict[str, str] = {}
    answered: list[_Answered] = []
    for one in trained:
        for task in tasks:
            scored, sampled = loaded[task.name].scored, loaded[task.name].sampled
            if scored is not None:
                hashes[one.scope(task.name)] = _eval_hash(one, task, scored.content_hash)
            if sampled is not None:
                wanted = wanted_answers(recipe, one, task.name, sampled)
                answers_hash = wanted[0].answers_hash
                read = [answers_hash, sampled.reading_hash, None if judge is None else judge.identity]
                of_task = _Answered(
                    one, task, loaded[task.name], wanted, _eval_hash(one, task, content_id("read", read))
                )
                answered.append(of_task)
                hashes[one.scope(f"{task.name}/sampled")] = of_task.eval_hash
                answers_hashes[one.scope(task.name)] = answers_hash
    scopes = {one.label: {one.scope(task.name) for task in tasks} for one in trained}
    now = {scope for one in trained if one.arm in chosen for scope in scopes[one.label]}
    _set_current(store, "evals", hashes, now | {f"{scope}/sampled" for scope in now})
    _set_current(store, "answers", answers_hashes, now)
    of_now = [one for one in answered if one.one.arm in chosen]
    stages = [
        *_score(
            recipe, store, [one for one in trained if one.arm in chosen], tasks, loaded, hashes, load_model, progress
        ),
        *_answer(recipe, store, of_now, serve, progress),
        *_judge(store, of_now, judge, progress),
    ]
    rows = tuple(arms_table(store, recipe))
    write_effects(store, rows)
    return EvalReport(tuple(stages), rows)


def _set_current(store: WritingStore, table: str, hashes: Mapping[str, str], scopes: Set[str]) -> None:
    """Make the hashes of `scopes` current; of the other arms, only what was current stays so, if it still holds."""
    before = store.current(table)
    current = {scope: value for scope, value in hashes.items() if scope in scopes or before.get(scope) == value}
    store.writer("eval").set_current(table, current)


def _score(
    recipe: Recipe,
    store: WritingStore,
    trained: Sequence[TrainedArm],
    tasks: Sequence[Task],
    loaded: Mapping[str, Loaded],
    hashes: Mapping[str, str],
    load_model: Loader,
    progress: Progress,
) -> Iterator[StageReport]:
    """The sides of the tasks that are scored by log-probability."""
    scored = {task.name: found for task in tasks if (found := loaded[task.name].scored) is not None}
    for one in trained if scored else ():
        chunks: list[_Chunk] = []
        for name, material in scored.items():
            chunks += _missing(store, name, hashes[one.scope(name)], material)
        measure, write = _measure(recipe, one, load_model), store.writer("eval").append
        yield run_each(f"eval {one.label}", chunks, measure, write, progress=progress)


def _answer(
    recipe: Recipe, store: WritingStore, answered: Sequence[_Answered], serve: ArmEngine, progress: Progress
) -> Iterator[StageReport]:
    """The answers that are missing, one engine after the other."""
    arms: dict[TrainedArm, list[Wanted]] = {of_task.one: [] for of_task in answered}
    for of_task in answered:
        arms[of_task.one] += of_task.wanted
    for one, wanted in arms.items():
        report = answer_missing(recipe, store, one, wanted, serve, progress)
        if report is not None:
            yield report


def _judge(
    store: WritingStore, answered: Sequence[_Answered], judge: Judge | None, progress: Progress
) -> Iterator[StageReport]:
    """What rules and the judge say of the answers that have no rows yet, of all arms together."""
    readings = [(of_task, want, reading) for of_task in answered for want, reading in _readings(store, of_task, judge)]
    questions = [(of_task.task.name, reading.question) for of_task, _, reading in readings if reading.question]
    if judge is not None:
        report = grade_missing(store, judge, questions, progress)
        if report is not None:
            yield report
    given = grades(store, [judge.grade_id(question) for _, question in questions]) if judge else {}
    write = store.writer("eval").append
    for of_task, want, reading in readings:
        rows = list(reading.rows)
        if reading.question is not None:
            assert judge is not None, want
            grade = given.get(judge.grade_id(reading.question))
            if grade is None:
                continue  # nothing came back: the next run asks again
            reply = grade.read(reading.question.form)
            told = (
                reading.question.unjudged(f"judge: {grade.outcome}")
                if reply is None
                else reading.question.conclude(reply)
            )
            rows += [_judged(row, judge) for row in told]
        write({"evals": [_row(of_task.one, of_task.task.name, of_task.eval_hash, row, want) for row in rows]})


def _readings(store: Store, of_task: _Answered, judge: Judge | None) -> Iterator[tuple[Wanted, Reading]]:
    """What the answers say that have no rows yet."""
    sampled = of_task.loaded.sampled
    assert sampled is not None, of_task.task
    found = store.rows(
        """
        SELECT answer_id, text FROM all_answers WHERE answers_hash = $answers_hash
        AND answer_id NOT IN (SELECT answer_id FROM all_evals WHERE eval_hash = $eval_hash AND answer_id IS NOT NULL)
        """,
        {"answers_hash": of_task.wanted[0].answers_hash, "eval_hash": of_task.eval_hash},
    )
    texts = {str(row["answer_id"]): str(row["text"]) for row in found}
    for want in of_task.wanted:
        if want.answer_id in texts:
            yield want, sampled.read(want.asked, texts[want.answer_id], can_judge=judge is not None)


def _judged(row: Measured, judge: Judge) -> Measured:
    return replace(row, judge=judge.model)


def _measure(recipe: Recipe, one: TrainedArm, load_model: Loader) -> Callable[[_Chunk], Done]:
    """Measures chunks; the model is loaded at the first, so not at all where nothing is missing."""
    loaded: list[tuple[PreTrainedModel, PreTrainedTokenizerBase]] = []

    def do(chunk: _Chunk) -> Done:
        if not loaded:
            model, tokenizer = load_model(recipe, one.checkpoint)
            loaded.append((ready_to_score(model), tokenizer))
        measured = chunk.scored.measure(*loaded[0], chunk.item_ids)
        rows = [_row(one, chunk.task, chunk.eval_hash, each) for each in measured]
        return Done({"evals": rows}, "unscored" if any(row["score"] is None for row in rows) else "ok")

    return do


def _row(
    one: TrainedArm, task: str, eval_hash: str, measured: Measured, want: Wanted | None = None
) -> dict[str, object]:
    sample = 0 if want is None else want.sample  # log-probabilities are computed, not sampled: there is one
    return {
        **asdict(measured),
        "eval_id": content_id("eval", eval_hash, measured.item_id, measured.variant, sample),
        "arm": one.arm,
        "train_seed": one.seed,
        "task": task,
        "sample": sample,
        "answer_id": None if want is None else want.answer_id,
        "eval_hash": eval_hash,
    }


def _missing(store: Store, task: str, eval_hash: str, scored: Scored) -> list[_Chunk]:
    """Items without rows, in chunks; an item's rows are written together, so one of them means all."""
    rows = store.rows("SELECT DISTINCT item_id FROM all_evals WHERE eval_hash = ?", [eval_hash])
    there = {row["item_id"] for row in rows}
    missing = [item_id for item_id in scored.item_ids if item_id not in there]
    starts = range(0, len(missing), CHUNK_ITEMS)
    return [_Chunk(task, eval_hash, scored, missing[start : start + CHUNK_ITEMS]) for start in starts]


def _eval_hash(one: TrainedArm, task: Task, content_hash: str) -> str:
    return content_id(
        "evals", EVAL_CODE_VERSION, one.arm, one.seed, one.model_hash, task.name, task.deciding_settings(), content_hash
    )
