"""Whether the longest row of a plan fits into memory, told before an hour is lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import torch

from corpus.errors import TrainingError
from train.loss import CHUNK_TOKENS
from train.model import Compute
from train.packed import PackedModel
from train.plan import IGNORED, Plan

_PROBES = (64, 192)
"""Tokens of the two rows that are tried: what grows between them is of the tokens, the rest is there once."""


def check_memory(model: PackedModel, plan: Plan, compute: Compute, stage: str) -> None:
    """Refuse a plan whose longest row needs more memory than is free, by what a short row keeps for its backward pass.

    What is kept grows with the tokens, so that a probe of some tokens tells what a row of many takes (estimated).

    Raises:
        TrainingError: it does not fit; the message says to what `seq_tokens` could be lowered.
    """
    longest = max(plan.row_tokens)
    if compute.device.type not in ("cpu", "cuda") or longest <= _PROBES[-1]:
        return
    per_token, kept_once = kept_bytes(model, compute)
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    vocab_size = cast(torch.Tensor, model.model.get_output_embeddings().weight).shape[0]
    fixed = (
        kept_once + trained * 3 * 4 + min(longest, CHUNK_TOKENS) * vocab_size * 4 * 3
    )  # gradients, moments; logits, their own
    needed, free = per_token * longest + fixed, free_bytes(compute.device)
    if needed > free:
        fits = max(0, int((free - fixed) / per_token))
        raise TrainingError(
            f"a row of {longest:,} tokens needs about {needed / 2**30:.1f} GiB (estimated: {per_token / 2**20:.2f} MiB "
            f"a token), and {free / 2**30:.1f} GiB are free; lower train.stages.{stage}.seq_tokens to about "
            f"{fits:,}, or set train.recompute: true"
        )


def kept_bytes(model: PackedModel, compute: Compute) -> tuple[float, float]:
    """Bytes kept for the backward pass for each token of a row, and bytes kept whatever its length.

    The second are casts of weights: in bf16 those that are trained in fp32.
    """
    fewer, more = (_kept_bytes(model, compute, num_tokens) for num_tokens in _PROBES)
    per_token = (more - fewer) / (_PROBES[1] - _PROBES[0])
    return per_token, max(0.0, fewer - per_token * _PROBES[0])


def _kept_bytes(model: PackedModel, compute: Compute, num_tokens: int) -> int:
    seen: dict[int, int] = {}
    # Else two tensors could have had one address. Tensors themselves would hold the graph, which holds this function.
    alive: list[torch.UntypedStorage] = []
    weights = {value.untyped_storage().data_ptr() for value in model.parameters()}

    def keep(tensor: torch.Tensor) -> None:
        # Nothing comes back from here: a node that saved its own output would hold itself, and the model with it, for
        # ever. No backward pass follows that would ask for it.
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(storage)

    was_training = model.training
    model.train()
    device = next(model.parameters()).device
    ids, positions = torch.zeros(num_tokens, dtype=torch.long), torch.arange(num_tokens)
    labels = torch.full((num_tokens,), IGNORED)
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with forked, hooks, compute.autocast():
        model(ids.to(device), positions.to(device), [num_tokens], labels.to(device))
    model.train(was_training)
    return sum(seen.values())


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken (bytes)."""
    if device.type == "cuda":
        # What torch keeps for itself and does not use can be taken, too.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") + _reclaimable()


def _reclaimable() -> int:
    """Pages of files that the kernel would give up, on Linux (bytes)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    facts = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return max(0, facts.get("MemAvailable", 0) - facts.get("MemFree", 0))
