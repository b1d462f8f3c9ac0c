"""Patterns over-represented across a corpus: what recurs is counted over all texts, and near-equal patterns are one.

"in the heart of the", "in the heart of a" and "deep in the heart of" are one habit of a writer, and so are "Elena" and
"Elena Vasquez": they form a cluster, named by its most frequent member.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import pyarrow as pa

from corpus.recipe import Recipe
from corpus.recurring import Recurring, as_rows, count_recurring, known_names
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id
from corpus.store.schema import TABLES
from filters.base import KINDS, Kind
from filters.rows import KEYS, comes_in, stream_texts

VERSION = 2
"""Raised when the code counts or clusters otherwise than before."""


def count_patterns(recipe: Recipe, store: WritingStore) -> dict[str, str]:
    """Count what recurs among the documents, and among the answers of the chats, unless that was done for just these.

    The rows of the table `recurring` name their cluster. Returns the pass over each kind of row, to be made current.
    """
    known = known_names(recipe)
    passes: dict[str, str] = {}
    for kind in KINDS:
        ids = _ids(store, kind)
        key = passes[kind] = _pass_hash(kind, ids, known)
        if store.has_pass("recurring", key):
            continue

        found = count_recurring(partial(stream_texts, store, kind), known, with_overlaps=True)
        clusters = cluster(found)
        rows = [
            {**row, "row_kind": kind, "cluster": clusters[one.kind, one.text]}
            for row, one in zip(as_rows(found, key), found, strict=True)
        ]
        table = pa.Table.from_pylist(rows, schema=TABLES["recurring"].schema)
        store.writer("filters").commit("recurring", key, table)
    return passes


def read_patterns(recipe: Recipe, store: Store, kind: Kind) -> Mapping[str, Mapping[str, str]]:
    """The patterns among the present rows of one kind: by `name`, `opening` and `phrase`, each with its cluster."""
    patterns: dict[str, dict[str, str]] = defaultdict(dict)
    key = _pass_hash(kind, _ids(store, kind), known_names(recipe))
    for row in store.rows("SELECT kind, text, cluster FROM all_recurring WHERE pass_hash = ? ORDER BY ALL", [key]):
        patterns[str(row["kind"])][str(row["text"])] = str(row["cluster"])
    return patterns


def _ids(store: Store, kind: Kind) -> list[str]:
    sql = f"SELECT {KEYS[kind]} AS id FROM {kind} WHERE {comes_in(kind)} ORDER BY id"
    return [str(row["id"]) for row in store.rows(sql)]


def _pass_hash(kind: Kind, ids: Sequence[str], known: Sequence[str]) -> str:
    return content_id("recurring", VERSION, kind, ids, known)


def cluster(found: Sequence[Recurring]) -> dict[tuple[str, str], str]:
    """The name of each pattern's cluster, by its kind and text: the text of the cluster's most frequent member.

    Two openings or phrases are near-equal if all but one of their words stand at the same places, or if all but the
    first of one begin the other. Two names are, if they have a word in common. What is near-equal to the same pattern
    is in the same cluster.
    """
    owner: dict[tuple[str, str], tuple[str, str]] = {}

    def root(pattern: tuple[str, str]) -> tuple[str, str]:
        while owner[pattern] != pattern:
            pattern = owner[pattern]
        return pattern

    # The most frequent first: the first pattern of a cluster names it.
    ranked = sorted(found, key=lambda one: (-one.num_documents, -len(one.text), one.text))
    rank = {(one.kind, one.text): place for place, one in enumerate(ranked)}
    first_with: dict[tuple[object, ...], tuple[str, str]] = {}
    for one in ranked:
        pattern = (one.kind, one.text)
        owner[pattern] = pattern
        for feature in _features(one):
            other = first_with.setdefault((one.kind, *feature), pattern)
            joined = sorted({root(pattern), root(other)}, key=rank.__getitem__)
            owner[joined[-1]] = joined[0]
    return {pattern: root(pattern)[1] for pattern in owner}


def _features(one: Recurring) -> Iterator[tuple[object, ...]]:
    """What near-equal patterns have in common: two of one kind with one of these are linked."""
    parts = one.text.split()
    if one.kind == "name":
        yield from (("word", part) for part in parts)
        return
    yield ("run", *parts[:-1])
    yield ("run", *parts[1:])
    for place in range(1, len(parts) - 1):
        yield ("gap", place, *parts[:place], *parts[place + 1 :])
