import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.copies import kernel, minhash
from filters.copies.folding import characters
from filters.text import words

ROOT = Path(__file__).resolve().parents[2]
MASK = 2**64 - 1


def mixed(value: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = ((value ^ (value >> 33)) * factor) & MASK
    return value ^ (value >> 33)


def one_shingle(shingle: tuple[str, ...]) -> int:
    """The hash of one word sequence as its definition says, in Python's whole numbers."""
    value = 0
    for word in shingle:
        word_hash = 0x243F6A8885A308D3
        for character in word:
            word_hash = (word_hash * 0xD6E8FEB86659FD93 + ord(character)) & MASK
        value = (value * 0x9E3779B97F4A7C15 + mixed(word_hash)) & MASK
    return mixed(value)


def all_shingles(text: str, size: int) -> list[tuple[str, ...]]:
    found = words(text)
    return [tuple(found[start : start + size]) for start in range(max(1, len(found) - size + 1))] if found else []


def sets_of(texts: list[str], size: int) -> list[list[int]]:
    sets = minhash.shingle_sets(pa.array(texts, pa.string()), size)
    return [sorted(sets.shingles[start:end].tolist()) for start, end in zip(sets.starts, sets.ends, strict=True)]


TEXTS = st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "éa"]), max_size=30).map(" ".join)
UNICODE = st.lists(
    st.one_of(
        st.text(max_size=8),  # of all planes
        st.text("aBz09'\u2019_-. \n\t\u00a0\u3000", max_size=8),
        st.text("eE\u00e9\u0301\u0327\u00df\u0130\u0149\u1100\u1161\u11a8\uac00\u09c7\u09be\u212b", max_size=6),
        st.text("\u306f\u6b63\u30fc\u4e00\U00020001\U0001f600\u0e01\u0e33\ufb01\u03a3\u03c2\u10d0\uab70", max_size=6),
    ),
    max_size=12,
).map(" ".join)  # fmt: skip


@given(st.lists(st.one_of(TEXTS, UNICODE), max_size=6), st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_shingles_are_the_hashes_of_the_word_sequences_that_python_finds(texts: list[str], size: int) -> None:
    expected = [sorted({one_shingle(shingle) for shingle in all_shingles(text, size)}) for text in texts]
    assert sets_of(texts, size) == expected


@given(st.lists(st.one_of(TEXTS, UNICODE), min_size=1, max_size=5), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_signatures_are_datasketchs_bit_for_bit(texts: list[str], size: int) -> None:
    signed = minhash.sign(pa.array(texts, pa.large_string()), size, 24)
    assert signed.signatures.dtype == np.uint32
    for text, found, num_shingles in zip(texts, signed.signatures, signed.num_shingles, strict=True):
        reference = MinHash(num_perm=24, seed=1, scheme="affine32", hashfunc=lambda shingle: one_shingle(shingle) >> 32)
        shingles = all_shingles(text, size)
        for shingle in shingles:
            reference.update(shingle)  # one at a time, and through its own code
        assert found.tolist() == reference.hashvalues.tolist()
        assert num_shingles == len(shingles)


def test_every_character_of_unicode_is_read_as_python_reads_it() -> None:
    """Alone and between two letters, with the characters in every plane."""
    points = [point for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    points = [point for point in points if point < 0x3400 or point % 97 == 0 or 0xF900 <= point < 0x1F000]
    texts = [f"{chr(point)} a{chr(point)}b" for point in points]
    for text, found in zip(texts, sets_of(texts, 1), strict=True):
        assert set(found) == {one_shingle((word,)) for word in words(text)}, ascii(text)


def test_a_character_that_normalisation_may_join_to_one_before_it_is_left_to_python() -> None:
    """Whatever stands second in a canonical decomposition, and the Korean letters, which are joined by rule."""
    second = {chr(0x1161), chr(0x1175), chr(0x11A8), chr(0x11C2)}
    for point in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(point))
        if parts and not parts.startswith("<"):
            second |= {chr(int(part, 16)) for part in parts.split()[1:]}
    assert len(second) > 50
    classes = characters().classes
    assert [ascii(one) for one in sorted(second) if not classes[ord(one)] & kernel.COMPLEX] == []


def test_ordinary_prose_is_read_without_python() -> None:
    prose = "“Naïve” \u2018café\u2019 — 5 €, Ünïted… Привет κόσμε 正直 ✓ 😀 it\u2019s done\u00a0now"
    classes = characters().classes
    assert not any(classes[ord(character)] & kernel.COMPLEX for character in prose)


def test_a_text_shorter_than_a_shingle_is_one_shingle_and_one_without_words_has_none() -> None:
    assert sets_of(["two words", "... !", ""], 5) == [[one_shingle(("two", "words"))], [], []]


def test_a_slice_of_an_array_and_one_with_nulls_are_read_where_they_are() -> None:
    texts = pa.array(["one two", None, "three four", "five six"])
    signed = minhash.sign(texts, 2, 8)
    assert signed.num_shingles.tolist() == [1, 0, 1, 1]
    assert minhash.sign(texts[2:3], 2, 8).digests.tolist() == signed.digests[2:3].tolist()


@given(st.binary(max_size=40))
@settings(deadline=None)
def test_bytes_that_are_no_text_lead_nowhere(data: bytes) -> None:
    """Arrow does not look at what it is given: the kernel stays inside, and does not fail."""
    guarded = b"guard " + data + b" guard"
    offsets = np.array([6, 6 + len(data)], np.int32)
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(guarded))
    tables, counts = characters(), np.empty(1, np.int64)
    kernel.shingle_texts(*minhash._buffers(broken), tables.folds, tables.classes, True, 2, counts)
    assert 0 <= counts[0] <= len(data) + 1


@given(st.lists(st.one_of(TEXTS, UNICODE), min_size=2, max_size=5))
@settings(max_examples=200, deadline=None)
def test_digests_are_equal_where_the_normalised_and_folded_texts_are(texts: list[str]) -> None:
    texts += [f" {texts[0]}\n\t", unicodedata.normalize("NFD", texts[1])]
    folded = [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]
    digests = [digest.tobytes() for digest in minhash.sign(pa.array(texts), 3, 4).digests]
    for one in range(len(texts)):
        for two in range(len(texts)):
            assert (digests[one] == digests[two]) == (folded[one] == folded[two])


def test_the_exact_digest_ignores_white_space_and_encoding_but_no_letter() -> None:
    texts = [
        " caf\u00e9\n now ",
        "cafe\u0301 now",
        "Caf\u00e9 now",
        "caf\u00e9now",
        "caf\u00e9 now\0",
        "\0caf\u00e9 now",
    ]
    digests = [digest.tobytes() for digest in minhash.sign(pa.array(texts), 3, 4).digests]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5


@given(TEXTS, TEXTS)
@settings(deadline=None)
def test_jaccard_is_that_of_the_sets(this: str, other: str) -> None:
    these, those = set(all_shingles(this, 2)), set(all_shingles(other, 2))
    expected = len(these & those) / len(these | those) if these and those else 0.0
    sets = minhash.shingle_sets(pa.array([this, other]), 2)
    found = minhash.jaccards(np.array([0, 1, 0]), np.array([1, 0, 0]), sets)
    assert found.tolist() == pytest.approx([expected, expected, 1.0 if these else 0.0])


@given(st.lists(st.lists(st.integers(0, 1), min_size=6, max_size=6), min_size=1, max_size=20))
@settings(deadline=None)
def test_candidates_are_the_pairs_equal_in_a_band_with_the_first_such_band(rows: list[list[int]]) -> None:
    found = minhash.candidate_pairs(np.array(rows, dtype=np.uint32), 3)
    expected = {}
    for first in range(len(rows)):
        for second in range(first + 1, len(rows)):
            equal = [b for b in range(3) if rows[first][2 * b : 2 * b + 2] == rows[second][2 * b : 2 * b + 2]]
            if equal:
                expected[first, second] = equal[0]
    pairs = zip(found.first.tolist(), found.second.tolist(), found.band.tolist(), strict=True)
    assert {(first, second): band for first, second, band in pairs} == expected


def test_a_large_group_costs_a_bounded_number_of_pairs_and_stays_connected() -> None:
    found = minhash.candidate_pairs(np.zeros((500, 4), np.uint32), 2)
    assert len(found.first) <= 500 * minhash.MAX_NEIGHBOURS
    assert set(minhash.components(500, found.first, found.second).tolist()) == {0}


def whole_clusters() -> int:
    """300 clusters of 5 texts of Jaccard 0.9 that share a template, so that two of different clusters have 0.8 too.

    A value of a signature is the template's, but for one in 20 that is the cluster's and one in 20 of the text's own.
    """
    rng = np.random.default_rng(0)
    cluster = rng.permutation(1500) % 300
    values = rng.integers(1, 2**32, (1800, 120))
    of_clusters = np.where(rng.random((300, 120)) < 0.05, values[:300], 0)
    signatures = np.where(rng.random((1500, 120)) < 0.05, values[300:], of_clusters[cluster]).astype(np.uint32)
    found = minhash.candidate_pairs(signatures, 20)
    assert len(found.first) <= 20 * 1500 * minhash.MAX_NEIGHBOURS
    alike = cluster[found.first] == cluster[found.second]
    labels = minhash.components(1500, found.first[alike], found.second[alike])
    return sum(len(set(labels[cluster == one].tolist())) == 1 for one in range(300))


def test_clusters_that_share_a_large_group_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The controls: without a look at the signatures, and in the order of the ids alone, strangers stand between."""
    assert whole_clusters() >= 0.99 * 300
    monkeypatch.setattr(minhash, "LOOKED_AT", 16)
    in_order = whole_clusters()
    assert in_order < 0.99 * 300
    monkeypatch.setattr(minhash, "_NEXT_BANDS", 0)
    assert whole_clusters() < in_order


def test_the_kernel_works_where_its_code_cannot_be_kept(tmp_path: Path) -> None:
    code = (
        "import numba; from numba.core import caching; caching.CacheImpl._locator_classes = []\n"
        "import pyarrow as pa; from filters.copies import minhash\n"
        "print(minhash.sign(pa.array(['one two three']), 2, 4).num_shingles[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"
