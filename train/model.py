"""Loading the base model, putting an adapter on it, and loading what was trained.

One policy of precision: forward and backward run in `train.precision`; whatever is trained, and its moments, are fp32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from corpus.chat_template import apply_template, has_plain_template, template_identity
from corpus.errors import SetupError
from corpus.hardware import cpu_multiplies_bf16
from corpus.models import base_hash, model_folder
from corpus.recipe import Train
from corpus.store.identity import content_id, file_id

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER_FILE = "adapter_model.safetensors"
BASE_FOLDER = "base"
"""Inside a checkpoint whose adapter stands on a merged model: that model."""
_TEXT_FILES = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model", "chat_template*",
    "additional_chat_templates/*", "generation_*",
)  # fmt: skip


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
    """Hash of the base model and of what turns text into its tokens and back.

    Raises:
        SetupError: it is not there.
    """
    folder = model_folder(train.model, train.revision)
    if isinstance(folder, str):
        return content_id("base", folder, train.revision)
    files = sorted({path for pattern in _TEXT_FILES for path in folder.glob(pattern)})
    return content_id("base", base_hash(folder), [(path.name, file_id(path)) for path in files])


def template_hash(train: Train) -> str:
    """Hash of what turns chats into text besides the base model's own files: of the recipe's template and options.

    Raises:
        SetupError: the chat template that the recipe names is not there, or an option cannot be.
    """
    return content_id("template", template_identity(train, model_folder(train.model, train.revision)))


def load_tokenizer(train: Train) -> PreTrainedTokenizerBase:
    """The base model's tokenizer, with the chat template that the recipe says.

    Raises:
        SetupError: it, or the chat template, is not there; or template options that cannot be.
    """
    from transformers import AutoTokenizer

    folder = model_folder(train.model, train.revision)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, revision=train.revision, trust_remote_code=train.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise SetupError(f"the tokenizer of {train.model} does not load: {error}") from error
    loaded = cast("PreTrainedTokenizerBase", tokenizer)
    apply_template(train, loaded)
    return loaded


def uses_plain_template(train: Train) -> bool:
    """Whether the base model has no chat template and the recipe names none, so that chats get Specmill's plain one.

    Raises:
        SetupError: as `load_tokenizer`.
    """
    return has_plain_template(load_tokenizer(train))


def load_base(train: Train, weights: Path | None = None, *, frozen: bool) -> PreTrainedModel:
    """The base model on the CPU, or the one in the folder `weights`; frozen weights take the computing precision.

    It attends in transformers' own way; training changes that (see `train.attention`).

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


def stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens at which generation stops: the tokenizer's eos and those of the model's generation config."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(token_id for token_id in [*ids, tokenizer.eos_token_id] if token_id is not None)
