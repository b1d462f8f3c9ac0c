"""The job of `train_speed.py` with `transformers.Trainer` and `DataCollatorWithFlattening`: FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from train_job import Job, Tokens, read_job
from trainer_job import OurRates, arguments, load, train
from transformers import DataCollatorWithFlattening, PrinterCallback, Trainer, TrainingArguments


def flatten(rows: list[list[Tokens]]) -> dict[str, Any]:
    """The batch of some packed rows: their documents one after the other, positions beginning anew with each."""
    return DataCollatorWithFlattening()([{"input_ids": document} for row in rows for document in row])


class Flattening(OurRates, Trainer):
    """Hugging Face's Trainer, with the job's learning rates."""

    def __init__(self, job: Job, **asked: object) -> None:
        """For a job."""
        self.job = job
        super().__init__(train_dataset=job.rows, data_collator=flatten, **asked)
        self.remove_callback(PrinterCallback)


def main(folder: Path) -> None:
    """Train, and print how."""
    job = read_job(folder)
    train(Flattening(job, model=load(job), args=TrainingArguments(**arguments(job, folder))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
