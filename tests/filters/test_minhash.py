import hashlib

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from filters import minhash
from filters.text import words

MASK = 2**64 - 1


def one_shingle(shingle: list[str]) -> int:
    """The hash of one word sequence as its definition says, in Python's whole numbers."""
    value = 0
    for word in shingle:
        word_hash = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        value = (value * 0x9E3779B97F4A7C15 + word_hash) & MASK
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = ((value ^ (value >> 33)) * factor) & MASK
    return value ^ (value >> 33)


def all_shingles(text: str, size: int) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[start : start + size]) for start in range(max(1, len(found) - size + 1))} if found else set()


TEXTS = st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "éa"]), max_size=30).map(" ".join)


@given(TEXTS, st.integers(1, 6))
def test_shingles_are_the_hashes_of_the_set_of_word_sequences(text: str, size: int) -> None:
    expected = sorted(one_shingle(list(shingle)) for shingle in all_shingles(text, size))
    assert minhash.shingles(text, size).tolist() == expected


def test_a_text_shorter_than_a_shingle_is_one_shingle_and_one_without_words_has_none() -> None:
    assert minhash.shingles("two words", 5).tolist() == [one_shingle(["two", "words"])]
    assert minhash.shingles("... !", 5).size == 0


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_signatures_are_datasketchs_bit_for_bit(texts: list[str]) -> None:
    signed = list(minhash.signatures([minhash.shingles(text, 3) for text in texts], 24))
    for text, found in zip(texts, signed, strict=True):
        reference = MinHash(num_perm=24, seed=1, scheme="affine32", hashfunc=lambda shingle: one_shingle(shingle) >> 32)
        for shingle in all_shingles(text, 3):
            reference.update(list(shingle))  # one at a time, and through its own code
        assert found.dtype == np.uint32
        assert found.tolist() == reference.hashvalues.tolist()


@given(TEXTS, TEXTS)
def test_jaccard_is_that_of_the_sets(this: str, other: str) -> None:
    these, those = all_shingles(this, 2), all_shingles(other, 2)
    expected = len(these & those) / len(these | those) if these and those else 0.0
    assert minhash.jaccard(minhash.shingles(this, 2), minhash.shingles(other, 2)) == pytest.approx(expected)


@given(st.lists(st.lists(st.integers(0, 1), min_size=6, max_size=6), min_size=1, max_size=20))
def test_candidates_are_the_pairs_equal_in_a_band_with_the_first_such_band(rows: list[list[int]]) -> None:
    signed = np.array(rows, dtype=np.uint32)
    found = minhash.candidate_pairs(signed, 3)
    expected = {}
    for first in range(len(rows)):
        for second in range(first + 1, len(rows)):
            equal = [b for b in range(3) if rows[first][2 * b : 2 * b + 2] == rows[second][2 * b : 2 * b + 2]]
            if equal:
                expected[first, second] = equal[0]
    pairs = zip(found.first.tolist(), found.second.tolist(), found.band.tolist(), strict=True)
    assert {(first, second): band for first, second, band in pairs} == expected


def test_a_large_group_costs_a_bounded_number_of_pairs_and_stays_connected() -> None:
    signed = np.zeros((500, 4), dtype=np.uint32)
    found = minhash.candidate_pairs(signed, 2)
    assert len(found.first) <= 500 * minhash.MAX_NEIGHBOURS
    assert set(minhash.components(500, found.first.tolist(), found.second.tolist()).tolist()) == {0}


def test_the_exact_digest_ignores_white_space_and_encoding_but_no_letter() -> None:
    assert minhash.exact_digest(" caf\u00e9\n now ") == minhash.exact_digest("cafe\u0301 now")
    assert minhash.exact_digest("Cafe now") != minhash.exact_digest("cafe now")
