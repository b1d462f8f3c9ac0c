"""Which texts might be alike: shingles, MinHash signatures and locality-sensitive bands.

Signatures are datasketch's (`affine32`, seed 1) over `HASH`; bands are grouped by sorting. What comes out are
candidates: the exact Jaccard of the shingles decides. Texts are Arrow strings from beginning to end; how they are read
stands in `filters.copies.kernel`, and which of them Python has to normalise first in `filters.form.characters`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.copies.folding import characters

HASH = (
    "polynomial over the code points of a word, murmur3 finaliser, polynomial over the words of a shingle, murmur3 "
    "finaliser; MinHash takes the upper 32 bits"
)
"""The hash function, in words; it goes into the hash of a pass.

64 bits a shingle: among a million different ones two share a hash with p = 3e-8. The 128 bits that stand for a whole
text do so among a million texts with p = 1e-27. Both hold for texts by chance; no such hash withstands an adversary.
"""
WHOLE_GROUP = 64
"""Texts with a band in common are all compared with one another up to so many (texts)."""
LOOKED_AT = 1_024
"""In a larger group, texts are put in the order of their next bands, and each looks at the signatures of so many that
follow: the group costs time in proportion to its size, and those alike stand near each other, in an order of its own
for every band."""
MAX_NEIGHBOURS = 16
"""Of those a text is compared with the so many whose signatures are most alike: the copies of a form letter stay
connected, and clusters that share a template are not lost among each other."""
_NEXT_BANDS = 8

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Signed:
    """What is kept of texts, N of them."""

    signatures: NDArray[np.uint32]
    """(N, permutations); of a text without words, all ones."""
    digests: Hashes
    """(N, 2); equal for two texts that differ in nothing but white space and in how accents are encoded."""
    num_shingles: Places
    """(N,), repeats counted."""

    @staticmethod
    def empty(num_texts: int, num_permutations: int) -> Signed:
        """Room for so many."""
        return Signed(
            np.empty((num_texts, num_permutations), np.uint32), np.empty((num_texts, 2), np.uint64),
            np.zeros(num_texts, np.int64),
        )  # fmt: skip

    def put(self, places: Places, signed: Signed) -> None:
        """Take over what was signed elsewhere."""
        self.signatures[places] = signed.signatures
        self.digests[places] = signed.digests
        self.num_shingles[places] = signed.num_shingles


class Sets(NamedTuple):
    """Sets of shingles: set N is `shingles[starts[N]:ends[N]]`, in no order."""

    starts: Places
    ends: Places
    shingles: Hashes

    @staticmethod
    def empty(most_shingles: Places) -> Sets:
        """Room for sets of at most so many shingles each."""
        ends = np.cumsum(most_shingles)
        return Sets(ends - most_shingles, ends - most_shingles, np.empty(int(most_shingles.sum()), np.uint64))

    def put(self, places: Places, sets: Sets) -> None:
        """Take over what was found elsewhere, where it lies without gaps."""
        sizes = sets.ends - sets.starts
        self.ends[places] = self.starts[places] + sizes
        self.shingles[np.repeat(self.starts[places] - sets.starts, sizes) + np.arange(len(sets.shingles))] = (
            sets.shingles
        )


def sign(texts: pa.Array, shingle_words: int, num_permutations: int) -> Signed:
    """The signatures of Arrow strings. One shingle where a text is shorter than that, none where it has no word."""
    from filters.copies import kernel

    signed = _sign(texts, False, shingle_words, num_permutations)
    left = np.flatnonzero(signed.num_shingles == kernel.NOT_READ)
    if len(left):
        as_written, folded = (
            _sign(form, True, shingle_words, num_permutations) for form in _normal_forms(texts, left)
        )  # fmt: skip
        signed.put(left, Signed(folded.signatures, as_written.digests, folded.num_shingles))
    return signed


def _sign(texts: pa.Array, is_folded: bool, shingle_words: int, num_permutations: int) -> Signed:
    from filters.copies import kernel

    signed, tables = Signed.empty(len(texts), num_permutations), characters()
    kernel.sign_texts(
        *_buffers(texts), tables.folds, tables.classes, is_folded, shingle_words, *_permutations(num_permutations),
        signed.signatures, signed.digests, signed.num_shingles,
    )  # fmt: skip
    return signed


def shingle_sets(texts: pa.Array, shingle_words: int) -> Sets:
    """The sets of hashed word sequences of Arrow strings."""
    from filters.copies import kernel, pair_kernel

    tables = characters()
    counts = np.empty(len(texts), np.int64)
    found = kernel.shingle_texts(*_buffers(texts), tables.folds, tables.classes, False, shingle_words, counts)
    left = np.flatnonzero(counts == kernel.NOT_READ)
    if len(left):
        _, folded = _normal_forms(texts, left)
        more = np.empty(len(left), np.int64)
        others = kernel.shingle_texts(*_buffers(folded), tables.folds, tables.classes, True, shingle_words, more)
        counts[left] = 0
        found = np.insert(found, np.repeat(np.cumsum(counts)[left], more), others)
        counts[left] = more
    found = pair_kernel.make_sets(found, counts)
    ends = np.cumsum(counts)
    return Sets(ends - counts, ends, found)


def jaccards(first: Places, second: Places, sets: Sets) -> NDArray[np.float64]:
    """Shared shingles by all shingles of each pair of sets; 0 where one has none."""
    from filters.copies import pair_kernel

    found = np.empty(len(first), np.float64)
    pair_kernel.jaccards(first, second, *sets, found)
    return found


def band_keys(signatures: NDArray[np.uint32], bands: int) -> Hashes:
    """A hash of each band of each signature, (bands, texts)."""
    from filters.copies import pair_kernel

    keys = np.empty((bands, len(signatures)), np.uint64)
    pair_kernel.band_keys(signatures, bands, keys)
    return keys


@dataclass(frozen=True)
class Pairs:
    """Candidates: texts `first` < `second`, met first in `band`; three arrays of one length, sorted by the pair."""

    first: Places
    second: Places
    band: Places


def candidate_pairs(signatures: NDArray[np.uint32], bands: int) -> Pairs:
    """Pairs of texts whose signatures, (texts, permutations), are equal in all of at least one band."""
    keys = band_keys(signatures, bands)
    num_texts = max(len(signatures), 1)
    known, in_band = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for band in range(bands):
        found = np.sort(_in_groups(signatures, *_groups(keys, band)), axis=1)
        # One band at a time, so that a pair that meets in all of them is held once.
        joined = np.concatenate([known, found[:, 0] * num_texts + found[:, 1]])
        known, first_met = np.unique(joined, return_index=True)
        in_band = np.concatenate([in_band, np.full(len(found), band)])[first_met]
    return Pairs(known // num_texts, known % num_texts, in_band)


def _groups(keys: Hashes, band: int) -> tuple[Places, Places]:
    """The texts that share their key in a band with another, group by group, and the number of each one's group."""
    order = np.argsort(keys[band], kind="stable")
    sorted_keys = keys[band][order]
    is_like_last = np.zeros(len(order), bool)
    is_like_last[1:] = sorted_keys[1:] == sorted_keys[:-1]
    grouped = is_like_last.copy()
    grouped[:-1] |= is_like_last[1:]
    order, group = order[grouped], np.cumsum(~is_like_last[grouped])
    is_large = _is_large(group)
    if is_large.any():
        members = order[is_large]
        following = [keys[(band + step) % len(keys)][members] for step in range(_NEXT_BANDS, 0, -1)]
        order[is_large] = members[np.lexsort([*following, group[is_large]])]
    return order, group


def _in_groups(signatures: NDArray[np.uint32], order: Places, group: Places) -> Places:
    """The pairs of texts to compare, (pairs, 2): in groups that are not large, all."""
    from filters.copies import pair_kernel

    is_large = _is_large(group)
    found = [np.zeros((0, 2), np.int64)]
    if is_large.any():
        found.append(pair_kernel.most_alike(signatures, order[is_large], group[is_large], LOOKED_AT, MAX_NEIGHBOURS))
    order, group = order[~is_large], group[~is_large]
    for distance in range(1, WHOLE_GROUP):
        is_same = group[distance:] == group[:-distance]
        if not is_same.any():
            break
        found.append(np.stack([order[:-distance][is_same], order[distance:][is_same]], axis=1))
    return np.concatenate(found)


def _is_large(group: Places) -> NDArray[np.bool_]:
    large: NDArray[np.bool_] = np.bincount(group, minlength=1)[group] > WHOLE_GROUP
    return large


def components(num_texts: int, first: Places | Sequence[int], second: Places | Sequence[int]) -> NDArray[np.int32]:
    """The number of the connected component of each text, given the pairs that are alike."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    places = (np.asarray(first, np.int64), np.asarray(second, np.int64))
    graph = coo_array((np.ones(len(places[0]), np.int8), places), shape=(num_texts, num_texts))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels


@lru_cache
def _permutations(num_permutations: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The factors and addends of datasketch's `affine32` with seed 1, without the second that importing it takes."""
    draw = np.random.RandomState(1)  # whose numbers NumPy promises to keep
    odd = 2 * draw.randint(0, 1 << 31, num_permutations, dtype=np.uint32) + 1
    return odd.astype(np.uint32), draw.randint(0, 1 << 32, num_permutations, dtype=np.uint32)


def _buffers(texts: pa.Array) -> tuple[Places, NDArray[np.uint8]]:
    """Where each text begins and ends, and the bytes that they lie in: Arrow's own, not a copy."""
    if texts.null_count:
        texts = texts.fill_null("")
    _, offsets, data = texts.buffers()
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    places = np.frombuffer(offsets, width)[texts.offset : texts.offset + len(texts) + 1] if offsets else np.zeros(1)
    return places.astype(np.int64), np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)


def _normal_forms(texts: pa.Array, places: Places) -> tuple[pa.Array, pa.Array]:
    """These texts in NFC, and case folded besides."""
    normal = [unicodedata.normalize("NFC", text) for text in texts.take(pa.array(places)).to_pylist()]
    return pa.array(normal, pa.large_string()), pa.array([text.casefold() for text in normal], pa.large_string())
