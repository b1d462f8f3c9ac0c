"""The resumable state of a stage: weights, moments, one integer, and the rows of the steps so far."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from corpus.errors import TrainingError
from corpus.store.identity import file_id
from train.checkpoint import write_folder

_STATE, _TENSORS = "state.json", "tensors.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")

Parameters = Mapping[str, torch.nn.Parameter]


@dataclass(frozen=True)
class State:
    """What of the state is not a tensor."""

    stage_hash: str
    num_updates: int
    """Updates that are done."""
    num_threads: int
    """Threads of the arithmetic: another number adds in another order."""
    steps: list[dict[str, object]]
    """Rows of table `steps`, all of this stage so far: the store may not have the last of them."""


def save_progress(folder: Path, state: State, parameters: Parameters, optimizer: torch.optim.Optimizer) -> None:
    """Write the state under `folder`, atomically, read it back, and only then remove the one before.

    Raises:
        StoreError: the disk is full; the one before is still there.
        TrainingError: it does not read back as it was written.
    """
    tensors = {
        f"{kind}/{name}": tensor.detach().cpu().contiguous()
        for name, parameter in parameters.items()
        for kind, tensor in (("value", parameter), *((kind, optimizer.state[parameter][kind]) for kind in _MOMENTS))
    }

    def fill(temporary: Path) -> None:
        save_file(tensors, temporary / _TENSORS)
        read_back = load_file(temporary / _TENSORS)
        if not all(torch.equal(read_back[name], tensor) for name, tensor in tensors.items()):
            raise TrainingError(f"{temporary / _TENSORS} does not read back as it was written; look at this disk")
        data = {**asdict(state), "tensors_hash": file_id(temporary / _TENSORS)}
        (temporary / _STATE).write_text(json.dumps(data), encoding="utf-8")

    before = _saved(folder)
    written = folder / f"update-{state.num_updates:08d}"
    write_folder(written, fill)
    for path in before:
        if path != written:
            shutil.rmtree(path)


def load_progress(folder: Path, stage_hash: str) -> tuple[State, Path] | None:
    """The newest whole state of this stage under `folder` and its tensors' file; None: begin at the beginning."""
    for path in reversed(_saved(folder)):
        data = json.loads((path / _STATE).read_text(encoding="utf-8"))
        if data.pop("tensors_hash") == file_id(path / _TENSORS) and data["stage_hash"] == stage_hash:
            return State(**data), path / _TENSORS
    return None


def restore(tensors_file: Path, num_updates: int, parameters: Parameters, optimizer: torch.optim.Optimizer) -> None:
    """Set parameters and AdamW's moments to what `save_progress` wrote after `num_updates` updates."""
    tensors = load_file(tensors_file)
    assert len(tensors) == 3 * len(parameters), (len(tensors), len(parameters))
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"value/{name}"])
            moments = {kind: tensors[f"{kind}/{name}"].to(parameter.device) for kind in _MOMENTS}
            optimizer.state[parameter] = {"step": torch.tensor(float(num_updates)), **moments}


def _saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("update-*"))
