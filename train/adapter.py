"""What a stage trains: a new adapter, its parent's adapter, or all weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from corpus.errors import TrainingError
from corpus.recipe import Lora, Train
from corpus.store.identity import draw
from train.model import ADAPTER_FILE, BASE_FOLDER, load_base

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All projections of attention and MLP (paper: LoRA on these seven)."""


def load_trainable(
    train: Train, parent: Path | None, seed: int, base: Path | None = None
) -> tuple[PreTrainedModel, PeftModel | None]:
    """What a stage trains: the causal model, and the adapter around its layers (None: all weights are trained).

    Without the folder of a `parent` a new adapter is drawn from `seed`; with one its adapter is continued. Either
    stands on the recipe's base model, or on the merged one in the folder `base`.

    Raises:
        TrainingError: the parent is no adapter where the recipe asks for one (or the other way round), has another
            shape than `train.lora` says, or did not load bit for bit.
    """
    if parent is not None and (parent / ADAPTER_FILE).is_file() != (train.lora is not None):
        raise TrainingError(
            f"{parent} and train.lora ({train.lora}) do not go together: one is an adapter, the other all weights; "
            "train the chain's first stage again with this recipe"
        )
    if train.lora is None:
        return load_base(train, parent, frozen=False), None
    model = load_base(train, base, frozen=True)
    adapter = _new_adapter(model, train, train.lora, seed) if parent is None else _continued(model, parent, train.lora)
    # The name in the recipe, not the folder on this machine that it stands for. On a merged model it names the folder
    # that comes with it: the recipe's model would load without a word, and lack what was merged.
    adapter.peft_config["default"].base_model_name_or_path = train.model if base is None else BASE_FOLDER
    return model, adapter


def _new_adapter(model: PreTrainedModel, train: Train, lora: Lora, seed: int) -> PeftModel:
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=cast(int, lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=list(PROJECTIONS) if names >= set(PROJECTIONS) else "all-linear",
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw("adapter", seed))
        adapter = get_peft_model(model, config, autocast_adapter_dtype=True)
    return cast(PeftModel, adapter)


def _continued(model: PreTrainedModel, parent: Path, lora: Lora) -> PeftModel:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    adapter = PeftModel.from_pretrained(model, str(parent), is_trainable=True, autocast_adapter_dtype=True)
    config = adapter.peft_config["default"]
    if (config.r, config.lora_alpha, config.lora_dropout) != (lora.rank, lora.alpha, lora.dropout):
        raise TrainingError(
            f"{parent} holds an adapter of rank {config.r}, alpha {config.lora_alpha}, dropout {config.lora_dropout}, "
            f"the recipe asks for {lora.rank}, {lora.alpha}, {lora.dropout}; train the chain's first stage again"
        )
    loaded, saved = get_peft_model_state_dict(adapter, save_embedding_layers=False), load_file(parent / ADAPTER_FILE)
    differing = [name for name in loaded.keys() | saved.keys() if not _same(loaded.get(name), saved.get(name))]
    if differing or not any(parameter.requires_grad for parameter in adapter.parameters()):
        raise TrainingError(f"the adapter in {parent} did not load as it was saved ({sorted(differing)[:3]}...)")
    return adapter


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    import torch

    return one is not None and other is not None and one.dtype == other.dtype and torch.equal(one, other)
