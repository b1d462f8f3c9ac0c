"""Arms x training seeds x tasks: what is missing is measured, a few items at a time, and written as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.recipe import Recipe
from corpus.stage import Done, Progress, StageReport, run_each
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id
from eval.arms import ArmRow, arms_table, headline, tables
from eval.material import Material, Measured
from eval.precision import ready_to_score
from eval.tasks import Task, make_tasks
from eval.trained import TrainedArm, choose_arms, refuse_untrained, trained_arms

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EVAL_CODE_VERSION = 2
"""Part of every eval's hash: raised when the same model and items would get other scores."""
CHUNK_ITEMS = 16
"""Items that are measured and written together: what a killed process has to measure again, at most."""

Loader = Callable[[Recipe, Path | None], "tuple[PreTrainedModel, PreTrainedTokenizerBase]"]


@dataclass(frozen=True)
class EvalReport:
    """What was measured now, and where all arms stand."""

    stages: tuple[StageReport, ...]
    """One for each arm and training seed."""
    arms: tuple[ArmRow, ...]
    """Every metric of every arm, and its differences from other arms."""

    def rows(self) -> list[dict[str, object]]:
        """Arms and differences, one table row each, sorted by metric."""
        return [row for _, of_table in self.tables() for row in of_table]

    def headline(self) -> list[dict[str, object]]:
        """One row an arm with its main metrics."""
        return headline(self.arms)

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """The report as titled tables: the arms, and their differences."""
        return tables(self.arms)


@dataclass(frozen=True)
class _Chunk:
    task: str
    eval_hash: str
    material: Material = field(repr=False)
    item_ids: Sequence[str]


def evaluate_missing(
    recipe: Recipe, store: WritingStore, arms: Sequence[str] | None, progress: Progress, load_model: Loader
) -> EvalReport:
    """See `eval.evaluate_arms`; `load_model` loads the base model (None) or a checkpoint."""
    tasks = make_tasks(recipe)
    chosen = choose_arms(recipe, arms)
    trained, faults = trained_arms(recipe, store) if chosen else ([], {})
    refuse_untrained(chosen, faults)
    materials = {task.name: task.load(recipe, store) for task in tasks}
    hashes = {one.scope(task.name): _eval_hash(one, task, materials[task.name]) for one in trained for task in tasks}
    measured_now = [one for one in trained if one.arm in chosen]
    _set_current(store, hashes, {one.scope(task.name) for one in measured_now for task in tasks})
    stages = []
    for one in measured_now:
        chunks: list[_Chunk] = []
        for task in tasks:
            chunks += _missing(store, task.name, hashes[one.scope(task.name)], materials[task.name])
        measure, write = _measure(recipe, one, load_model), store.writer("eval").append
        stages.append(run_each(f"eval {one.label}", chunks, measure, write, progress=progress))
    return EvalReport(tuple(stages), tuple(arms_table(store, recipe.arms)))


def _set_current(store: WritingStore, hashes: Mapping[str, str], scopes: Set[str]) -> None:
    """Make the hashes of `scopes` current; of the other arms, only what was current stays so, if it still holds."""
    before = store.current("evals")
    current = {scope: value for scope, value in hashes.items() if scope in scopes or before.get(scope) == value}
    store.writer("eval").set_current("evals", current)


def _measure(recipe: Recipe, one: TrainedArm, load_model: Loader) -> Callable[[_Chunk], Done]:
    """Measures chunks; the model is loaded at the first, so not at all where nothing is missing."""
    loaded: list[tuple[PreTrainedModel, PreTrainedTokenizerBase]] = []

    def do(chunk: _Chunk) -> Done:
        if not loaded:
            model, tokenizer = load_model(recipe, one.checkpoint)
            loaded.append((ready_to_score(model), tokenizer))
        rows = [_row(one, chunk, measured) for measured in chunk.material.measure(*loaded[0], chunk.item_ids)]
        return Done({"evals": rows}, "unscored" if any(row["score"] is None for row in rows) else "ok")

    return do


def _row(one: TrainedArm, chunk: _Chunk, measured: Measured) -> dict[str, object]:
    sample = 0  # log-probabilities are computed, not sampled: there is one
    return {
        "eval_id": content_id("eval", chunk.eval_hash, measured.item_id, measured.variant, sample),
        "arm": one.arm,
        "train_seed": one.seed,
        "task": chunk.task,
        "sample": sample,
        "judge": None,
        "eval_hash": chunk.eval_hash,
        **asdict(measured),
    }


def _missing(store: Store, task: str, eval_hash: str, material: Material) -> list[_Chunk]:
    """Items without rows, in chunks; an item's rows are written together, so one of them means all."""
    rows = store.rows("SELECT DISTINCT item_id FROM all_evals WHERE eval_hash = ?", [eval_hash])
    there = {row["item_id"] for row in rows}
    missing = [item_id for item_id in material.item_ids if item_id not in there]
    starts = range(0, len(missing), CHUNK_ITEMS)
    return [_Chunk(task, eval_hash, material, missing[start : start + CHUNK_ITEMS]) for start in starts]


def _eval_hash(one: TrainedArm, task: Task, material: Material) -> str:
    return content_id(
        "evals",
        EVAL_CODE_VERSION,
        one.arm,
        one.seed,
        one.model_hash,
        task.name,
        task.settings.model_dump(mode="json"),
        material.content_hash,
    )
