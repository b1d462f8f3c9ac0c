"""The section `train`: base model, adapter, stages."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from corpus.recipe.base import ModelName, RecipePath, Section, Settings, StageName


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
    epochs: PositiveInt | None = None
    """Passes over the data (paper: 1). null: one, or as many as `updates` takes."""
    updates: PositiveInt | None = None
    """Updates, instead of epochs: passes over the data go on until so many are done (updates)."""
    parent: Literal["continue", "merge"] = "continue"
    """What a stage does with the adapter of the stage before it: trains it further (paper), or merges it into the base
    model in fp32 and trains a new one."""
    learning_rate: PositiveFloat = 1e-4
    """Peak learning rate (paper: 1e-4)."""
    seq_tokens: PositiveInt = 2048
    """Longest row (tokens)."""
    batch_tokens: PositiveInt = 1024
    """Tokens of one update, at least one row (tokens; unstated in the paper)."""
    document_tag: str = ""
    """Text put before every document and not learned, such as a tag that says that a document follows. Empty: none
    (the paper names none)."""
    answers: Literal["all", "last", "each"] = "all"
    """Which assistant turns of a chat are learned: all of them in one sequence, the last alone, or each in a sequence
    of its own after what came before it (for templates that drop earlier thoughts)."""
    over_long: Literal["drop", "refuse"] = "drop"
    """What becomes of a chat longer than `seq_tokens`: it is left out and counted, or the stage does not start. No chat
    is ever cut."""
    warmup_fraction: float = Field(0.05, ge=0, lt=1)
    """Share of the updates with a rising learning rate (paper: 0.05)."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay (paper: 0.01)."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm (unstated in the paper; 1.0 by every replication)."""
    checkpoint_updates: PositiveInt = 50
    """Updates between two resumable checkpoints (updates)."""
    keep_last: PositiveInt = 1
    """Resumable checkpoints kept while a stage trains, newest first; one that the disk damaged is passed over."""
    held_out_updates: PositiveInt | None = 50
    """Updates between two measurements of the loss on documents that no mix may hold; the stage's beginning and end are
    measured too. null: never (updates)."""
    held_out_tokens: NonNegativeInt = 4096
    """Tokens that such a measurement reads at most, as many of each genre (tokens)."""
    keep: Literal["last", "best"] = "last"
    """Which weights the stage ends with: those of its last update, or those with the lowest held-out loss."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.updates is not None:
            raise ValueError(f"epochs ({self.epochs}) and updates ({self.updates}) are both given; leave one out")
        if self.keep == "best" and self.held_out_updates is None:
            raise ValueError("keep: best needs held_out_updates, which is null; give a number of updates")
        return self


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
    chat_template: RecipePath | None = None
    """A file with the Jinja template of chats. null: the tokenizer's own, and where it has none (base models) a plain
    one of Specmill's; either is saved with each checkpoint."""
    template_options: Settings = Field({})
    """Options of the chat template, such as `enable_thinking: false`; written into the template that is saved."""
    recompute: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, about a third more time."""
    stages: dict[StageName, StageSettings] = Field({})
    """The stages that arms are made of."""

    @model_validator(mode="after")
    def _adapters_merge(self) -> Self:
        merging = [name for name, stage in self.stages.items() if stage.parent == "merge"]
        if self.lora is None and merging:
            raise ValueError(
                f"stages.{merging[0]}.parent is merge, and with lora: null there is no adapter to merge; give continue"
            )
        return self
