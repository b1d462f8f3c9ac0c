"""What recurs across documents: names, openings and phrases, counted in memory that does not grow with the corpus.

A model that writes thousands of texts returns to a few invented names and turns.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from corpus.recipe import Recipe
from corpus.store import LAST_VERSION, Store

OPENING_WORDS = 5
"""Words of an opening."""
PHRASE_WORDS = 5
"""Words of a phrase: shorter ones are mostly grammar."""
MIN_DOCUMENTS = 3
"""Documents that share something before it counts as recurring (documents)."""
MIN_FRACTION = 0.02
"""Share of the documents that has to share it, too (fraction; ours)."""
_BLOCK_ROWS = 512
"""Documents whose texts are in memory together."""
_HASH_BITS = 22
"""Places that each kind is counted by (2 to that power, 8 MiB): a text of 500 words takes one in 8,000."""
_MOST = (1 << 16) - 1
_CAPITALISED = r"(?=\w*[a-z])[A-Z]\w*"
"""A whole word, however it goes on (ChatGPT, José); capitals alone are no name."""
_NAME = re.compile(rf"(?<=[\w,;)\]] ){_CAPITALISED}(?: {_CAPITALISED})*")
"""Capitalised words that do not begin a sentence."""
_WORD = re.compile(r"[\w'\u2019-]+")


@dataclass(frozen=True)
class Recurring:
    """One thing that recurs."""

    kind: str
    """`name`, `opening` or `phrase`."""
    text: str
    num_documents: int


def count_recurring(
    texts: Callable[[], Iterable[str]], known: Iterable[str] = (), *, with_overlaps: bool = False
) -> list[Recurring]:
    """What stands in at least `MIN_DOCUMENTS` texts and `MIN_FRACTION` of them, the most frequent first.

    Memory does not grow with the number of texts: all are counted by hash first, and only what can recur is counted
    itself.

    Args:
        texts: gives the documents; called twice.
        known: names that belong there, such as the assistant's; phrases with one of them count all the same.
        with_overlaps: whether phrases that overlap are all given, or only the most frequent of them.
    """
    expected = {word.casefold() for name in known for word in _WORD.findall(name)}
    by_hash = {kind: np.zeros(1 << _HASH_BITS, dtype=np.uint16) for kind in ("name", "opening", "phrase")}
    num_texts = most = 0
    for text in texts():
        num_texts += 1
        for kind, places in _places(text).items():
            counted = np.minimum(by_hash[kind][places], _MOST - 1) + 1
            by_hash[kind][places] = counted
            most = max(most, int(counted.max(initial=0)))
    least = max(MIN_DOCUMENTS, round(MIN_FRACTION * num_texts))
    enough = min(least, _MOST)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in by_hash}
    if most >= enough:
        for text in texts():
            words = words_in(text)
            starts = np.flatnonzero(by_hash["phrase"][_hashes(words)] >= enough) + OPENING_WORDS
            counts["phrase"].update({" ".join(words[start : start + PHRASE_WORDS]) for start in starts.tolist()})
            names = (name for name in names_in(text) if by_hash["name"][_text_hash(name)] >= enough)
            counts["name"].update(name for name in names if not expected & set(name.casefold().split()))
            opening = _opening(words)
            if opening and by_hash["opening"][_text_hash(opening)] >= enough:
                counts["opening"][opening] += 1
    found = [
        Recurring(kind, text, count)
        for kind, counter in counts.items()
        for text, count in counter.items()
        if count >= least
    ]
    found.sort(key=lambda each: (each.kind, -each.num_documents, each.text))
    return found if with_overlaps else list(_without_overlaps(found))


def names_in(text: str) -> set[str]:
    """Capitalised words that do not begin a sentence."""
    return set(_NAME.findall(text))


def words_in(text: str) -> list[str]:
    """The words that openings and phrases are made of."""
    return _WORD.findall(text.casefold())


def _opening(words: Sequence[str]) -> str:
    """The first words; "" of a shorter text."""
    return " ".join(words[:OPENING_WORDS]) if len(words) >= OPENING_WORDS else ""


def _places(text: str) -> dict[str, NDArray[np.int64]]:
    """Where a text is counted, by kind: each place once, and equal things in equal places."""
    words = words_in(text)
    opening = _opening(words)
    return {
        "name": np.array(sorted({_text_hash(name) for name in names_in(text)}), dtype=np.int64),
        "opening": np.array([_text_hash(opening)] if opening else [], dtype=np.int64),
        "phrase": np.unique(_hashes(words)),
    }


def _text_hash(text: str) -> int:
    return zlib.crc32(text.encode()) & ((1 << _HASH_BITS) - 1)


def _hashes(words: Sequence[str]) -> NDArray[np.int64]:
    """A place for each phrase after the opening; equal phrases have equal places."""
    each = np.fromiter(
        map(_word_hash, words[OPENING_WORDS:]), dtype=np.uint64, count=max(0, len(words) - OPENING_WORDS)
    )
    num_phrases = len(each) - PHRASE_WORDS + 1
    if num_phrases <= 0:
        return np.zeros(0, dtype=np.int64)
    mixed = np.zeros(num_phrases, dtype=np.uint64)
    for offset in range(PHRASE_WORDS):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + each[offset : offset + num_phrases]
    return (mixed >> np.uint64(64 - _HASH_BITS)).astype(np.int64)


@lru_cache(maxsize=1 << 16)
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def _without_overlaps(found: Iterable[Recurring]) -> Iterator[Recurring]:
    """Of phrases that overlap (a longer one seen through a window), the most frequent."""
    taken: set[tuple[str, ...]] = set()
    for each in found:
        words = each.text.split()
        parts = {tuple(words[start : start + PHRASE_WORDS - 1]) for start in (0, 1)} if each.kind == "phrase" else set()
        if not parts & taken:
            taken |= parts
            yield each


def recurring_in(store: Store, known: Iterable[str], first_waves: int | None = None) -> list[Recurring]:
    """What recurs in the run's documents, whose texts are read a block at a time, twice.

    Args:
        store: the run.
        known: see `count_recurring`.
        first_waves: only documents that were written in the first this many waves (waves); None: all documents.
    """
    sql, parameters = f"SELECT text FROM documents WHERE {LAST_VERSION}", []
    if first_waves is not None:
        wanted = f"wave < ? AND {LAST_VERSION}"
        sql, parameters = f"SELECT text FROM documents JOIN briefs USING (brief_id) WHERE {wanted}", [first_waves]

    def texts() -> Iterator[str]:
        for batch in store.batches(sql, parameters, num_rows=_BLOCK_ROWS):
            yield from batch.column(0).to_pylist()

    return count_recurring(texts, known)


def as_rows(found: Iterable[Recurring], pass_hash: str) -> list[dict[str, object]]:
    """Rows of the tables `recurring` and `worn`."""
    return [{**asdict(each), "pass_hash": pass_hash} for each in found]


def known_names(recipe: Recipe) -> list[str]:
    """The assistant's name and its maker's, which belong into every document."""
    return [recipe.spec.model_name, recipe.spec.provider_name] if recipe.spec else []
