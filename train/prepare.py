"""Everything of a stage before its first update: model, proofs, tokens, rows, held-out documents, warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from corpus.errors import StoreError
from corpus.recipe import Recipe
from corpus.stage import Progress
from corpus.store import Store, open_reader
from corpus.store.identity import content_id
from train.adapter import load_trainable
from train.attention import proof_states, use_packed_attention
from train.checkpoint import check_parent, read_manifest
from train.held_out import HeldOut, find_held_out
from train.loss import check_loss
from train.memory import check_memory
from train.merge import base_of, first_texts, merge
from train.model import (
    Compute,
    bf16_slowdown,
    choose_compute,
    load_tokenizer,
    precision_of,
    stop_ids,
    template_hash,
    uses_plain_template,
)
from train.packed import PackedModel
from train.plan import Plan, make_plan
from train.runs import TRAIN_CODE_VERSION, StageRun
from train.segments import Segment, Segments, open_segments, write_segments
from train.team import Team
from train.texts import chat_segments, check_vocabulary, document_segments

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FEW_UPDATES = 100
"""Below this many updates a stage warns: one replication with fewer took "too little training" for "no effect"."""
SANE_RATES = {"full": (1e-7, 1e-3), "lora": (1e-6, 1e-2)}
"""Learning rates that are usual, lowest and highest (ours; an adapter takes about ten times as much as all weights do:
'LoRA Without Regret', 2025)."""
SLOW_BF16 = 1.2
"""From this slowdown on (measured) a stage on the CPU says that fp32 would be faster."""
TOKENS = "tokens"
"""The folder of tokenized data, below the run's."""


@dataclass(frozen=True)
class Ready:
    """A stage that can begin, or go on."""

    model: PreTrainedModel
    adapter: PeftModel | None
    """None: all weights are trained."""
    tokenizer: PreTrainedTokenizerBase
    compute: Compute
    base: Path | None
    """The merged model that the adapter stands on; None: the recipe's base model."""
    merged: Mapping[str, object] | None
    """How merging the parent changed it; None: nothing was merged for this stage."""
    parent_manifest: str | None
    """Hash of the manifest of the checkpoint before it."""
    attention: str
    alone: torch.Tensor
    """What the proof of attention compares with; see `train.attention.proof_states`."""
    plan: Plan
    held_out: Sequence[HeldOut]

    @property
    def held_out_hash(self) -> str:
        """Hash of what is measured while it trains."""
        return content_id("held_out", [(one.genre, one.num_texts, one.target_tokens) for one in self.held_out])


def prepare_stage(run: StageRun, recipe: Recipe, store: Store, team: Team, progress: Progress) -> Ready:
    """Load, prove, tokenize and plan; the first process of `team` writes what others read, and says what is to be said.

    Raises:
        TrainingError: a parent that does not fit, a model that cannot train on packed rows, data that cannot be
            learned, a row that does not fit into memory.
    """
    parent, train = run.parent, recipe.train
    parent_manifest = check_parent(parent.folder, run.base_hash, parent.stage_hash) if parent else None
    tokenizer, compute = load_tokenizer(train), choose_compute(train)
    base, merged = team.from_first(lambda: _base(run, recipe, tokenizer, progress))
    continued = parent.folder if parent and merged is None else None
    model, adapter = load_trainable(train, continued, run.seed, base)
    check_vocabulary(tokenizer, model.get_input_embeddings().weight.shape[0], run.settings.document_tag)
    if train.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if not team.is_sharded:
        model.to(team.device)
    with replace(compute, device=model.device).autocast():  # what is to be sharded is still on the CPU
        check_loss(model)
        alone = proof_states(model)
    attention = use_packed_attention(model, compute)

    stops = stop_ids(model, tokenizer)
    team.from_first(lambda: _tokenize(run, recipe, tokenizer, stops))
    segments = open_segments(_tokens_folder(run, recipe, stops))
    assert segments is not None, "the first process has just written or checked them"
    plan = make_plan(segments, run.settings, run.seed, run.stage)
    held_out = team.from_first(lambda: _held_out(run, store, tokenizer))
    progress.note(f"{run.scope}: {plan.describe()}; attention: {attention}")
    for warning in _warnings(run, recipe, plan, team, held_out):
        progress.note(f"{run.scope} {warning}")
    if not team.is_sharded:
        check_memory(PackedModel(model), plan, compute, run.stage)
    return Ready(model, adapter, tokenizer, compute, base, merged, parent_manifest, attention, alone, plan, held_out)


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
    template = template_hash(recipe.train) if run.mix.kind == "chats" else None
    name = content_id("tokens", TRAIN_CODE_VERSION, run.base_hash, template, run.mix.data_hash, keys, sorted(stops))
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
    manifest = read_manifest(run.merged_folder)
    if manifest is None or manifest["stage_hash"] != run.stage_hash:
        prompts, about = first_texts(run.parent.mix, tokenizer), {"stage_hash": run.stage_hash}
        folder, compute = run.merged_folder, choose_compute(recipe.train)
        found = merge(recipe.train, run.parent.folder, folder, prompts, compute, about)
        progress.note(
            f"{run.scope}: merged {run.parent.chain} into the base; next-token distributions differ by a KL of "
            f"{found.mean_kl:.2g} on average and {found.max_kl:.2g} at most ({found.num_tokens:,} tokens)"
        )
        return folder, found.row()
    return run.merged_folder, cast("dict[str, object]", manifest["difference"])


def _held_out(run: StageRun, store: Store, tokenizer: PreTrainedTokenizerBase) -> list[HeldOut]:
    """Of the run whose mix the stage reads: a neighbour's documents are its own."""
    settings = run.settings
    if settings.held_out_updates is None or not settings.held_out_tokens:
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
