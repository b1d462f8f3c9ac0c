"""An adapter merged into the model it stands on, in fp32, and how far the result is from the two apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from corpus.errors import TrainingError
from corpus.recipe import Train
from train.checkpoint import write_folder, write_manifest
from train.model import ADAPTER_FILE, BASE_FOLDER, Compute, load_base, load_tokenizer
from train.shards import Mix

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NUM_PROMPTS, PROMPT_TOKENS = 64, 64
"""Texts, and tokens of each, that the difference is measured on."""


@dataclass(frozen=True)
class Difference:
    """Between the next-token distributions of a merged model, as saved, and of base and adapter apart in fp32."""

    num_prompts: int
    num_tokens: int
    """Positions that were compared."""
    max_logit_difference: float
    mean_kl: float
    """Of the merged model's distributions from the others' (nats)."""
    max_kl: float

    def row(self) -> dict[str, object]:
        """As columns."""
        return asdict(self)


def merge(
    train: Train,
    checkpoint: Path,
    folder: Path,
    prompts: Sequence[Sequence[int]],
    compute: Compute,
    about: Mapping[str, object],
) -> Difference:
    """Write base + adapter of `checkpoint` to `folder`, in the computing precision, as transformers and vLLM load it.

    The sum is taken in fp32, on the CPU where the accelerator has no room for it; `prompts` are token ids to measure
    the difference on. A manifest says what it is: `about`, the difference, and every file's hash.

    Raises:
        TrainingError: the checkpoint holds no adapter, or there is no prompt.
        StoreError: the disk is full.
    """
    import torch

    if not (checkpoint / ADAPTER_FILE).is_file():
        raise TrainingError(f"{checkpoint} holds all weights, and no adapter that could be merged; use it as it is")
    if not prompts:
        raise TrainingError(f"there is no text to compare the merged model with that of {checkpoint} on")
    try:
        merged, difference = _merged(train, checkpoint, prompts, compute)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        merged, difference = _merged(train, checkpoint, prompts, replace(compute, device=torch.device("cpu")))
    tokenizer = load_tokenizer(train)

    def fill(temporary: Path) -> None:
        merged.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        write_manifest(temporary, {**about, "difference": difference.row()})

    write_folder(folder, fill)
    return difference


def _merged(
    train: Train, checkpoint: Path, prompts: Sequence[Sequence[int]], compute: Compute
) -> tuple[PreTrainedModel, Difference]:
    from peft import PeftModel

    in_fp32 = train.model_copy(update={"precision": "fp32"})
    model = load_base(in_fp32, base_of(checkpoint), frozen=True).to(compute.device)
    adapter = PeftModel.from_pretrained(cast("torch.nn.Module", model), str(checkpoint)).eval()
    apart = _logits(adapter, prompts)
    merged = cast("PreTrainedModel", adapter.merge_and_unload(safe_merge=True)).to(compute.dtype)
    return merged, _difference(apart, _logits(merged, prompts))


def first_texts(mix: Mix, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids of the beginnings of a mix's first texts: documents, or the last answers of chats."""
    texts = (text for _, text in mix.documents()) if mix.kind == "documents" else _answers(mix)
    beginnings = (tokenizer(text, verbose=False)["input_ids"][:PROMPT_TOKENS] for text in texts)
    return list(islice((ids for ids in beginnings if ids), NUM_PROMPTS))


def _answers(mix: Mix) -> Iterator[str]:
    return (messages[-1]["content"] for _, messages in mix.chats())


def base_of(checkpoint: Path | None) -> Path | None:
    """The merged model that a checkpoint's adapter stands on; None: it stands on the recipe's base model."""
    folder = checkpoint / BASE_FOLDER if checkpoint else None
    return folder if folder and folder.is_dir() else None


def _logits(model: torch.nn.Module, prompts: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Logits [tokens, vocabulary] of each prompt, in fp32 on the CPU."""
    import torch

    device = next(model.parameters()).device
    with torch.no_grad():
        return [
            model(input_ids=torch.tensor([list(ids)], device=device), use_cache=False).logits[0].float().cpu()
            for ids in prompts
        ]


def _difference(apart: Sequence[torch.Tensor], merged: Sequence[torch.Tensor]) -> Difference:
    import torch

    largest, divergences = 0.0, []
    for one, other in zip(apart, merged, strict=True):
        largest = max(largest, float((one - other).abs().max()))
        log_p, log_q = one.double().log_softmax(-1), other.double().log_softmax(-1)
        divergences.append((log_p.exp() * (log_p - log_q)).sum(-1))
    kl = torch.cat(divergences)
    return Difference(len(apart), len(kl), largest, float(kl.mean()), float(kl.max()))
