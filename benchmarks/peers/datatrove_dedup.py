"""Parquet to kept ids with datatrove: its four stages, as many workers as cores, and a tokenizer quicker than its own.

Its own tokenizer for English is spaCy's, which takes most of the time; `--own-tokenizer` leaves it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyarrow.parquet as pq
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import WordTokenizer

BANDS, ROWS, SHINGLE_WORDS = 20, 6, 5


class Split(WordTokenizer):
    """Words between spaces: punctuation is gone before."""

    def word_tokenize(self, text: str) -> list[str]:
        """The words."""
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        """Not asked for."""
        return [text]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Not asked for."""
        return [(0, len(text))]


def main(folder: Path, own_tokenizer: bool) -> None:
    """Read `documents-N.parquet`, one for each core, write `kept.txt`."""
    cores = len(os.sched_getaffinity(0))
    config = MinhashConfig(
        n_grams=SHINGLE_WORDS, num_buckets=BANDS, hashes_per_bucket=ROWS, hash_config=HashConfig(precision=32)
    )
    work = {name: str(folder / name) for name in ("signatures", "buckets", "remove", "out", "logs")}
    signing = MinhashDedupSignature(work["signatures"], config)
    if not own_tokenizer:
        signing.word_tokenizer = Split()

    def reader() -> ParquetReader:
        return ParquetReader(str(folder), glob_pattern="documents-*.parquet", text_key="text", id_key="id")

    for name, tasks, steps in (
        ("1", cores, [reader(), signing]),
        ("2", BANDS, [MinhashDedupBuckets(work["signatures"], work["buckets"], config=config)]),
        ("3", 1, [MinhashDedupCluster(work["buckets"], work["remove"], config=config)]),
        ("4", cores, [reader(), MinhashDedupFilter(work["remove"]), ParquetWriter(work["out"])]),
    ):
        LocalPipelineExecutor(
            steps, tasks=tasks, workers=min(tasks, cores), logging_dir=f"{work['logs']}/{name}", start_method="fork"
        ).run()
    kept = [
        one for file in sorted(Path(work["out"]).glob("*.parquet")) for one in pq.read_table(file)["id"].to_pylist()
    ]
    (folder / "kept.txt").write_text("\n".join(kept))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--own-tokenizer" in sys.argv)
