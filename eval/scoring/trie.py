"""Log-probabilities of token sequences, with every shared beginning computed once and no padding.

A row is a trie: its nodes are tokens, and a token attends to its ancestors alone. Two options of one question, or
two questions behind one system prompt, thus share their beginning inside a single forward pass. Rows that hold one
sequence need no mask and go through the model's own causal attention, which is also how models are scored that a
trie does not suit.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

SOFTMAX_POSITIONS = 256
"""Positions whose logits are widened to fp32 at a time: 50 MB at a vocabulary of 50,000."""
PROBE_NATS_FP32, PROBE_NATS_HALF = 1e-4, 1.0
"""How far a trie's sum over nine tokens may be from one sequence at a time before it counts as wrong (nats). A token
that sees a neighbour's branch moves it by whole nats in a trained model; rounding moves it by 1e-5 in fp32 and by some
tenths in bf16."""


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """Tokens of which the first few are given and the others are scored."""

    token_ids: tuple[int, ...]
    """Given tokens, then scored ones; the last is never fed to the model."""
    num_given: int
    """At least 1: a first token is scored behind a given one."""


@dataclass(slots=True)
class Row:
    """The trie of one forward pass."""

    token_ids: list[int] = field(default_factory=list)
    """Token of each node (T)."""
    depths: list[int] = field(default_factory=list)
    """Number of its ancestors, which is its position id (T)."""
    paths: list[list[int]] = field(default_factory=list)
    """Nodes from the root to the last fed token, for each sequence."""
    members: list[int] = field(default_factory=list)
    """Which sequence each path is: its index in the caller's order."""

    def add(self, member: int, fed: Sequence[int], num_shared: int) -> None:
        """Add a sequence whose first `num_shared` tokens are those of the one added before."""
        first = len(self.token_ids)
        path = self.paths[-1][:num_shared] if num_shared else []
        self.paths.append(path + list(range(first, first + len(fed) - num_shared)))
        self.members.append(member)
        self.token_ids.extend(fed[num_shared:])
        self.depths.extend(range(num_shared, len(fed)))


def log_probs(model: PreTrainedModel, sequences: Sequence[TokenSequence], max_batch_tokens: int) -> list[float]:
    """The sum of the log-probabilities of each sequence's scored tokens (nats), in the caller's order.

    A forward pass holds at most `max_batch_tokens` tokens, or one sequence that is longer than that. Memory: its
    logits in the model's dtype at the scored positions, and `SOFTMAX_POSITIONS` of them in fp32.
    """
    scored: dict[int, float] = {}
    for row in pack_rows(sequences, max_batch_tokens, longest_shareable(model)):
        scored.update(_score_row(model, row, sequences))
    return [scored[index] for index in range(len(sequences))]


def pack_rows(sequences: Sequence[TokenSequence], max_batch_tokens: int, longest: int) -> list[Row]:
    """Put sequences into rows; those longer than `longest` stand alone.

    In lexicographic order the neighbour before shares the longest beginning of all before, so a trie needs only it.
    """
    rows: list[Row] = []
    row = Row()
    previous: tuple[int, ...] = ()
    for index in sorted(range(len(sequences)), key=lambda i: sequences[i].token_ids):
        fed = sequences[index].token_ids[:-1]
        if len(fed) > longest:
            alone = Row()
            alone.add(index, fed, 0)
            rows.append(alone)
            continue
        shared = _num_shared(previous, fed)
        if row.members and len(row.token_ids) + len(fed) - shared > max_batch_tokens:
            rows.append(row)
            row, shared = Row(), 0
        row.add(index, fed, shared)
        previous = fed
    return [*rows, row] if row.members else rows


def longest_shareable(model: PreTrainedModel) -> int:
    """The longest sequence that a trie scores as the model itself would (tokens); 0 if none.

    A sliding window is not in our mask, so it bounds the length. Whether the model honours mask and positions at all
    is measured on it once, because a model that does not would still give plausible numbers.
    """
    if model not in _SHAREABLE:
        _SHAREABLE[model] = _window_tokens(model) if _trie_is_exact(model) else 0
    return _SHAREABLE[model]


_SHAREABLE: WeakKeyDictionary[PreTrainedModel, int] = WeakKeyDictionary()


def _window_tokens(model: PreTrainedModel) -> int:
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    return window if window and getattr(config, "use_sliding_window", True) else sys.maxsize


def _trie_is_exact(model: PreTrainedModel) -> bool:
    """Two branches behind one beginning, in a trie and one at a time."""
    import torch

    config = model.config.get_text_config()
    if not getattr(config, "num_attention_heads", None):
        return False
    token = [(7 * place + 3) % config.vocab_size for place in range(24)]
    branches = [TokenSequence((*token[:6], *tail), 6) for tail in (token[6:15], token[15:24])]
    (together,) = pack_rows(branches, len(token), len(token))
    try:
        in_trie = _score_row(model, together, branches)
    except (TypeError, ValueError):  # a model that takes no such mask, such as Bloom
        return False
    alone = [_score_row(model, row, branches) for row in pack_rows(branches, 1, 0)]
    tolerance = PROBE_NATS_FP32 if model.dtype == torch.float32 else PROBE_NATS_HALF
    return all(abs(one[i] - in_trie[i]) <= tolerance for one in alone for i in one)


def _num_shared(first: Sequence[int], second: Sequence[int]) -> int:
    shorter = min(len(first), len(second))
    return next((i for i in range(shorter) if first[i] != second[i]), shorter)


def _score_row(model: PreTrainedModel, row: Row, sequences: Sequence[TokenSequence]) -> dict[int, float]:
    """Nats of the row's sequences, by their index."""
    import torch

    places: list[int] = []
    targets: list[int] = []
    counts: list[int] = []
    for member, path in zip(row.members, row.paths, strict=True):
        sequence = sequences[member]
        places.extend(path[sequence.num_given - 1 :])
        targets.extend(sequence.token_ids[sequence.num_given :])
        counts.append(len(sequence.token_ids) - sequence.num_given)
    kept, inverse = torch.unique(torch.tensor(places), return_inverse=True)
    with torch.inference_mode():
        logits = model(**_inputs(model, row), use_cache=False, logits_to_keep=kept.to(model.device)).logits[0]  # (K, V)
        normalisers = torch.cat([part.float().logsumexp(-1) for part in logits.split(SOFTMAX_POSITIONS)])
        where, target = inverse.to(logits.device), torch.tensor(targets, device=logits.device)
        nats = (logits[where, target].float() - normalisers[where]).double().cpu()
    return {member: float(part.sum()) for member, part in zip(row.members, nats.split(counts), strict=True)}


def _inputs(model: PreTrainedModel, row: Row) -> dict[str, torch.Tensor]:
    """Tokens, and for a trie its positions and mask: additive, because eager attention adds it."""
    import torch

    token_ids = torch.tensor([row.token_ids], device=model.device)
    if len(row.members) == 1:
        return {"input_ids": token_ids}
    size = len(row.token_ids)
    mask = torch.full((size, size), torch.finfo(model.dtype).min, dtype=model.dtype)
    for path in row.paths:
        nodes = torch.tensor(path)
        later, earlier = torch.tril_indices(len(path), len(path))
        mask[nodes[later], nodes[earlier]] = 0
    positions = torch.tensor([row.depths], device=model.device)
    return {"input_ids": token_ids, "position_ids": positions, "attention_mask": mask[None, None].to(model.device)}
