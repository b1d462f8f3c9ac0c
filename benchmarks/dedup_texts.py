"""Documents with planted copies, and which of them are alike in truth."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from human_prose import python_prose
from numpy.typing import NDArray

SHINGLE_WORDS = 5
NUM_WORDS = 300
"""Words of a made document."""
_VOCABULARY = 50_000
_EDITED = (0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.05)
"""Share of the words of a copy that are replaced: at 0.02 two documents of 300 words have Jaccard 0.8 or so."""
_COPIES = 0.3
"""Share of the documents that are copies."""
_BLOCK = 10_000


def made_documents(num_documents: int, seed: int = 0) -> Iterator[list[str]]:
    """Documents in blocks: words drawn as often as in natural text (Zipf), in sentences; three in ten are copies.

    Letters, spaces and full stops only, so that every tool means the same by a word.
    """
    rng = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    vocabulary = np.array(
        sorted({"".join(rng.choice(letters, length)) for length in rng.integers(2, 10, 2 * _VOCABULARY)})
    )
    vocabulary = rng.permutation(vocabulary)[:_VOCABULARY]
    weights = 1 / np.arange(10, len(vocabulary) + 10)
    bounds = np.cumsum(weights / weights.sum())

    def words(num_words: int) -> list[str]:
        places = np.minimum(np.searchsorted(bounds, rng.random(num_words)), len(vocabulary) - 1)
        return vocabulary[places].tolist()

    for start in range(0, num_documents, _BLOCK):
        size = min(_BLOCK, num_documents - start)
        num_originals = size - round(size * _COPIES)
        drawn = words(num_originals * NUM_WORDS)
        block = [drawn[place : place + NUM_WORDS] for place in range(0, len(drawn), NUM_WORDS)]
        for copy in range(size - num_originals):
            block.append(_edited(block[int(rng.integers(num_originals))], _EDITED[copy % len(_EDITED)], rng, words))
        yield [_sentences(block[place]) for place in rng.permutation(size)]


def _edited(
    found: list[str], fraction: float, rng: np.random.Generator, words: Callable[[int], list[str]]
) -> list[str]:
    edited = list(found)
    places = rng.choice(len(found), round(fraction * len(found)), replace=False).tolist()
    for place, word in zip(places, words(len(places)), strict=True):
        edited[place] = word
    return edited


def _sentences(found: Sequence[str]) -> str:
    return " ".join(" ".join(found[start : start + 12]).capitalize() + "." for start in range(0, len(found), 12))


def prose_documents(seed: int = 0) -> Iterator[list[str]]:
    """The documentation of Python's standard library, each text of 60 words or more, with as many edited copies.

    Its letters and spaces only, so that every tool means the same by a word.
    """
    rng = random.Random(seed)
    texts = [" ".join(re.findall("[a-z]+", text.lower())) for text in python_prose(60)]
    vocabulary = sorted({word for text in texts for word in text.split()})
    copies = []
    for number, text in enumerate(texts):
        found = text.split()
        for place in rng.sample(range(len(found)), round(_EDITED[number % len(_EDITED)] * len(found))):
            found[place] = rng.choice(vocabulary)
        copies.append(" ".join(found))
    documents = texts + copies
    rng.shuffle(documents)
    yield documents


def write(blocks: Iterator[list[str]], file: Path, num_files: int = 1) -> int:
    """Parquet with `id` and `text`, in several files if so asked (`NAME-0.parquet` ...); returns the documents."""
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    paths = [file] if num_files == 1 else [file.with_name(f"{file.stem}-{n}.parquet") for n in range(num_files)]
    writers = [pq.ParquetWriter(path, schema) for path in paths]
    num_documents = 0
    for texts in blocks:
        for number, writer in enumerate(writers):
            ids = [f"{place:08d}" for place in range(num_documents, num_documents + len(texts))]
            share = slice(number * len(texts) // num_files, (number + 1) * len(texts) // num_files)
            writer.write_table(pa.table([ids[share], texts[share]], schema=schema))
        num_documents += len(texts)
    for writer in writers:
        writer.close()
    return num_documents


def alike_pairs(texts: Sequence[str], min_jaccard: float) -> NDArray[np.int64]:
    """Every pair of texts of at least this exact Jaccard, (pairs, 2): all pairs that share a shingle are compared.

    Brute force, and none of the code that it judges: sets of word sequences, counted by a product of sparse matrices.
    """
    from scipy.sparse import csr_array

    numbers: dict[tuple[str, ...], int] = {}
    columns: list[int] = []
    sizes = []
    for text in texts:
        found = text.lower().replace(".", " ").split()
        shingles = set(zip(*(found[start:] for start in range(SHINGLE_WORDS)), strict=False))
        columns += (numbers.setdefault(shingle, len(numbers)) for shingle in shingles)
        sizes.append(len(shingles))
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    has = csr_array((np.ones(len(columns), np.int32), columns, bounds), shape=(len(texts), max(len(numbers), 1)))
    shared = (has @ has.T).tocoo()
    is_pair = shared.coords[0] < shared.coords[1]
    first, second, both = shared.coords[0][is_pair], shared.coords[1][is_pair], shared.data[is_pair]
    size = np.array(sizes)
    alike = both >= min_jaccard * (size[first] + size[second] - both)
    return np.stack([first[alike], second[alike]], axis=1).astype(np.int64)
