"""The resumable state of a stage: weights, moments, one integer, and the rows so far; and the best weights so far."""

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
from train.checkpoint import gathered, write_folder
from train.team import Team, like

_STATE, _TENSORS = "state.json", "tensors.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")

Parameters = Mapping[str, torch.nn.Parameter]
Row = dict[str, object]


@dataclass(frozen=True)
class State:
    """What of the state is not a tensor."""

    stage_hash: str
    num_updates: int
    """Updates that are done."""
    num_threads: int
    """Threads of the arithmetic: another number adds in another order."""
    rows: dict[str, list[Row]]
    """Rows of `steps` and `held_out_losses`, all of this stage so far: the store may not have the last of them."""
    measured_on: str = ""
    """Hash of the held-out documents that losses are measured on."""
    best: tuple[int, float] | None = None
    """The update with the lowest held-out loss, and that loss (nats per token); None: nothing measured."""


def save_progress(
    folder: Path, state: State, parameters: Parameters, optimizer: torch.optim.Optimizer, team: Team, keep_last: int
) -> None:
    """Write the state under `folder`, atomically, read it back, and only then remove all but the newest `keep_last`.

    Every process of the team calls it; the first writes.

    Raises:
        StoreError: the disk is full; the one before is still there.
        TrainingError: it does not read back as it was written.
    """
    kinds = [
        (f"{kind}/{name}", tensor)
        for name, parameter in parameters.items()
        for kind, tensor in (("value", parameter), *((kind, optimizer.state[parameter][kind]) for kind in _MOMENTS))
    ]
    tensors = gathered(kinds, is_first=team.is_first)
    if not team.is_first:
        return
    written = _numbered(folder, "update", state.num_updates)

    def fill(temporary: Path) -> None:
        _write_tensors(temporary / _TENSORS, tensors)
        data = {**asdict(state), "tensors_hash": file_id(temporary / _TENSORS)}
        (temporary / _STATE).write_text(json.dumps(data), encoding="utf-8")

    write_folder(written, fill)
    older = [path for path in _saved(folder, "update") if path != written]
    for path in older[: max(0, len(older) + 1 - keep_last)]:
        shutil.rmtree(path)
    named = {_numbered(folder, "best", best[0]) for path in _saved(folder, "update") if (best := _best_named(path))}
    for path in _saved(folder, "best"):
        if path not in named:
            shutil.rmtree(path)


def _best_named(path: Path) -> tuple[int, float] | None:
    """The best that a kept state names; a damaged one, which is passed over, names none."""
    try:
        best: tuple[int, float] | None = json.loads((path / _STATE).read_text(encoding="utf-8"))["best"]
    except (OSError, ValueError, KeyError):
        return None
    return best


def load_progress(folder: Path, stage_hash: str) -> tuple[State, Path] | None:
    """The newest whole state of this stage under `folder` and its tensors' file; None: begin at the beginning."""
    for path in reversed(_saved(folder, "update")):
        try:
            data = json.loads((path / _STATE).read_text(encoding="utf-8"))
            is_whole = data.pop("tensors_hash") == file_id(path / _TENSORS)
        except (OSError, ValueError, KeyError):
            continue
        if is_whole and data["stage_hash"] == stage_hash:
            best = data.pop("best")
            return State(**data, best=best and (best[0], best[1])), path / _TENSORS
    return None


def restore(tensors_file: Path, num_updates: int, parameters: Parameters, optimizer: torch.optim.Optimizer) -> None:
    """Set parameters and AdamW's moments to what `save_progress` wrote after `num_updates` updates."""
    tensors = load_file(tensors_file)
    assert len(tensors) == 3 * len(parameters), (len(tensors), len(parameters))
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(like(tensors[f"value/{name}"], parameter))
            moments = {kind: like(tensors[f"{kind}/{name}"], parameter) for kind in _MOMENTS}
            step = torch.tensor(float(num_updates), device=parameter.device)
            optimizer.state[parameter] = {"step": step, **moments}


def save_best(folder: Path, num_updates: int, parameters: Parameters, team: Team) -> None:
    """Keep the weights of this moment. Those kept before stay until a state that no longer names them is saved."""
    tensors = gathered(parameters.items(), is_first=team.is_first)
    if team.is_first:
        kept = _numbered(folder, "best", num_updates)
        write_folder(kept, lambda temporary: _write_tensors(temporary / _TENSORS, tensors))


def restore_best(folder: Path, num_updates: int, parameters: Parameters) -> None:
    """Set parameters to what `save_best` kept after `num_updates` updates."""
    tensors = load_file(_numbered(folder, "best", num_updates) / _TENSORS)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(like(tensors[name], parameter))


def _write_tensors(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    save_file(dict(tensors), file)
    read_back = load_file(file)
    if not all(torch.equal(read_back[name], tensor) for name, tensor in tensors.items()):
        raise TrainingError(f"{file} does not read back as it was written; look at this disk")


def _numbered(folder: Path, kind: str, num_updates: int) -> Path:
    return folder / f"{kind}-{num_updates:08d}"


def _saved(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"{kind}-*"))
