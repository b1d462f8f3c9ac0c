"""Cross-entropy of the predicted tokens, in chunks: the logits of a whole row over a large vocabulary never exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from corpus.errors import TrainingError
from train.plan import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CHUNK_TOKENS = 1024
"""Predicted tokens whose logits exist at a time: 0.5 GB in fp32 for a vocabulary of 128,000."""
_TOLERANCE = 0.02
"""Share of the loss by which bf16 logits may differ between two ways of computing them."""


def cross_entropy_sum(
    hidden: torch.Tensor, head: torch.nn.Module, labels: torch.Tensor, chunk_tokens: int = CHUNK_TOKENS
) -> torch.Tensor:
    """Summed cross-entropy (nats, fp32 scalar) of a row: `hidden` [row_tokens, width], `labels` [row_tokens].

    The label at t is predicted from the hidden state at t - 1; IGNORED ones are skipped before the head. Beyond one
    chunk, logits are computed again in the backward pass instead of kept.
    """
    places = (labels[1:] != IGNORED).nonzero()[:, 0]
    predicting, targets = hidden[:-1][places], labels[1:][places]

    def chunk_sum(some_hidden: torch.Tensor, some_targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(head(some_hidden).float(), some_targets, reduction="sum")

    if len(places) <= chunk_tokens:
        return chunk_sum(predicting, targets)
    sums = [
        cast(torch.Tensor, checkpoint(chunk_sum, *chunk, use_reentrant=False, preserve_rng_state=False))
        for chunk in zip(torch.split(predicting, chunk_tokens), torch.split(targets, chunk_tokens), strict=True)
    ]
    return torch.stack(sums).sum()


def check_loss(model: PreTrainedModel) -> None:
    """Prove that the head alone gives this model's logits: some architectures scale or cap them afterwards.

    Raises:
        TrainingError: the loss differs from that of the model's own logits.
    """
    vocab_size = model.get_input_embeddings().weight.shape[0]
    ids = torch.randint(vocab_size, (16,), generator=torch.Generator().manual_seed(1)).to(model.device)
    head = cast(torch.nn.Module, model.get_output_embeddings())
    was_training = model.training
    model.eval()
    with torch.no_grad():
        ours = float(cross_entropy_sum(model.base_model(ids[None], use_cache=False).last_hidden_state[0], head, ids))
        logits = model(input_ids=ids[None], use_cache=False).logits[0].float()
        theirs = float(functional.cross_entropy(logits[:-1], ids[1:], reduction="sum"))
    model.train(was_training)
    if not abs(ours - theirs) <= _TOLERANCE * theirs:
        raise TrainingError(
            f"{type(model).__name__} changes its logits after the output layer (a loss of {theirs:.4g} there, "
            f"{ours:.4g} here), which training does not do yet; choose a base of the Llama, Qwen or Mistral kind"
        )
