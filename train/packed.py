"""The model as training calls it: one module whose forward takes a packed row.

Hooks of data parallelism and of sharding run where a module's own forward is called; so the proof of attention, the
held-out loss and the updates all go through this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch

from train.attention import hidden_states
from train.loss import cross_entropy_sum

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PackedModel(torch.nn.Module):
    """A causal model, its adapter inside, over one packed row."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Wrap `model`; its parameters stay its own."""
        super().__init__()
        self.model = model
        # Where accelerate looks for the kind of module that sharding cuts at.
        self._no_split_modules = getattr(model, "_no_split_modules", None)

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        lengths: Sequence[int],
        labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Summed cross-entropy (nats, fp32 scalar) of a row; without `labels` its hidden states [row_tokens, width].

        Tensors are [row_tokens], `lengths` those of its segments (tokens).
        """
        hidden = hidden_states(self.model, input_ids, position_ids, lengths)
        if labels is None:
            return hidden
        return cross_entropy_sum(hidden, cast(torch.nn.Module, self.model.get_output_embeddings()), labels)
