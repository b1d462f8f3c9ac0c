"""The section `train`: base model, adapter, stages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from corpus.recipe.base import ModelName, Section, StageName


class Lora(Section):
    """A low-rank adapter instead of all weights."""

    rank: PositiveInt = 64
    """Rank (paper: 64)."""
    alpha: PositiveFloat = 128.0
    """Scale is alpha / rank (paper: 128)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input (paper: 0)."""


class StageSettings(Section):
    """One stage of training."""

    data: str
    """The mix it trains on."""
    epochs: PositiveInt = 1
    """Passes over the data (paper: 1)."""
    learning_rate: PositiveFloat = 1e-4
    """Peak learning rate (paper: 1e-4)."""
    seq_tokens: PositiveInt = 2048
    """Longest row (tokens)."""
    batch_tokens: PositiveInt = 1024
    """Tokens of one update, at least one row (tokens; unstated in the paper)."""
    warmup_fraction: float = Field(0.05, ge=0, lt=1)
    """Share of the updates with a rising learning rate (paper: 0.05)."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay (paper: 0.01)."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm (unstated in the paper; 1.0 by every replication)."""
    checkpoint_updates: PositiveInt = 50
    """Updates between two resumable checkpoints (updates)."""


class Train(Section):
    """What is trained, and how."""

    model: ModelName = "builtin:smollm2-135m"
    """The base model: a hub id, a folder, or a builtin. Its tokenizer counts every `num_tokens`."""
    revision: str | None = None
    """The hub revision (commit) of the base model."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may run here."""
    lora: Lora | None = Lora()
    """null: full fine-tuning."""
    seeds: list[NonNegativeInt] = Field([0], min_length=1)
    """Training seeds: each arm is trained once with each."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of forward and backward; adapters and moments stay in fp32. `auto`: bf16 where the machine
    multiplies in it, else fp32."""
    stages: dict[StageName, StageSettings] = Field({})
    """The stages that arms are made of."""
