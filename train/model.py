"""Loading the base model, putting an adapter on it, and loading what was trained.

One policy of precision: forward and backward run in `train.precision`; whatever is trained, and its moments, are fp32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from corpus.errors import SetupError, TrainingError
from corpus.hardware import cpu_multiplies_bf16
from corpus.models import base_hash, model_folder
from corpus.recipe import Lora, Train
from corpus.store.identity import content_id, draw, file_id

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All projections of attention and MLP (paper: LoRA on these seven)."""
ADAPTER_FILE = "adapter_model.safetensors"
_TEXT_FILES = ("tokenizer*", "special_tokens_map.json", "vocab.*", "merges.txt", "chat_template*", "generation_*")


@dataclass(frozen=True)
class Compute:
    """Where and how precisely forward and backward run."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """The context that forward passes run in; nothing is cast in fp32."""
        import torch

        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def choose_compute(train: Train) -> Compute:
    """The accelerator of this process if there is one, else the CPU; the recipe's precision."""
    import torch
    from accelerate import PartialState

    return Compute(PartialState().device, torch.bfloat16 if precision_of(train) == "bf16" else torch.float32)


def precision_of(train: Train) -> Literal["bf16", "fp32"]:
    """The recipe's precision; `auto` is bf16 on an accelerator and on a CPU that has instructions for it."""
    from accelerate import PartialState

    if train.precision != "auto":
        return train.precision
    return "bf16" if PartialState().device.type != "cpu" or cpu_multiplies_bf16() else "fp32"


def bf16_slowdown() -> float:
    """How many times as long a matrix product in bf16 takes as one in fp32 on this CPU, measured now (some ms).

    Processors without bf16 instructions emulate it, and then the precision that saves time elsewhere costs it.
    """
    import time

    import torch

    def seconds(dtype: torch.dtype) -> float:
        matrix = torch.ones(384, 384, dtype=dtype)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            torch.mm(matrix, matrix)
            times.append(time.perf_counter() - began)
        return min(times)

    return seconds(torch.bfloat16) / seconds(torch.float32)


def base_identity(train: Train) -> str:
    """Hash of the base model and of what turns text into its tokens and back."""
    folder = model_folder(train.model, train.revision)
    if isinstance(folder, str):
        return content_id("base", folder, train.revision)
    files = sorted({path for pattern in _TEXT_FILES for path in folder.glob(pattern)})
    return content_id("base", base_hash(folder), [(path.name, file_id(path)) for path in files])


def load_tokenizer(train: Train) -> PreTrainedTokenizerBase:
    """The base model's tokenizer, as it comes.

    Raises:
        SetupError: it is not there.
    """
    from transformers import AutoTokenizer

    folder = model_folder(train.model, train.revision)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, revision=train.revision, trust_remote_code=train.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise SetupError(f"the tokenizer of {train.model} does not load: {error}") from error
    return cast("PreTrainedTokenizerBase", tokenizer)


def load_base(train: Train, weights: Path | None = None, *, frozen: bool) -> PreTrainedModel:
    """The base model on the CPU, or the one in the folder `weights`; frozen weights take the computing precision.

    Raises:
        SetupError: it is not there.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # a door never prints
    folder = weights or model_folder(train.model, train.revision)
    dtype = torch.bfloat16 if frozen and precision_of(train) == "bf16" else torch.float32
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            revision=train.revision if weights is None else None,
            trust_remote_code=train.trust_remote_code,
            dtype=dtype,
            attn_implementation="sdpa",
        )
    except (OSError, ValueError) as error:
        raise SetupError(f"the model {train.model} does not load from {folder}: {error}") from error
    model.requires_grad_(not frozen)
    return cast("PreTrainedModel", model)


def load_trainable(train: Train, parent: Path | None, seed: int) -> tuple[PreTrainedModel, PeftModel | None]:
    """What a stage trains: the causal model, and the adapter around its layers (None: all weights are trained).

    A first stage gets a new adapter, drawn from `seed`; a later one continues that of the folder `parent`.

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
    model = load_base(train, frozen=True)
    adapter = _new_adapter(model, train, train.lora, seed) if parent is None else _continued(model, parent, train.lora)
    return model, adapter


def stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens at which generation stops: the tokenizer's eos and those of the model's generation config."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(token_id for token_id in [*ids, tokenizer.eos_token_id] if token_id is not None)


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
    # The name in the recipe, not the folder on this machine that it stands for.
    adapter.peft_config["default"].base_model_name_or_path = train.model
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
