"""Documents dealt to folds, so that each is scored by a model that has seen neither it nor anything made like it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from corpus.store.identity import draw


@dataclass(frozen=True, slots=True)
class Origin:
    """A document's genre, and what it has in common with others."""

    id: str
    genre: str
    shared: tuple[str, ...]
    """Names of what it came from: documents that share one never stand on both sides."""


@dataclass(frozen=True)
class Folds:
    """Which fold each document is in, and which genres can be learned."""

    genres: Sequence[str]
    """Those with enough documents, sorted."""
    fold_of: Mapping[str, int]
    """Fold of each document of those genres, by id."""
    num_groups: Mapping[str, int]
    """Groups of documents of one origin, by genre; a group of several genres counts for the first of them."""


def deal(documents: Sequence[Origin], num_folds: int, min_groups: int, seed: int) -> Folds:
    """Deal whole groups of one origin, genre by genre, so that every fold has its share of each genre.

    A genre of fewer than `min_groups` groups is left out. The order of the documents makes no difference.
    """
    group_of = _groups(documents)
    genre_of: dict[str, str] = {}
    for document in documents:
        group = group_of[document.id]
        genre_of[group] = min(genre_of.get(group, document.genre), document.genre)
    num_groups = Counter(genre_of.values())
    genres = sorted(genre for genre, num in num_groups.items() if num >= min_groups)
    by_genre: dict[str, list[str]] = defaultdict(list)
    for group in sorted(genre_of, key=lambda group: (draw("fold", seed, group), group)):
        by_genre[genre_of[group]].append(group)
    # Each genre begins at another fold: small ones would else all lack the last ones.
    fold_of_group = {
        group: (place + offset) % num_folds
        for offset, (_, groups) in enumerate(sorted(by_genre.items()))
        for place, group in enumerate(groups)
    }
    known = set(genres)
    fold_of = {one.id: fold_of_group[group_of[one.id]] for one in documents if one.genre in known}
    return Folds(genres, fold_of, num_groups)


def _groups(documents: Iterable[Origin]) -> dict[str, str]:
    """The smallest id of the documents that a document shares an origin with, directly or through others."""
    parent: dict[str, str] = {}

    def root(one: str) -> str:
        parent.setdefault(one, one)
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    ids = []
    for document in documents:
        ids.append(document.id)
        here = root(f"id {document.id}")
        for shared in document.shared:
            parent[root(f"of {shared}")] = here
            here = root(here)
    smallest: dict[str, str] = {}
    for one in sorted(ids):
        smallest.setdefault(root(f"id {one}"), one)
    return {one: smallest[root(f"id {one}")] for one in ids}
