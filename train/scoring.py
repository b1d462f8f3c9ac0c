"""What was trained, for the eval room: finding it where it is what the recipe asks for, and loading it to score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from corpus.errors import TrainingError
from corpus.recipe import Recipe, Train
from corpus.store.identity import content_id
from train.checkpoint import read_manifest
from train.merge import base_of
from train.model import (
    ADAPTER_FILE,
    base_identity,
    choose_compute,
    load_base,
    load_tokenizer,
    precision_of,
    template_hash,
    uses_plain_template,
)
from train.runs import CHECKPOINTS, StageRun, deciding_settings, stage_runs

__all__ = ["find_trained", "load_for_scoring", "scoring_hash", "serve_trained", "uses_plain_template"]

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def find_trained(recipe: Recipe, run_folder: Path, chain: Sequence[str], seed: int) -> StageRun:
    """The last stage of `chain`, whose checkpoint is there and is what training by this recipe would give.

    `precision: auto` stands for what it was on the machine that trained it: a run may be evaluated on another.

    Raises:
        TrainingError: there is no whole checkpoint, its data are not there to compare with, or it was trained with
            other settings or data; the message says which.
    """
    folder = run_folder / CHECKPOINTS / "+".join(chain) / f"seed-{seed}"
    manifest = read_manifest(folder)
    if manifest is None:
        raise TrainingError(f"there is no whole checkpoint in {folder}")
    train = recipe.train.model_copy(update={"seeds": [seed]})
    if train.precision == "auto":
        train = train.model_copy(update={"precision": manifest["precision"]})
    asked = recipe.model_copy(update={"train": train})
    run = stage_runs(asked, run_folder, [tuple(chain[: length + 1]) for length in range(len(chain))])[-1]
    if manifest["stage_hash"] != run.stage_hash:
        differing = ", ".join(_differences(manifest, run, asked)) or "the stage before it, or Specmill's code"
        raise TrainingError(f"{folder} was trained otherwise than the recipe says: {differing}")
    return run


def _differences(manifest: Mapping[str, object], run: StageRun, asked: Recipe) -> Iterator[str]:
    was = cast("dict[str, object]", manifest["settings"])
    for key, value in deciding_settings(run.settings).items():
        if was.get(key) != value:
            yield f"train.stages.{run.stage}.{key} was {was.get(key)}, is {value}"
    train = asked.train.model_dump(mode="json", include={"lora", "precision"})
    yield from (
        f"train.{key} was {manifest[key]}, is {value}" for key, value in train.items() if manifest[key] != value
    )
    if manifest["base_hash"] != run.base_hash:
        yield "another base model"
    if run.mix.kind == "chats" and manifest["template_hash"] != template_hash(asked.train):
        yield "another chat template, or other options of it"
    if manifest["data_hash"] != run.mix.data_hash:
        yield f"the mix {run.settings.data} held other rows"


def load_for_scoring(
    recipe: Recipe, checkpoint: Path | None
) -> tuple[PreTrainedModel | PeftModel, PreTrainedTokenizerBase]:
    """The base model (`checkpoint` None) or what a stage trained, on this machine's device, ready to score.

    Beside an adapter the base model's weights are in `train.precision`; with `lora: null` all weights are fp32.

    Raises:
        SetupError: the model is not there.
    """
    tokenizer = load_tokenizer(recipe.train)
    is_adapter = checkpoint is not None and (checkpoint / ADAPTER_FILE).is_file()
    # Weights that training kept in fp32 are read in fp32: rounding them would undo small updates.
    in_fp32 = _scoring_precision(recipe.train) == "fp32"
    model: PreTrainedModel | PeftModel = load_base(
        recipe.train, base_of(checkpoint) if is_adapter else checkpoint, frozen=not in_fp32
    )
    if checkpoint is not None and is_adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(cast("torch.nn.Module", model), str(checkpoint))
    return model.requires_grad_(False).to(choose_compute(recipe.train).device).eval(), tokenizer


def serve_trained(recipe: Recipe, checkpoint: Path | None, folder: Path) -> tuple[str, Path | None, Path]:
    """The model, adapter and tokenizer by which an engine serves the base model (`checkpoint` None) or a stage's.

    The tokenizer is the one that scores, with its template; it is saved into `folder`.

    Raises:
        SetupError: the model is not there.
    """
    load_tokenizer(recipe.train).save_pretrained(folder)
    if checkpoint is None:
        return recipe.train.model, None, folder
    if not (checkpoint / ADAPTER_FILE).is_file():
        return str(checkpoint), None, folder
    merged = base_of(checkpoint)
    return (recipe.train.model if merged is None else str(merged)), checkpoint, folder


def scoring_hash(train: Train) -> str:
    """Hash of the base model and of how models are scored here: the precision of their weights, the kind of device."""
    device = choose_compute(train).device.type
    return content_id("scoring", base_identity(train), template_hash(train), _scoring_precision(train), device)


def _scoring_precision(train: Train) -> Literal["bf16", "fp32"]:
    """With an adapter the base model's weights are what they are in training; without one all weights are fp32."""
    return "fp32" if train.lora is None else precision_of(train)
