"""Signatures of texts with datasketch, by every path and hash function of its that is quick; prints JSON."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import time
import zlib
from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
import xxhash
from datasketch import MinHash

NUM_PERMUTATIONS, SHINGLE_WORDS = 120, 5


def joined(text: str) -> set[bytes]:
    """Word sequences as bytes, for hash functions that take them."""
    words = text.lower().replace(".", "").encode().split()
    return set(map(b" ".join, zip(*(words[start:] for start in range(SHINGLE_WORDS)), strict=False)))


def tuples(text: str) -> list[tuple[str, ...]]:
    """Word sequences as they are, for Python's own hash; a set would hash each once more."""
    words = text.lower().replace(".", "").split()
    return list(zip(*(words[start:] for start in range(SHINGLE_WORDS)), strict=False))


def python_hash(shingle: object) -> int:
    """Quick, and another one in every process unless PYTHONHASHSEED is set."""
    return hash(shingle) & 0xFFFFFFFF


PATHS: dict[str, tuple[Callable[[str], object], Callable[..., int]]] = {
    "xxh32": (joined, xxhash.xxh32_intdigest),
    "crc32": (joined, zlib.crc32),
    "hash()": (tuples, python_hash),
}


def sign(given: tuple[str, list[str]]) -> np.ndarray:
    """The signatures of some texts, (texts, permutations)."""
    name, texts = given
    shingles, hashfunc = PATHS[name.split(", ")[1]]
    make = MinHash.generator if name.startswith("generator") else MinHash.bulk
    made = make(map(shingles, texts), num_perm=NUM_PERMUTATIONS, hashfunc=hashfunc, scheme="affine32")
    return np.array([one.hashvalues for one in made])


def main() -> None:
    """Arguments: a Parquet file, and how often to measure each."""
    texts = pq.read_table(sys.argv[1])["text"].to_pylist()
    cores = len(os.sched_getaffinity(0))
    size = -(-len(texts) // (4 * cores))
    blocks = [texts[start : start + size] for start in range(0, len(texts), size)]
    names = [f"{path}, {hashed}" for path in ("generator", "bulk") for hashed in PATHS]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with multiprocessing.Pool(cores) as pool:
        for _ in range(int(sys.argv[2])):
            for name in names:
                start = time.perf_counter()
                for _made in pool.imap(sign, [(name, block) for block in blocks]):
                    pass
                seconds[name].append(time.perf_counter() - start)
    print(json.dumps({name: len(texts) / statistics.median(found) for name, found in seconds.items()}))


if __name__ == "__main__":
    main()
