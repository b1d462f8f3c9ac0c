"""Compiled: hashing spans of code points, and a set of such hashes that is emptied by a new stamp.

64 bits: two different spans among a million share a hash with p = 3e-8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.compiled import compiled

Codes = NDArray[np.uint32]
Places = NDArray[np.int32]

_BASIS = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)  # both: FNV-1a, 64 bits
_MIX = np.uint64(0xFF51AFD7ED558CCD)  # murmur3's finaliser
_HALF = np.uint64(32)


@compiled
def hash_span(text: Codes, start: int, end: int) -> np.uint64:
    """The hash of text[start:end]."""
    found = _BASIS
    for i in range(start, end):
        found = (found ^ np.uint64(text[i])) * _PRIME
    return mixed(found)


@compiled
def extend_ngrams(running: NDArray[np.uint64], hashes: NDArray[np.uint64], size: int) -> None:
    """Make hashes of n-grams of `size - 1` words, by their first words, into those of `size`; `mixed` finishes one.

    Before the first word, which is `size` 1, they are anything that is the same for all.
    """
    for i in range(len(hashes) - size + 1):
        found = (running[i] ^ hashes[i + size - 1]) * _PRIME
        running[i] = found ^ (found >> _HALF)


@compiled
def mixed(found: np.uint64) -> np.uint64:
    """Every bit of the result depends on every bit of `found`."""
    found = (found ^ (found >> _HALF)) * _MIX
    return found ^ (found >> _HALF)


@compiled
def find_slot(keys: NDArray[np.uint64], stamps: Places, stamp: int, key: np.uint64) -> int:
    """Where `key` stands among the keys of this stamp, or where it belongs: then the slot has another stamp.

    There have to be twice as many slots as keys to hold, or more, and a power of two of them.
    """
    mask = len(keys) - 1
    slot = int(np.int64(key & np.uint64(mask)))
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def find_repeated(
    text: Codes, starts: Places, ends: Places, num: int, keys: NDArray[np.uint64], stamps: Places, stamp: int
) -> tuple[int, int, int]:
    """How many of the spans stood before, their characters, and which is the first of them (-1: none)."""
    num_repeated, num_chars, first = 0, 0, -1
    for i in range(num):
        key = hash_span(text, starts[i], ends[i])
        slot = find_slot(keys, stamps, stamp, key)
        if stamps[slot] == stamp:
            num_repeated += 1
            num_chars += ends[i] - starts[i]
            if first < 0:
                first = i
        else:
            stamps[slot] = stamp
            keys[slot] = key
    return num_repeated, num_chars, first
