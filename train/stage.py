"""Training one stage from its parent to its finished checkpoint, going on from wherever it was killed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from corpus.recipe import Recipe
from corpus.stage import Done, Progress, Rows, run_each
from corpus.store import Store, WritingStore
from train.attention import check_attention
from train.checkpoint import check_parent, write_checkpoint
from train.loop import Trainer, reproducible
from train.loss import check_loss
from train.model import bf16_slowdown, choose_compute, load_tokenizer, load_trainable, precision_of, stop_ids
from train.plan import Plan, make_plan
from train.progress import State, load_progress, restore, save_progress
from train.runs import TRAIN_CODE_VERSION, OutOfTime, StageRun
from train.texts import chat_segments, document_segments

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FEW_UPDATES = 100
"""Below this many updates a stage warns: one replication with fewer took "too little training" for "no effect"."""
SANE_RATES = {"full": (1e-7, 1e-3), "lora": (1e-6, 1e-2)}
"""Learning rates that are usual, lowest and highest (ours; an adapter takes about ten times as much as all weights do:
'LoRA Without Regret', 2025)."""
SLOW_BF16 = 1.2
"""From this slowdown on (measured) a stage on the CPU says that fp32 would be faster."""


class _Scalars(Protocol):
    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...
    def close(self) -> None: ...


def train_stage(
    run: StageRun, recipe: Recipe, store: WritingStore, progress: Progress, is_time_up: Callable[[], bool]
) -> None:
    """Train `run`, write its checkpoint, its rows of `steps` and its row of `stages`.

    `is_time_up` is asked after each update.

    Raises:
        OutOfTime: it was, before the last one.
        TrainingError: a parent that does not fit, data that cannot be learned, a loss that is not a number.
        StoreError: the disk is full; the last resumable state is kept.
    """
    parent = run.parent
    parent_manifest = check_parent(parent.folder, run.base_hash, parent.stage_hash) if parent else None
    tokenizer = load_tokenizer(recipe.train)
    model, adapter = load_trainable(recipe.train, parent.folder if parent else None, run.seed)
    compute = choose_compute(recipe.train)
    model.to(compute.device)
    with compute.autocast():
        check_attention(model)
        check_loss(model)
    plan = plan_stage(run, model, tokenizer)
    _warn(run, recipe, plan, progress)
    if compute.device.type == "cpu" and compute.dtype == torch.bfloat16 and bf16_slowdown() > SLOW_BF16:
        progress.note(
            f"{run.scope}: this processor is slower in bf16 than in fp32; to train faster here: -o train.precision=fp32"
        )

    saved = load_progress(run.progress_folder, run.stage_hash)
    threads = saved[0].num_threads if saved else torch.get_num_threads()
    with reproducible(compute.device, threads):
        trainer = Trainer(model, plan, run.settings, compute, run.seed, run.stage)
        steps = saved[0].steps if saved else []
        if saved:
            restore(saved[1], saved[0].num_updates, trainer.parameters, trainer.optimizer)
        record = _Recorder(run, store, trainer, threads, steps, is_time_up)
        try:
            label = f"train {run.chain} seed {run.seed}"
            missing = range(len(steps), len(plan.updates))
            run_each(label, missing, _update(run, trainer), record, progress=progress)
        finally:
            record.close()

    row = _stages_row(run, recipe, plan, steps)
    manifest = row | {
        "first_loss": steps[0]["loss"],
        "last_loss": steps[-1]["loss"],
        "base_model": recipe.train.model,
        "base_revision": recipe.train.revision,
        "base_hash": run.base_hash,
        "parent_manifest_hash": parent_manifest,
        "mix": run.settings.data,
        "mix_seed": run.mix.seed,
        "hold_out": dict(run.mix.hold_out),
        "settings": run.settings.model_dump(mode="json"),
        "lora": recipe.train.lora and recipe.train.lora.model_dump(mode="json"),
        "precision": precision_of(recipe.train),
        "loss_is": "summed cross-entropy of an update's target tokens / their number",
        "num_segments": len(plan.segments.sources),
        "num_rows": len(plan.rows),
        "fill_fraction": plan.fill_fraction,
        "dropped": dict(plan.segments.dropped),
        "train_code_version": TRAIN_CODE_VERSION,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
    }
    write_checkpoint(run.folder, model, adapter, tokenizer, manifest)
    if not _stored(store, run, "stages", "stage_hash"):
        store.writer("train").append({"stages": [row]})


def plan_stage(run: StageRun, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Plan:
    """The plan of a stage's rows: documents or chats, as its mix says."""
    seq_tokens = run.settings.seq_tokens
    if run.mix.kind == "chats":
        segments = chat_segments(run.mix.chats(), tokenizer, seq_tokens, stop_ids(model, tokenizer))
    else:
        segments = document_segments(run.mix.documents(), tokenizer, seq_tokens)
    return make_plan(
        segments,
        seq_tokens=seq_tokens,
        batch_tokens=run.settings.batch_tokens,
        epochs=run.settings.epochs,
        seed=run.seed,
        stage=run.stage,
    )


def _update(run: StageRun, trainer: Trainer) -> Callable[[int], Done]:
    def do(number: int) -> Done:
        step = trainer.update(number)
        names = {"chain": run.chain, "seed": run.seed, "stage": run.stage, "stage_hash": run.stage_hash}
        return Done({"steps": [{**names, "step": number + 1, **vars(step)}]})

    return do


class _Recorder:
    """Takes a step's row as it comes, and writes rows and resumable state together every `checkpoint_updates`.

    The state holds all rows so far and comes first. A process killed between the two leaves rows that are not in
    the store; one killed before leaves no rows of steps that will be done again. Either way each is there once.
    """

    def __init__(
        self,
        run: StageRun,
        store: WritingStore,
        trainer: Trainer,
        num_threads: int,
        steps: list[dict[str, object]],
        is_time_up: Callable[[], bool],
    ) -> None:
        self._run, self._store, self._trainer = run, store, trainer
        self._num_threads, self._steps, self._is_time_up = num_threads, steps, is_time_up
        self._scalars = _open_scalars(store.root / "tensorboard" / run.chain / f"seed-{run.seed}", len(steps) + 1)
        self._stored = _stored(store, run, "steps", "step")
        self._append_steps()

    def __call__(self, rows: Rows) -> None:
        for row in rows["steps"]:
            self._steps.append(dict(row))
            self._show(row)
        num_updates, num_all = len(self._steps), len(self._trainer.plan.updates)
        stops = num_updates < num_all and self._is_time_up()
        if stops or num_updates % self._run.settings.checkpoint_updates == 0 or num_updates == num_all:
            state = State(self._run.stage_hash, num_updates, self._num_threads, self._steps)
            save_progress(self._run.progress_folder, state, self._trainer.parameters, self._trainer.optimizer)
            self._append_steps()
        if stops:
            raise OutOfTime(f"{self._run.scope} after {num_updates} of {num_all} updates")

    def close(self) -> None:
        if self._scalars is not None:
            self._scalars.close()

    def _append_steps(self) -> None:
        missing = [row for row in self._steps if row["step"] not in self._stored]
        if missing:
            self._store.writer("train").append({"steps": missing})
            self._stored |= {row["step"] for row in missing}

    def _show(self, row: Mapping[str, object]) -> None:
        if self._scalars is not None:
            for name in ("loss", "learning_rate", "grad_norm"):
                self._scalars.add_scalar(name, float(str(row[name])), int(str(row["step"])))


def _stored(store: Store, run: StageRun, table: str, column: str) -> set[object]:
    """Values of a column in the rows that the store has of this very stage."""
    sql = f"SELECT {column} FROM all_{table} WHERE chain = ? AND seed = ? AND stage_hash = ?"
    return {row[column] for row in store.rows(sql, [run.chain, run.seed, run.stage_hash])}


def _stages_row(run: StageRun, recipe: Recipe, plan: Plan, steps: list[dict[str, object]]) -> dict[str, object]:
    return {
        "chain": run.chain,
        "seed": run.seed,
        "stage": run.stage,
        "parent": run.parent and run.parent.chain,
        "data_hash": run.mix.data_hash,
        "recipe_hash": recipe.recipe_hash(),
        "tokens": sum(plan.num_tokens),
        "target_tokens": sum(plan.num_targets),
        "updates": len(plan.updates),
        "seconds": sum(float(str(step["seconds"])) for step in steps),
        "checkpoint": f"checkpoints/{run.scope}",
        "stage_hash": run.stage_hash,
    }


def _warn(run: StageRun, recipe: Recipe, plan: Plan, progress: Progress) -> None:
    low, high = SANE_RATES["full" if recipe.train.lora is None else "lora"]
    if not low <= run.settings.learning_rate <= high:
        progress.note(
            f"{run.scope} has a learning_rate of {run.settings.learning_rate:g}; {low:g} to {high:g} is usual for "
            f"{'all weights' if recipe.train.lora is None else 'an adapter'}"
        )
    for reason, sources in plan.segments.dropped.items():
        if sources:
            progress.note(f"{run.scope}: {len(sources)} chats are left out: {reason} (such as {sources[0]})")
    if len(plan.updates) < FEW_UPDATES:
        progress.note(
            f"{run.scope} has {len(plan.updates)} updates, fewer than {FEW_UPDATES}: too few look like no effect; "
            "give it more data or a smaller batch_tokens"
        )


def _open_scalars(folder: Path, first_step: int) -> _Scalars | None:
    """TensorBoard's curves, where it is installed; a resumed run replaces those of the steps it does again."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    writer: _Scalars = SummaryWriter(str(folder), purge_step=first_step)
    return writer
