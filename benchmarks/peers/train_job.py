"""The job of `train_speed.py`, and how its losses, times and memory are told."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

Tokens = list[int]


@dataclass(frozen=True)
class Job:
    """What everyone trains, from the same weights."""

    model: str
    """The folder of the base model."""
    adapter: str | None
    """The folder of the adapter as it is at the start; None: all weights are trained."""
    settings: dict[str, Any]
    """Of the stage, as a recipe names them."""
    num_threads: int
    rates: list[float]
    """The learning rate of each update."""
    rows: list[list[Tokens]]
    """The packed rows in the order of the updates, as many in each; a row is its documents, of which every token but
    the first is learned."""

    @property
    def rows_each(self) -> int:
        """Rows of an update."""
        return len(self.rows) // len(self.rates)


def read_job(folder: Path) -> Job:
    """The job in `folder`; this process has so many threads from now on."""
    job = Job(**json.loads((folder / "job.json").read_text(encoding="utf-8")))
    torch.set_num_threads(job.num_threads)
    return job


class Clock:
    """Takes the time after each update, whatever was done since the last."""

    def __init__(self) -> None:
        """Begin."""
        self._first_peak = _peak_bytes()
        self._began = time.perf_counter()
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def tick(self) -> None:
        """An update is done."""
        now = time.perf_counter()
        self.seconds.append(now - self._began)
        self._began = now

    def tell(self) -> None:
        """Print losses, seconds, and the most memory that this process held: before the first update, and at all."""
        peaks = {"first_peak_bytes": self._first_peak, "peak_bytes": _peak_bytes()}
        print("\n" + json.dumps({"losses": self.losses, "seconds": self.seconds, **peaks}), file=sys.__stdout__)


def _peak_bytes() -> int:
    """Of this program alone: `ru_maxrss` would count what the process that started it held then."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
