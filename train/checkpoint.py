"""Folders of safetensors and JSON that are whole or not there: finished checkpoints, and the base of resumable ones."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from corpus.errors import TrainingError
from corpus.store.identity import file_id
from corpus.store.journal import space_error, sync_folder
from train.model import ADAPTER_FILE, BASE_FOLDER

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fill a temporary folder, bring it to the disk and rename it to `folder`; one that was there goes.

    Raises:
        StoreError: the disk is full; what was there before is untouched.
    """
    temporary = folder.with_name(f"{TEMPORARY}{folder.name}")
    outgoing = folder.with_name(f"{TEMPORARY}old-{folder.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
        temporary.mkdir(parents=True)
        fill(temporary)
        for path in temporary.rglob("*"):
            if path.is_dir():
                sync_folder(path)
            else:
                _sync(path)
        sync_folder(temporary)
        shutil.rmtree(outgoing, ignore_errors=True)
        if folder.exists():
            folder.rename(outgoing)
        temporary.rename(folder)
        sync_folder(folder.parent)
        shutil.rmtree(outgoing, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise space_error(error, folder) from error


def write_checkpoint(
    folder: Path,
    model: PreTrainedModel,
    adapter: PeftModel | None,
    tokenizer: PreTrainedTokenizerBase,
    manifest: Mapping[str, object],
    *,
    base: Path | None = None,
    is_first: bool = True,
) -> None:
    """Write a finished checkpoint: adapter or all weights in fp32, tokenizer, and `manifest` with every file's hash.

    The merged model in the folder `base` that an adapter stands on comes along. All processes of a team call it, as
    weights may be in parts; the first writes.

    Raises:
        StoreError: the disk is full.
        TrainingError: the weights do not read back as they are.
    """
    named = _adapter_tensors(adapter) if adapter is not None else _all_tensors(model)
    tensors = gathered(named, is_first=is_first)
    if not is_first:
        return

    def fill(temporary: Path) -> None:
        if adapter is not None:
            _save_adapter(temporary, adapter, tensors)
        else:
            model.save_pretrained(temporary, state_dict=dict(tensors))
        _check_read_back(temporary, tensors)
        tokenizer.save_pretrained(temporary)
        if base is not None:
            shutil.copytree(base, temporary / BASE_FOLDER, copy_function=_link)
        write_manifest(temporary, manifest)

    write_folder(folder, fill)


def write_manifest(folder: Path, about: Mapping[str, object]) -> None:
    """The last file of a folder that is being filled: `about`, and the hash of every file that is there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): file_id(path) for path in paths}
    (folder / MANIFEST).write_text(json.dumps({**about, "files": files}, indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, object] | None:
    """The manifest of a finished checkpoint; None if there is none, or if any of its files is not as it was written."""
    try:
        manifest: dict[str, object] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
        assert isinstance(files, dict), folder
        whole = all(file_id(folder / name) == expected for name, expected in files.items())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return manifest if whole else None


def check_parent(folder: Path, base: str, stage_hash: str) -> str:
    """Hash of the manifest of the checkpoint that a stage continues.

    Raises:
        TrainingError: it is not whole, on another base model, or not what the recipe asks for.
    """
    manifest = read_manifest(folder)
    again = f"delete {folder} and train it again with: specmill train RECIPE"
    if manifest is None:
        raise TrainingError(f"the checkpoint in {folder} is not whole; {again}")
    if manifest["base_hash"] != base:
        raise TrainingError(f"{folder} was trained on another base ({manifest['base_hash']}, now {base}); {again}")
    if manifest["stage_hash"] != stage_hash:
        raise TrainingError(f"{folder} was trained with other settings or data than the recipe's; {again}")
    return file_id(folder / MANIFEST)


def gathered(named: Iterable[tuple[str, torch.Tensor]], *, is_first: bool) -> dict[str, torch.Tensor]:
    """Whole tensors on the CPU, in the first process; one at a time, so that no device holds them all."""
    from train.team import whole

    tensors = {}
    for name, tensor in named:
        complete = whole(tensor)
        if is_first:
            tensors[name] = complete.cpu().contiguous()
    return tensors


def _adapter_tensors(adapter: PeftModel) -> Iterable[tuple[str, torch.Tensor]]:
    from peft import get_peft_model_state_dict

    return cast("dict[str, torch.Tensor]", get_peft_model_state_dict(adapter, save_embedding_layers=False)).items()


def _all_tensors(model: PreTrainedModel) -> Iterable[tuple[str, torch.Tensor]]:
    # Parameters and not the state dict: tied weights stand there once.
    buffers = model.state_dict().keys() & dict(model.named_buffers()).keys()
    return [*model.named_parameters(), *((name, model.get_buffer(name)) for name in sorted(buffers))]


def _link(source: str, target: str) -> None:
    """Another name for the same file, where the file system has such: a base model is large."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _save_adapter(folder: Path, adapter: PeftModel, tensors: Mapping[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    save_file(dict(tensors), folder / ADAPTER_FILE, metadata={"format": "pt"})
    config = copy.copy(adapter.peft_config["default"])
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)  # a set has another order in each process
    config.save_pretrained(str(folder))


def _check_read_back(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    import torch
    from safetensors.torch import load_file

    for file in folder.glob("*.safetensors"):
        for name, tensor in load_file(file).items():
            if not torch.equal(tensor, tensors[name]):
                raise TrainingError(f"{name} in {file} does not read back as it was written; look at this disk")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
