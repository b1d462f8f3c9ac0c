"""The job of `train_speed.py` with TRL's `SFTTrainer`, its rows packed beforehand as `bfd_split` packs them: FOLDER."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path

from datasets import Dataset
from train_job import Job, read_job
from trainer_job import OurRates, arguments, load, train
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer


class Packed(OurRates, SFTTrainer):
    """TRL's trainer, with the job's learning rates and rows."""

    def __init__(self, job: Job, **asked: object) -> None:
        """For a job."""
        self.job = job
        rows = [
            {"input_ids": list(chain(*row)), "seq_lengths": [len(document) for document in row]} for row in job.rows
        ]
        super().__init__(train_dataset=Dataset.from_list(rows), **asked)


def main(folder: Path) -> None:
    """Train, and print how."""
    job = read_job(folder)
    config = SFTConfig(
        packing=True,
        packing_strategy="bfd_split",
        max_length=job.settings["seq_tokens"],
        dataset_kwargs={"skip_prepare_dataset": True},
        **arguments(job, folder),
    )
    train(Packed(job, model=load(job), args=config, processing_class=AutoTokenizer.from_pretrained(job.model)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
