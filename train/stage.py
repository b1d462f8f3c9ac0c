"""Training one stage from its parent to its finished checkpoint, going on from wherever it was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from corpus.errors import StoreError
from corpus.recipe import Recipe
from corpus.stage import Done, Progress, run_each
from corpus.store import Store, WritingStore, open_reader
from corpus.store.identity import content_id
from train.adapter import load_trainable
from train.attention import check_attention, proof_states, use_packed_attention
from train.checkpoint import check_parent, write_checkpoint
from train.held_out import HeldOut, find_held_out
from train.loop import Trainer, reproducible
from train.loss import check_loss
from train.memory import check_memory
from train.merge import base_of, first_texts, merge
from train.model import (
    bf16_slowdown,
    choose_compute,
    load_tokenizer,
    precision_of,
    stop_ids,
    uses_plain_template,
)
from train.packed import PackedModel
from train.plan import Plan, make_plan
from train.progress import State, load_progress, restore, restore_best
from train.recorder import Recorder, stored_rows
from train.runs import TRAIN_CODE_VERSION, OutOfTime, StageRun
from train.segments import Segment, Segments, open_segments, write_segments
from train.speed import Costs, matrix_rate
from train.team import Team
from train.texts import chat_segments, check_vocabulary, document_segments

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["OutOfTime", "train_stage"]

FEW_UPDATES = 100
"""Below this many updates a stage warns: one replication with fewer took "too little training" for "no effect"."""
SANE_RATES = {"full": (1e-7, 1e-3), "lora": (1e-6, 1e-2)}
"""Learning rates that are usual, lowest and highest (ours; an adapter takes about ten times as much as all weights do:
'LoRA Without Regret', 2025)."""
SLOW_BF16 = 1.2
"""From this slowdown on (measured) a stage on the CPU says that fp32 would be faster."""
TOKENS = "tokens"
"""The folder of tokenized data, below the run's."""


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
    parent = run.parent
    parent_manifest = check_parent(parent.folder, run.base_hash, parent.stage_hash) if parent else None
    tokenizer = load_tokenizer(recipe.train)
    compute = choose_compute(recipe.train)
    base, merged = team.from_first(lambda: _base(run, recipe, tokenizer, progress))
    continued = parent.folder if parent and merged is None else None
    model, adapter = load_trainable(recipe.train, continued, run.seed, base)
    check_vocabulary(tokenizer, model.get_input_embeddings().weight.shape[0], run.settings.document_tag)
    if recipe.train.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if not team.is_sharded:
        model.to(team.device)
    with compute.autocast():
        check_loss(model)
        alone = proof_states(model)
    attention = use_packed_attention(model, compute.dtype)

    stops = stop_ids(model, tokenizer)
    team.from_first(lambda: _tokenize(run, recipe, tokenizer, stops))
    segments = open_segments(_tokens_folder(run, recipe, stops))
    assert segments is not None, "the first process has just written or checked them"
    plan = make_plan(segments, run.settings, run.seed, run.stage)
    held_out = team.from_first(lambda: _held_out(run, recipe, store, tokenizer))
    if team.is_first:
        progress.note(f"{run.scope}: {plan.describe()}; attention: {attention}")
        for warning in _warnings(run, recipe, plan, team, held_out):
            progress.note(f"{run.scope} {warning}")

    costs, rate = Costs.of(model), matrix_rate(compute)
    if not team.is_sharded:
        check_memory(PackedModel(model), plan, compute, run.stage)
    saved = load_progress(run.progress_folder, run.stage_hash)
    state, tensors = saved or (State(run.stage_hash, 0, torch.get_num_threads(), {}), None)
    with reproducible(team.device, state.num_threads):
        trainer = Trainer(PackedModel(model), plan, run.settings, compute, team, run.seed, run.stage)
        check_attention(model, trainer.hidden_states, alone, compute.dtype)
        if tensors:
            restore(tensors, state.num_updates, trainer.parameters, trainer.optimizer)
        team.wait()  # nobody removes a state that another still reads
        recorder = Recorder(run, store, trainer, held_out, costs, rate, state, progress, is_time_up)
        try:
            missing = range(state.num_updates, len(plan.updates))
            run_each(recorder.label, missing, _update(trainer, recorder), lambda _: None, progress=progress)
        finally:
            recorder.close()
        kept = len(plan.updates)
        if run.settings.keep == "best" and recorder.best is not None:
            kept = recorder.best[0]
            restore_best(run.progress_folder, kept, trainer.parameters)

    steps = recorder.rows["steps"]
    row = _stages_row(run, recipe, plan, steps)
    manifest = row | {
        "first_loss": steps[0]["loss"],
        "last_loss": steps[-1]["loss"],
        "kept_update": kept,
        "best_update": recorder.best and recorder.best[0],
        "base_model": recipe.train.model,
        "base_revision": recipe.train.revision,
        "base_hash": run.base_hash,
        "parent_manifest_hash": parent_manifest,
        "merged_difference": merged,
        "mix": run.settings.data,
        "mix_seed": run.mix.seed,
        "hold_out": dict(run.mix.hold_out),
        "settings": run.settings.model_dump(mode="json"),
        "lora": recipe.train.lora and recipe.train.lora.model_dump(mode="json"),
        "precision": precision_of(recipe.train),
        "attention": attention,
        "num_processes": team.size,
        "chat_template_hash": content_id("template", tokenizer.chat_template),
        "loss_is": "summed cross-entropy of an update's target tokens / their number",
        "num_segments": len(plan.segments.sources),
        "num_rows": len(plan.rows),
        "fill_fraction": plan.fill_fraction,
        "dropped": dict(plan.segments.dropped),
        "train_code_version": TRAIN_CODE_VERSION,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")},
    }
    write_checkpoint(run.folder, model, adapter, tokenizer, manifest, base=base, is_first=team.is_first)
    if isinstance(store, WritingStore) and not stored_rows(store, run, "stages"):
        store.writer("train").append({"stages": [row]})
    team.wait()


def plan_tokens(run: StageRun, tokenizer: PreTrainedTokenizerBase, stops: frozenset[int], folder: Path) -> Segments:
    """Tokenize a stage's mix into `folder`: documents or chats, as the mix says."""
    settings, dropped = run.settings, dict[str, list[str]]()
    segments: Iterator[Segment]
    if run.mix.kind == "chats":
        segments = chat_segments(
            run.mix.chats(),
            tokenizer,
            settings.seq_tokens,
            stops,
            dropped,
            answers=settings.answers,
            over_long=settings.over_long,
        )
    else:
        segments = document_segments(run.mix.documents(), tokenizer, settings.seq_tokens, settings.document_tag)
    return write_segments(folder, segments, dropped)


def _tokens_folder(run: StageRun, recipe: Recipe, stops: frozenset[int]) -> Path:
    """Where a stage's tokens are: other seeds, chains and rates share them."""
    keys = run.settings.model_dump(include={"seq_tokens", "document_tag", "answers", "over_long"})
    name = content_id("tokens", TRAIN_CODE_VERSION, run.base_hash, run.mix.data_hash, keys, sorted(stops))
    return run.run_folder / TOKENS / name.rpartition(":")[2]


def _tokenize(run: StageRun, recipe: Recipe, tokenizer: PreTrainedTokenizerBase, stops: frozenset[int]) -> None:
    folder = _tokens_folder(run, recipe, stops)
    if open_segments(folder) is None:
        plan_tokens(run, tokenizer, stops, folder)


def _base(
    run: StageRun, recipe: Recipe, tokenizer: PreTrainedTokenizerBase, progress: Progress
) -> tuple[Path | None, dict[str, object] | None]:
    """The merged model that the stage's adapter stands on (None: the base model), and how merging changed it."""
    if run.parent is None or run.settings.parent == "continue":
        return base_of(run.parent.folder if run.parent else None), None
    prompts = first_texts(run.parent.mix, tokenizer)
    difference = merge(recipe.train, run.parent.folder, run.merged_folder, prompts, choose_compute(recipe.train))
    progress.note(
        f"{run.scope}: merged {run.parent.chain} into the base; next-token distributions differ by a KL of "
        f"{difference.mean_kl:.2g} on average and {difference.max_kl:.2g} at most ({difference.num_tokens:,} tokens)"
    )
    return run.merged_folder, difference.row()


def _held_out(run: StageRun, recipe: Recipe, store: Store, tokenizer: PreTrainedTokenizerBase) -> list[HeldOut]:
    """Of the run whose mix the stage reads: a neighbour's documents are its own."""
    settings = run.settings
    if settings.held_out_updates is None or settings.held_out_tokens == 0:
        return []
    owner = run.mix.folder.parent.parent
    try:
        owned = store if owner == store.root else open_reader(owner)
    except StoreError:  # shards that were copied here without their run
        return []
    return find_held_out(
        owned,
        run.mix.seed,
        tokenizer,
        seq_tokens=settings.seq_tokens,
        max_tokens=settings.held_out_tokens,
        tag=settings.document_tag,
    )


def _update(trainer: Trainer, recorder: Recorder) -> Callable[[int], Done]:
    def do(number: int) -> Done:
        recorder.take(number, trainer.update(number))
        return Done({})

    return do


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


def _warnings(run: StageRun, recipe: Recipe, plan: Plan, team: Team, held_out: list[HeldOut]) -> Iterator[str]:
    settings = run.settings
    low, high = SANE_RATES["full" if recipe.train.lora is None else "lora"]
    if not low <= settings.learning_rate <= high:
        yield (
            f"has a learning_rate of {settings.learning_rate:g}; {low:g} to {high:g} is usual for "
            f"{'all weights' if recipe.train.lora is None else 'an adapter'}"
        )
    for reason, sources in plan.segments.dropped.items():
        if sources:
            yield f"leaves out {len(sources)} chats: {reason} (such as {sources[0]})"
    if len(plan.updates) < FEW_UPDATES:
        yield (
            f"has {len(plan.updates)} updates, fewer than {FEW_UPDATES}: too few look like no effect; give it more "
            "data or a smaller batch_tokens"
        )
    fewest = min(len(rows) for rows in plan.updates)
    if fewest < team.size:
        yield (
            f"has updates of {fewest} rows for {team.size} processes: some wait for nothing; give it a larger "
            "batch_tokens or a smaller seq_tokens"
        )
    if settings.keep == "best" and not held_out:
        yield "keeps its last weights, not its best: the run has no held-out documents to measure"
    if run.mix.kind == "chats" and uses_plain_template(recipe.train):
        yield f"writes chats in Specmill's plain template: {recipe.train.model} has none of its own"
    if team.device.type == "cpu" and precision_of(recipe.train) == "bf16" and bf16_slowdown() > SLOW_BF16:
        yield (
            "computes in bf16, in which this processor is slower than in fp32; to train faster here: "
            "-o train.precision=fp32"
        )
