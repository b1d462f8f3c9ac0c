"""What recurs across documents: names, openings and phrases. Counted always; avoided in waves where a recipe asks.

A model that writes thousands of texts returns to a few invented names and turns. A wave of documents can be told those
of the waves before it; the list is a function of their finished rows, computed once and stored with its hash.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from corpus.store import Store, WritingStore
from corpus.store.schema import TABLES

OPENING_WORDS = 5
"""Words of an opening."""
PHRASE_WORDS = 5
"""Words of a phrase: shorter ones are mostly grammar."""
MIN_DOCUMENTS = 3
"""Documents that share something before it counts as recurring (documents)."""
MIN_FRACTION = 0.02
"""Share of the documents that has to share it, too (fraction; ours)."""
MAX_LISTED = 20
"""Names, openings and phrases, of each at most so many, that a prompt lists."""
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


def count_recurring(texts: Sequence[str], known: Iterable[str] = ()) -> list[Recurring]:
    """What stands in at least `MIN_DOCUMENTS` texts and `MIN_FRACTION` of them, the most frequent first.

    Args:
        texts: the documents.
        known: names that belong there, such as the assistant's; phrases with one of them count all the same.
    """
    expected = {word.casefold() for name in known for word in _WORD.findall(name)}
    least = max(MIN_DOCUMENTS, round(MIN_FRACTION * len(texts)))
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in ("name", "opening", "phrase")}
    for text in texts:
        words = [word.casefold() for word in _WORD.findall(text)]
        names = set(_NAME.findall(text))
        counts["name"].update(name for name in names if not expected & set(name.casefold().split()))
        if len(words) >= OPENING_WORDS:
            counts["opening"][" ".join(words[:OPENING_WORDS])] += 1
        counts["phrase"].update({" ".join(each) for each in _runs(words[OPENING_WORDS:])})
    found = [
        Recurring(kind, text, count)
        for kind, counter in counts.items()
        for text, count in counter.items()
        if count >= least
    ]
    found.sort(key=lambda each: (each.kind, -each.num_documents, each.text))
    return list(_without_overlaps(found))


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[start : start + PHRASE_WORDS]) for start in range(len(words) - PHRASE_WORDS + 1))


def _without_overlaps(found: Iterable[Recurring]) -> Iterator[Recurring]:
    """Of phrases that overlap (a longer one seen through a window), the most frequent."""
    taken: set[tuple[str, ...]] = set()
    for each in found:
        words = each.text.split()
        parts = {tuple(words[start : start + PHRASE_WORDS - 1]) for start in (0, 1)} if each.kind == "phrase" else set()
        if not parts & taken:
            taken |= parts
            yield each


def worn_list(found: Sequence[Recurring]) -> str:
    """What a prompt shows of it, one a line; "" where nothing recurs."""
    lines = []
    for kind, title in (("name", "Names"), ("opening", "Openings"), ("phrase", "Phrases")):
        texts = [each.text for each in found if each.kind == kind][:MAX_LISTED]
        lines += [f"{title}: {'; '.join(texts)}"] if texts else []
    return "\n".join(lines)


def stored_worn(store: Store) -> dict[str, str]:
    """What prompts were told is worn, by the hash it was stored under."""
    waves: dict[str, list[Recurring]] = {key: [] for scope, key in store.current("recurring").items() if scope != "all"}
    rows = store.rows(
        "SELECT kind, text, num_documents, pass_hash FROM recurring ORDER BY kind, num_documents DESC, text"
    )
    for row in rows:
        if (key := str(row["pass_hash"])) in waves:
            waves[key].append(Recurring(str(row["kind"]), str(row["text"]), int(str(row["num_documents"]))))
    return {key: worn_list(found) for key, found in waves.items()}


def store_recurring(store: WritingStore, scope: str, key: str, found: Sequence[Recurring]) -> None:
    """Keep what recurs: before a wave (`wave 3`), or in the whole corpus (`all`), under the hash of what it is of."""
    rows = [
        {"scope": scope, "kind": each.kind, "text": each.text, "num_documents": each.num_documents, "pass_hash": key}
        for each in found
    ]
    writer = store.writer("corpus")
    writer.commit("recurring", key, pa.Table.from_pylist(rows, schema=TABLES["recurring"].schema))
    writer.set_current("recurring", {**store.current("recurring"), scope: key})
