"""Parquet to kept ids with text-dedup's own command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Read `documents.parquet`, write `kept.txt`."""
    options = {
        "path": "parquet", "data_files": str(folder / "documents.parquet"), "split": "train",
        "cache_dir": str(folder / "cache"), "output": str(folder / "out"), "column": "text", "ngram": "5",
        "num_perm": "120", "threshold": "0.8", "b": "20", "r": "6", "hash_func": "xxh3", "hash_bits": "64",
        "min_length": "0", "num_proc": str(len(os.sched_getaffinity(0))),
    }  # fmt: skip
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    subprocess.run([sys.executable, "-m", "text_dedup.minhash", *given], check=True)
    from datasets import load_from_disk

    kept = load_from_disk(str(folder / "out"))
    (folder / "kept.txt").write_text("\n".join(kept["id"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
