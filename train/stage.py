"""Training one stage from its parent to its finished checkpoint, going on from wherever it was killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version

import torch

from corpus.errors import TrainingError
from corpus.recipe import Recipe
from corpus.stage import Done, Progress, run_each
from corpus.store import Store, WritingStore
from train.attention import check_attention
from train.checkpoint import write_checkpoint
from train.loop import Trainer, reproducible
from train.model import precision_of, template_hash
from train.packed import PackedModel
from train.plan import Plan
from train.prepare import Ready, prepare_stage
from train.progress import State, load_progress, restore, restore_best
from train.recorder import Recorder, stored_rows
from train.runs import TRAIN_CODE_VERSION, StageRun, deciding_settings
from train.speed import Costs, matrix_rate, reset_peak_memory
from train.team import Team


def train_stage(
    run: StageRun, recipe: Recipe, store: Store, team: Team, progress: Progress, is_time_up: Callable[[], bool]
) -> None:
    """Train `run`, write its checkpoint, its rows of `steps` and `held_out_losses`, and its row of `stages`.

    `is_time_up` is asked after each update. All processes of `team` call it; the first has a store that it may write,
    and writes everything.

    Raises:
        OutOfTime: it was, before the last update.
        TrainingError: a parent that does not fit, data that cannot be learned, a loss that is not a number.
        StoreError: the disk is full; the last resumable state is kept.
    """
    ready = prepare_stage(run, recipe, store, team, progress)
    steps, kept, best = _updates(run, ready, store, team, progress, is_time_up)
    row = _stages_row(run, recipe, ready.plan, steps)
    outcome = {
        "first_loss": steps[0]["loss"],
        "last_loss": steps[-1]["loss"],
        "kept_update": kept,
        "best_update": best,
    }
    write_checkpoint(
        run.folder,
        ready.model,
        ready.adapter,
        ready.tokenizer,
        row | outcome | _about(run, recipe, ready, team),
        base=ready.base,
        is_first=team.is_first,
    )
    if isinstance(store, WritingStore):
        if stored_rows(store, run, "stages"):
            progress.note(f"{run.scope} was trained before as it is now: its rows in the tables are those of that time")
        else:
            store.writer("train").append({"stages": [row]})
    team.release()


def _updates(
    run: StageRun, ready: Ready, store: Store, team: Team, progress: Progress, is_time_up: Callable[[], bool]
) -> tuple[list[dict[str, object]], int, int | None]:
    """Every update that is missing: rows of `steps`, the update whose weights stay, the best update if measured."""
    plan, compute = ready.plan, ready.compute
    costs, rate = Costs.of(ready.model), matrix_rate(compute)
    reset_peak_memory(team.device)
    saved = load_progress(run.progress_folder, run.stage_hash)
    state, tensors = saved or (State(run.stage_hash, 0, torch.get_num_threads(), {}, ready.held_out_hash), None)
    _check_together(team, run, plan, state)
    if state.measured_on != ready.held_out_hash:
        progress.note(f"{run.scope}: the held-out documents are others than before; its best update begins anew")
        state = replace(state, measured_on=ready.held_out_hash, best=None)
    with reproducible(team.device, state.num_threads):
        trainer = Trainer(PackedModel(ready.model), plan, run.settings, compute, team, run.seed, run.stage)
        check_attention(ready.model, trainer.hidden_states, ready.alone, compute.dtype)
        if tensors:
            restore(tensors, state.num_updates, trainer.parameters, trainer.optimizer)
        team.wait()  # nobody removes a state that another still reads
        recorder = Recorder(run, store, trainer, ready.held_out, costs, rate, state, progress, is_time_up)
        try:
            missing = range(state.num_updates, len(plan.updates))
            run_each(recorder.label, missing, _update(trainer, recorder), lambda _: None, progress=progress)
        finally:
            recorder.close()
        best = recorder.best and recorder.best[0]
        if run.settings.keep == "last" or best is None:
            return recorder.rows["steps"], len(plan.updates), best
        team.wait()  # the first process may still be writing them
        restore_best(run.progress_folder, best, trainer.parameters)
        return recorder.rows["steps"], best, best


def _check_together(team: Team, run: StageRun, plan: Plan, state: State) -> None:
    """Refuse processes that would go on from different states, or with different rows."""
    mine = (state.num_updates, state.rows.get("steps", [])[-1:], plan.num_tokens[:3], len(plan.updates))
    if any(other != mine for other in team.from_all(mine)):
        raise TrainingError(
            f"{run.scope}: the processes do not see the same files in {run.run_folder}; on several machines the run "
            "lies on a disk that all of them share"
        )


def _update(trainer: Trainer, recorder: Recorder) -> Callable[[int], Done]:
    def do(number: int) -> Done:
        recorder.take(number, trainer.update(number))
        return Done({})

    return do


def _about(run: StageRun, recipe: Recipe, ready: Ready, team: Team) -> dict[str, object]:
    """What a checkpoint's manifest says of where it comes from."""
    train, plan = recipe.train, ready.plan
    return {
        "base_model": train.model,
        "base_revision": train.revision,
        "base_hash": run.base_hash,
        "template_hash": template_hash(train),
        "parent_manifest_hash": ready.parent_manifest,
        "merged_difference": ready.merged,
        "mix": run.settings.data,
        "mix_seed": run.mix.seed,
        "hold_out": dict(run.mix.hold_out),
        "held_out_hash": ready.held_out_hash,
        "settings": run.settings.model_dump(mode="json") | deciding_settings(run.settings),
        "lora": train.lora and train.lora.model_dump(mode="json"),
        "precision": precision_of(train),
        "attention": ready.attention,
        "num_processes": team.size,
        "loss_is": "summed cross-entropy of an update's target tokens / their number",
        "num_segments": len(plan.segments.sources),
        "num_rows": len(plan.rows),
        "fill_fraction": plan.fill_fraction,
        "dropped": dict(plan.segments.dropped),
        "train_code_version": TRAIN_CODE_VERSION,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")},
    }


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
