"""Which texts might be alike: shingles, MinHash signatures and locality-sensitive bands.

Signatures are datasketch's (`affine32`, seed 1) over `HASH`; bands are grouped by sorting. What comes out are
candidates: `jaccard` of the shingles decides.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from filters.text import words

HASH = "blake2b-64 of the words, polynomial over the shingle, murmur3 finaliser; MinHash takes the upper 32 bits"
"""The hash function, in words; it goes into the hash of a pass."""
MAX_NEIGHBOURS = 64
"""In a band, a text is paired with so many that follow it: a thousand copies of one form letter stay connected, and
cost 64,000 comparisons instead of half a million."""
_MULTIPLIER = 0x9E3779B97F4A7C15
"""Odd, so that no word is multiplied away (2**64 divided by the golden ratio)."""

Shingles = NDArray[np.uint64]


@lru_cache(maxsize=1 << 18)
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8"), digest_size=8).digest(), "little")


def shingles(text: str, shingle_words: int) -> Shingles:
    """The set of hashed word sequences of a text, sorted; a shorter text is one sequence, one without words has none.

    64 bits: two different sequences among a million share a hash with p = 3e-8.
    """
    hashes = np.array(list(map(_word_hash, words(text))), dtype=np.uint64)
    width = min(shingle_words, len(hashes))
    if width == 0:
        return hashes
    mixed = np.zeros(len(hashes) - width + 1, dtype=np.uint64)
    for offset in range(width):
        mixed = mixed * np.uint64(_MULTIPLIER) + hashes[offset : offset + len(mixed)]
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(factor)
    return np.unique(mixed ^ (mixed >> np.uint64(33)))


def exact_digest(text: str) -> bytes:
    """What two texts share that differ in nothing but white space and in how accents are encoded."""
    folded = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.blake2b(folded.encode("utf-8"), digest_size=16).digest()


def signatures(shingle_sets: Iterable[Shingles], num_permutations: int) -> Iterator[NDArray[np.uint32]]:
    """The MinHash signature of each set, (num_permutations,); an empty set's is all ones."""
    from datasketch import MinHash

    hashed = ((found >> np.uint64(32)).tolist() for found in shingle_sets)
    for minhash in MinHash.generator(hashed, num_perm=num_permutations, hashfunc=int, scheme="affine32"):
        yield minhash.hashvalues


@dataclass(frozen=True)
class Pairs:
    """Candidates: rows `first` < `second` of the signatures met first in `band`; three arrays of one length."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    band: NDArray[np.int64]


def candidate_pairs(signed: NDArray[np.uint32], bands: int) -> Pairs:
    """Pairs of rows that are equal in all of at least one band. `signed`: (texts, bands x rows)."""
    num_texts, width = signed.shape
    found: list[NDArray[np.int64]] = []
    in_band: list[NDArray[np.int64]] = []
    for band, columns in enumerate(np.split(signed, bands, axis=1)):
        assert columns.shape[1] * bands == width, (width, bands)
        order = np.lexsort(columns.T[::-1])  # stable: equal rows stay in their order
        grouped = columns[order]
        new_group = np.concatenate([[True], (grouped[1:] != grouped[:-1]).any(axis=1)])[:num_texts]
        group = np.cumsum(new_group)
        for distance in range(1, MAX_NEIGHBOURS + 1):
            same = group[distance:] == group[:-distance]
            if not same.any():
                break
            found.append(order[:-distance][same] * num_texts + order[distance:][same])
            in_band.append(np.full(len(found[-1]), band))
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(nothing, nothing, nothing)
    pairs, first_met = np.unique(np.concatenate(found), return_index=True)
    return Pairs(pairs // num_texts, pairs % num_texts, np.concatenate(in_band)[first_met])


def jaccard(these: Shingles, those: Shingles) -> float:
    """Shared shingles by all shingles of two texts; 0 where one has none."""
    shared = len(np.intersect1d(these, those, assume_unique=True))
    return shared / (len(these) + len(those) - shared) if shared else 0.0


def components(num_texts: int, first: Sequence[int], second: Sequence[int]) -> NDArray[np.int32]:
    """The number of the connected component of each text, given the pairs that are alike."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), dtype=np.int8), (list(first), list(second))), shape=(num_texts, num_texts))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels
