"""Arms x training seeds x tasks: what is missing is measured, a few items at a time, and written as it comes.

Scored items first, arm by arm, then the arms' answers, then what a judge says of all of them, and then the rows that
follow. Each step does only what is not there yet, and each is there as soon as it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.recipe import Recipe
from corpus.stage import Done, Progress, StageReport, run_each
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id
from eval.answering import ArmEngine
from eval.grading import judge_of
from eval.sampled import answer_arms, answers_of, read_answers
from eval.scoring.precision import ready_to_score
from eval.statistics.arms import ArmRow, arms_table, headline, tables
from eval.statistics.effects import write_effects
from eval.tasks import Loaded, Task, make_tasks
from eval.tasks.material import Measured, Scored
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
    answered = [
        answers_of(recipe, one, task, sampled, judge, EVAL_CODE_VERSION)
        for one in trained
        for task in tasks
        if (sampled := loaded[task.name].sampled) is not None
    ]
    hashes = {
        one.scope(task.name): _eval_hash(one, task, scored.content_hash)
        for one in trained
        for task in tasks
        if (scored := loaded[task.name].scored) is not None
    }
    measured_now = [one for one in trained if one.arm in chosen]
    scopes = {one.scope(task.name) for one in measured_now for task in tasks}
    read = {f"{of_task.one.scope(of_task.task.name)}/sampled": of_task.eval_hash for of_task in answered}
    answers = {of_task.one.scope(of_task.task.name): of_task.answers_hash for of_task in answered}
    store.writer("eval").set_current("effects", {})  # until they are worked out anew
    _set_current(store, "evals", hashes | read, scopes | {f"{scope}/sampled" for scope in scopes})
    _set_current(store, "answers", answers, scopes)
    if judge is None:
        judged = [task.name for task in tasks if (sampled := loaded[task.name].sampled) is not None and sampled.rubrics]
        if judged:
            progress.note(
                f"{', '.join(judged)}: eval.judge names no judge, so what only a judge can tell stays ungraded"
            )
    else:
        rubrics = {rubric: judge.grading_hash(rubric) for of_task in answered for rubric in of_task.sampled.rubrics}
        store.writer("eval").set_current("grades", rubrics)
    answered_now = [of_task for of_task in answered if of_task.one.arm in chosen]
    stages = [
        *_score(recipe, store, measured_now, tasks, loaded, hashes, load_model, progress),
        *answer_arms(recipe, store, answered_now, serve, progress),
        *read_answers(store, answered_now, judge, progress),
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
        del measure
        _release_memory()


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


def _row(one: TrainedArm, task: str, eval_hash: str, measured: Measured) -> dict[str, object]:
    sample = 0  # log-probabilities are computed, not sampled: there is one
    return {
        **asdict(measured),
        "eval_id": content_id("eval", eval_hash, measured.item_id, measured.variant, sample),
        "arm": one.arm,
        "train_seed": one.seed,
        "task": task,
        "sample": sample,
        "answer_id": None,
        "eval_hash": eval_hash,
    }


def _release_memory() -> None:
    """Give back what a model that is scored no more held: an engine that starts in this process needs the room."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


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
