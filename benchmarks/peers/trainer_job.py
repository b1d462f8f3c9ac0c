"""What the peers of `train_speed.py` that stand on `transformers.Trainer` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from train_job import Clock, Job
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback
from transformers.utils import ModelOutput


def load(job: Job) -> torch.nn.Module:
    """The model of the job, in fp32; refuses to make a cache, with which packed documents would see each other."""
    model = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32, attn_implementation="sdpa")
    backbone = model.model

    def no_cache(_module: object, _inputs: object, output: ModelOutput) -> None:
        assert output.past_key_values is None, "a cache was made"

    backbone.register_forward_hook(no_cache)
    if job.adapter is None:
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, job.adapter, is_trainable=True)


def arguments(job: Job, folder: Path) -> dict[str, Any]:
    """`TrainingArguments` of the job: fp32, the plan's order, nothing saved, nothing shown."""
    settings = job.settings
    return {
        "output_dir": str(folder / "out"),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": job.rows_each,
        "max_steps": len(job.rates),
        "train_sampling_strategy": "sequential",
        "learning_rate": settings["learning_rate"],
        "weight_decay": settings["weight_decay"],
        "max_grad_norm": settings["max_grad_norm"],
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
    }


class OurRates:
    """For a `Trainer`: the learning rates of the job; everything else is its own."""

    job: Job

    def create_scheduler(
        self: Any,
        num_training_steps: int,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> LambdaLR:
        """In place of a schedule by name, which would begin its warm-up with a rate of 0."""
        rates = [*self.job.rates, 0.0]  # it asks for one more than it uses
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda update: rates[update] / max(rates))
        return self.lr_scheduler


class Told(TrainerCallback):
    """Gives a clock what a `Trainer` says."""

    def __init__(self, clock: Clock) -> None:
        """Of this clock."""
        self._clock = clock

    def on_step_end(self, *_: object, **__: object) -> None:
        """An update is done."""
        self._clock.tick()

    def on_log(self, *_: object, logs: dict[str, float] | None = None, **__: object) -> None:
        """A loss is told."""
        if logs and "loss" in logs:
            self._clock.losses.append(logs["loss"])


def train(trainer: Trainer) -> None:
    """Train, and tell."""
    clock = Clock()
    trainer.add_callback(Told(clock))
    trainer.train()
    clock.tell()
