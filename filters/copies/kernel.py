"""From the bytes of texts to shingles, signatures and digests, compiled.

It reads UTF-8 as Arrow holds it, offsets and bytes, and makes no Python string. Hashes wrap around at 2**64 and 2**32.
"""

from __future__ import annotations

import numpy as np

from filters.compiled import Bytes, Hashes, Places, Values, compiled

WORD, ALONE, APOSTROPHE, SPACE, COMPLEX = 1, 2, 4, 8, 16
"""What a character is: part of a word, a word by itself, what may join two parts of a word, white space, and one that
normalisation or case folding treats in a way that the kernel does not know. Bits of `classes`."""
NOT_READ = -1
"""Stands for the number of shingles of a text with a complex character."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that no word is multiplied away (2**64 divided by the golden ratio)."""
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_MIX32_1, _MIX32_2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_WORD_SEED, _WORD_FACTOR = np.uint64(0x243F6A8885A308D3), np.uint64(0xD6E8FEB86659FD93)
_DIGEST_SEED = np.uint64(0x13198A2E03707344)
_DIGEST_1, _DIGEST_2 = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB)
_U29, _U32, _U33 = np.uint64(29), np.uint64(32), np.uint64(33)
_ZERO = np.uint64(0)
_TILE = 2_048
"""Shingles that meet one permutation after another while they lie in the nearest cache (8 kB)."""


@compiled
def _mixed(value: np.uint64) -> np.uint64:
    """MurmurHash3's finaliser of 64 bits: each bit of the value moves half of the result's."""
    value = (value ^ (value >> _U33)) * _MIX_1
    value = (value ^ (value >> _U33)) * _MIX_2
    return value ^ (value >> _U33)


@compiled
def _code_point(data: Bytes, start: int, end: int) -> tuple[np.int64, int]:
    """The character at `start`, and where the next one begins; bytes that are no UTF-8 never lead beyond `end`."""
    first = np.int64(data[start])
    if first < 0x80:
        return first, start + 1
    size = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    value = first & (0x7F >> size)
    stop = min(start + size, end)
    for place in range(start + 1, stop):
        value = (value << 6) | (np.int64(data[place]) & 0x3F)
    return value if value < 0x10FFFF else np.int64(0x10FFFF), stop


@compiled
def _digest(data: Bytes, start: int, end: int, classes: Bytes, folded: Bytes, digest: Hashes) -> None:
    """Hash a text with its runs of white space as one space, twice over eight bytes at a time; `folded` is room."""
    num_bytes = 0
    is_after_space = True  # what stands at the beginning goes
    place = start
    while place < end:
        first = data[place]
        if first < 0x80:
            is_space = classes[first] & SPACE != 0
            folded[num_bytes] = 0x20 if is_space else first
            num_bytes += not (is_space and is_after_space)
            is_after_space = is_space
            place += 1
            continue
        point, stop = _code_point(data, place, end)
        if classes[point] & SPACE:
            folded[num_bytes] = 0x20
            num_bytes += not is_after_space
            is_after_space = True
        else:
            is_after_space = False
            for byte in range(place, stop):
                folded[num_bytes] = data[byte]
                num_bytes += 1
        place = stop
    if num_bytes and is_after_space:
        num_bytes -= 1
    for byte in range(num_bytes, num_bytes + 8):  # the last block is filled up
        folded[byte] = 0
    one, two = _DIGEST_SEED, ~_DIGEST_SEED
    for block in folded[: (num_bytes + 7) // 8 * 8].view(np.uint64):
        one = (one ^ block) * _DIGEST_1
        one ^= one >> _U32
        two = (two + block) * _DIGEST_2
        two ^= two >> _U29
    digest[0] = _mixed(one ^ np.uint64(num_bytes))
    digest[1] = _mixed(two + np.uint64(num_bytes))


@compiled
def _words(  # noqa: C901 - a state machine: in pieces, its state would be handed on at every character
    data: Bytes, start: int, end: int, folds: Places, classes: Bytes, letters: Hashes, is_folded: bool, words: Hashes
) -> int:
    """Hash the words of a text into `words`, each a polynomial over its characters; their number, or NOT_READ."""
    num_words = 0
    word = _WORD_SEED
    is_in_word = False
    joint = np.int64(0)  # the apostrophe after a part of a word; it counts if another part follows
    place = start
    while place <= end:
        letter = letters[data[place]] if place < end else _ZERO
        if letter:
            if joint:
                word = word * _WORD_FACTOR + np.uint64(joint)
                joint = np.int64(0)
            while letter:
                word = word * _WORD_FACTOR + letter
                place += 1
                letter = letters[data[place]] if place < end else _ZERO
            is_in_word = True
        point, stop, kind = np.int64(0x20), place + 1, SPACE  # what ends the last word
        if place < end:
            if data[place] < 0x80:
                point = np.int64(data[place])
            else:
                point, stop = _code_point(data, place, end)
            kind = classes[point]
            if not is_folded:
                if kind & COMPLEX:
                    return NOT_READ
                folded = folds[point]
                if folded != point:
                    point = folded
                    kind = classes[point]
        place = stop
        if kind & WORD:
            if joint:
                word = word * _WORD_FACTOR + np.uint64(joint)
                joint = np.int64(0)
            word = word * _WORD_FACTOR + np.uint64(point)
            is_in_word = True
        elif kind & APOSTROPHE and is_in_word and not joint:
            joint = point
        else:
            if is_in_word:
                words[num_words] = _mixed(word)
                num_words += 1
            if kind & ALONE:
                words[num_words] = _mixed(_WORD_SEED * _WORD_FACTOR + np.uint64(point))
                num_words += 1
            word, is_in_word, joint = _WORD_SEED, False, np.int64(0)
    return num_words


@compiled
def _shingle(words: Hashes, num_words: int, shingle_words: int, found: Hashes) -> int:
    """Hash the sequences of words into `found`, in order and with repeats: polynomials over their words."""
    width = min(shingle_words, num_words)
    if width <= 0:
        return num_words
    value, leaving = _ZERO, _MULTIPLIER
    for index in range(width):
        value = value * _MULTIPLIER + words[index]
    for _ in range(width - 1):
        leaving *= _MULTIPLIER
    found[0] = _mixed(value)
    for index in range(width, num_words):
        value = value * _MULTIPLIER + words[index] - words[index - width] * leaving
        found[index - width + 1] = _mixed(value)
    return num_words - width + 1


@compiled
def _ascii_letters(folds: Places, classes: Bytes) -> Hashes:
    """By byte, the character that a letter or digit of ASCII folds to; 0 for every other byte."""
    letters = np.zeros(256, np.uint64)
    for byte in range(0x80):
        if classes[byte] & WORD:
            letters[byte] = np.uint64(folds[byte])
    return letters


@compiled
def _most_shingles(offsets: Places) -> int:
    """No text of these has more shingles: two ASCII words have a byte between, other characters have two at least."""
    longest = 0
    for index in range(len(offsets) - 1):
        longest = max(longest, offsets[index + 1] - offsets[index])
    return longest // 2 + 2


@compiled
def sign_texts(
    offsets: Places, data: Bytes, folds: Places, classes: Bytes, is_folded: bool, shingle_words: int,
    factors: Values, addends: Values, signatures: Values, digests: Hashes, counts: Places,
) -> None:  # fmt: skip
    """Fill in the signature, (texts, permutations), digest, (texts, 2), and number of shingles of each text.

    A text with a complex character gets NOT_READ for a number. `is_folded`: the texts are normalised and case folded
    already, and no character of theirs is complex. A permutation is `factor * hash + addend`.
    """
    found = np.empty(_most_shingles(offsets), np.uint64)
    folded = np.empty(2 * len(found) + 8, np.uint8)
    letters = _ascii_letters(folds, classes)
    mixed = np.empty(_TILE, np.uint32)
    words = np.empty(len(found), np.uint64)
    num_permutations = len(factors)
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        num_words = _words(data, start, end, folds, classes, letters, is_folded, words)
        num_found = _shingle(words, num_words, shingle_words, found)
        counts[text] = num_found
        if num_found == NOT_READ:
            continue
        _digest(data, start, end, classes, folded, digests[text])
        signature = signatures[text]
        signature[:] = np.uint32(0xFFFFFFFF)
        for first in range(0, num_found, _TILE):
            num_mixed = min(_TILE, num_found - first)
            for index in range(num_mixed):
                value = np.uint32(found[first + index] >> _U32)
                value = np.uint32((value ^ (value >> np.uint32(16))) * _MIX32_1)
                value = np.uint32((value ^ (value >> np.uint32(13))) * _MIX32_2)
                mixed[index] = value ^ (value >> np.uint32(16))
            for permutation in range(num_permutations):
                factor, addend, lowest = factors[permutation], addends[permutation], signature[permutation]
                for index in range(num_mixed):
                    value = np.uint32(factor * mixed[index] + addend)
                    lowest = value if value < lowest else lowest
                signature[permutation] = lowest


@compiled
def shingle_texts(
    offsets: Places, data: Bytes, folds: Places, classes: Bytes, is_folded: bool, shingle_words: int, counts: Places
) -> Hashes:
    """The shingles of each text, repeats included, one text's after another's; fills in their numbers as above."""
    found = np.empty(_most_shingles(offsets), np.uint64)
    letters = _ascii_letters(folds, classes)
    words = np.empty(len(found), np.uint64)
    room = np.empty((offsets[-1] - offsets[0]) // 2 + 2 * len(offsets), np.uint64)
    total = 0
    for text in range(len(offsets) - 1):
        num_words = _words(data, offsets[text], offsets[text + 1], folds, classes, letters, is_folded, words)
        num_found = _shingle(words, num_words, shingle_words, found)
        counts[text] = num_found
        for index in range(num_found):
            room[total] = found[index]
            total += 1
    return room[:total].copy()
