"""The job of `train_speed.py` with Specmill: its tokens, its plan and its updates, as a stage does them: FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from train_job import Clock, read_job

from corpus.recipe import Lora, StageSettings, Train
from train.adapter import load_trainable
from train.attention import use_packed_attention
from train.loop import Trainer, reproducible
from train.model import Compute
from train.packed import PackedModel
from train.plan import make_plan
from train.segments import open_segments
from train.team import Team


def main(folder: Path) -> None:
    """Train, and print how."""
    job = read_job(folder)
    recipe = Train(model=job.model, lora=None if job.adapter is None else Lora(), precision="fp32")
    model, _ = load_trainable(recipe, job.adapter and Path(job.adapter), 0)
    compute = Compute(torch.device("cpu"), torch.float32)
    use_packed_attention(model, compute)
    segments, settings = open_segments(folder / "tokens"), StageSettings(**job.settings)
    assert segments is not None, folder
    plan = make_plan(segments, settings, 0, "speed")
    with reproducible(compute.device, job.num_threads):
        trainer = Trainer(PackedModel(model), plan, settings, compute, Team(), 0, "speed")
        clock = Clock()
        for number in range(len(plan.updates)):
            clock.losses.append(trainer.update(number).loss)
            clock.tick()
    clock.tell()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
