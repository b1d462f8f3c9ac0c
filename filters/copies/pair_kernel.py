"""Comparing sets of hashes and signatures, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.compiled import Hashes, Places, Values, compiled

_SEED, _FACTOR = np.uint64(0x13198A2E03707344), np.uint64(0xD6E8FEB86659FD93)
_U32 = np.uint64(32)


@compiled
def _slots(size: int) -> int:
    """Slots of a table of hashes that is at most half full: a power of two."""
    slots = 16
    while slots < 2 * size:
        slots *= 2
    return slots


@compiled
def _find(value: np.uint64, table: Hashes, filled: Places, round_number: int) -> int:
    """The slot of a hash in the table of this round, or the one it belongs into: then that is of another round."""
    mask = len(table) - 1
    slot = int(np.int64(value & np.uint64(mask)))
    while filled[slot] == round_number and table[slot] != value:
        slot = (slot + 1) & mask
    return slot


@compiled
def _insert(value: np.uint64, table: Hashes, filled: Places, round_number: int) -> bool:
    """Put a hash into the table of this round; False where it is in it already."""
    slot = _find(value, table, filled, round_number)
    if filled[slot] == round_number:
        return False
    table[slot] = value
    filled[slot] = round_number
    return True


@compiled
def make_sets(shingles: Hashes, counts: Places) -> Hashes:
    """The different shingles of each text, given those with repeats and their numbers, which become those without."""
    slots = _slots(counts.max() if len(counts) else 0)
    table, filled = np.empty(slots, np.uint64), np.full(slots, -1, np.int64)
    found = np.empty(len(shingles), np.uint64)
    read = total = 0
    for text in range(len(counts)):
        before = total
        for index in range(read, read + counts[text]):
            if _insert(shingles[index], table, filled, text):
                found[total] = shingles[index]
                total += 1
        read += counts[text]
        counts[text] = total - before
    return found[:total].copy()


@compiled
def jaccards(
    first: Places, second: Places, starts: Places, ends: Places, shingles: Hashes, found: NDArray[np.float64]
) -> None:
    """Fill in shared by all shingles of each pair, 0 where one has none. Set N is `shingles[starts[N]:ends[N]]`.

    Quickest where pairs with the same `first` follow one another.
    """
    largest = 0
    for index in range(len(first)):
        largest = max(largest, ends[first[index]] - starts[first[index]])
    slots = _slots(largest)
    table, filled = np.empty(slots, np.uint64), np.full(slots, -1, np.int64)
    in_table = -1
    for index in range(len(first)):
        this, other = first[index], second[index]
        if this != in_table:
            # A table is at most half full of one set: sets that came before are of another round, and free.
            for place in range(starts[this], ends[this]):
                _insert(shingles[place], table, filled, this)
            in_table = this
        shared = 0
        for place in range(starts[other], ends[other]):
            shared += filled[_find(shingles[place], table, filled, this)] == this
        together = ends[this] - starts[this] + ends[other] - starts[other] - shared
        found[index] = shared / together if shared else 0.0


@compiled
def band_keys(signatures: Values, bands: int, keys: Hashes) -> None:
    """Fill in a hash of each band of each signature: `keys` is (bands, texts)."""
    rows = signatures.shape[1] // bands
    for text in range(len(signatures)):
        for band in range(bands):
            key = _SEED
            for column in range(band * rows, (band + 1) * rows):
                key = (key ^ np.uint64(signatures[text, column])) * _FACTOR
                key ^= key >> _U32
            keys[band, text] = key


@compiled
def most_alike(signatures: Values, order: Places, group: Places, looked_at: int, kept: int) -> Places:
    """For each text the `kept` ones most alike by their signatures among the `looked_at` that follow in its group.

    `order`: texts, group after group; `group`: the number of each one's group. Returns texts, (pairs, 2).
    """
    num_texts, num_permutations = len(order), signatures.shape[1]
    pairs = np.empty((num_texts * kept, 2), np.int64)
    num_pairs = 0
    equals = np.empty(kept, np.int64)
    for index in range(num_texts):
        signature = signatures[order[index]]
        first_pair = num_pairs
        for following in range(index + 1, min(index + looked_at + 1, num_texts)):
            if group[following] != group[index]:
                break
            other = signatures[order[following]]
            num_equal = 0
            for permutation in range(num_permutations):
                num_equal += signature[permutation] == other[permutation]
            slot = num_pairs - first_pair
            if slot == kept:  # the least alike of those kept makes room
                slot = int(np.argmin(equals))
                if equals[slot] >= num_equal:
                    continue
            else:
                num_pairs += 1
            equals[slot] = num_equal
            pairs[first_pair + slot, 0], pairs[first_pair + slot, 1] = order[index], order[following]
    return pairs[:num_pairs].copy()
