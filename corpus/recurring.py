"""What recurs across documents: names, openings and phrases, counted in memory that does not grow with the corpus.

A model that writes thousands of texts returns to a few invented names and turns.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from corpus.recipe import Recipe
from corpus.store import Store
from corpus.store.identity import draw

OPENING_WORDS = 5
"""Words of an opening."""
PHRASE_WORDS = 5
"""Words of a phrase: shorter ones are mostly grammar."""
MIN_DOCUMENTS = 3
"""Documents that share something before it counts as recurring (documents)."""
MIN_FRACTION = 0.02
"""Share of the documents that has to share it, too (fraction; ours)."""
_BLOCK_ROWS = 4_096
"""Documents whose texts are in memory together."""
_HASH_BITS = 22
"""Places that phrases are counted by (2 to that power, 8 MiB): a text of 500 words takes one in 8,000."""
_MOST = (1 << 16) - 1
_NAME = re.compile(r"(?<=[\w,;)\]] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")
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

    Memory does not grow with the number of texts: phrases are counted by hash first, and only those that can recur
    are counted themselves.

    Args:
        texts: gives the documents; called twice.
        known: names that belong there, such as the assistant's; phrases with one of them count all the same.
        with_overlaps: whether phrases that overlap are all given, or only the most frequent of them.
    """
    expected = {word.casefold() for name in known for word in _WORD.findall(name)}
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in ("name", "opening", "phrase")}
    by_hash = np.zeros(1 << _HASH_BITS, dtype=np.uint16)
    num_texts = 0
    for text in texts():
        num_texts += 1
        words = words_in(text)
        places = np.unique(_hashes(words))
        by_hash[places] = np.minimum(by_hash[places], _MOST - 1) + 1
        names = names_in(text)
        counts["name"].update(name for name in names if not expected & set(name.casefold().split()))
        if len(words) >= OPENING_WORDS:
            counts["opening"][" ".join(words[:OPENING_WORDS])] += 1
    least = max(MIN_DOCUMENTS, round(MIN_FRACTION * num_texts))
    if (by_hash >= min(least, _MOST)).any():
        for text in texts():
            words = words_in(text)
            starts = np.flatnonzero(by_hash[_hashes(words)] >= min(least, _MOST)) + OPENING_WORDS
            counts["phrase"].update({" ".join(words[start : start + PHRASE_WORDS]) for start in starts.tolist()})
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


def _hashes(words: Sequence[str]) -> NDArray[np.int64]:
    """A place for each phrase after the opening; equal phrases have equal places."""
    each = np.fromiter(map(_word_hash, words[OPENING_WORDS:]), dtype=np.uint64)
    num_phrases = len(each) - PHRASE_WORDS + 1
    if num_phrases <= 0:
        return np.zeros(0, dtype=np.int64)
    mixed = np.zeros(num_phrases, dtype=np.uint64)
    for offset in range(PHRASE_WORDS):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + each[offset : offset + num_phrases]
    return (mixed >> np.uint64(64 - _HASH_BITS)).astype(np.int64)


@lru_cache(maxsize=1 << 16)
def _word_hash(word: str) -> int:
    return draw("word", word)


def _without_overlaps(found: Iterable[Recurring]) -> Iterator[Recurring]:
    """Of phrases that overlap (a longer one seen through a window), the most frequent."""
    taken: set[tuple[str, ...]] = set()
    for each in found:
        words = each.text.split()
        parts = {tuple(words[start : start + PHRASE_WORDS - 1]) for start in (0, 1)} if each.kind == "phrase" else set()
        if not parts & taken:
            taken |= parts
            yield each


def recurring_in(store: Store, doc_ids: Sequence[str], known: Iterable[str]) -> list[Recurring]:
    """What recurs in these documents, whose texts are read a block at a time."""

    def texts() -> Iterator[str]:
        for start in range(0, len(doc_ids), _BLOCK_ROWS):
            block = list(doc_ids[start : start + _BLOCK_ROWS])
            rows = store.rows("SELECT text FROM documents WHERE doc_id IN (SELECT unnest(?))", [block])
            yield from (str(row["text"]) for row in rows)

    return count_recurring(texts, known)


def as_rows(found: Iterable[Recurring], pass_hash: str) -> list[dict[str, object]]:
    """Rows of the tables `recurring` and `worn`."""
    return [{**asdict(each), "pass_hash": pass_hash} for each in found]


def known_names(recipe: Recipe) -> list[str]:
    """The assistant's name and its maker's, which belong into every document."""
    return [recipe.spec.model_name, recipe.spec.provider_name] if recipe.spec else []
