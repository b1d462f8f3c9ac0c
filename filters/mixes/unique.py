"""How much of a mix is said once: its tokens after repeats and near-duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from corpus.recipe import Duplicates, Recipe
from corpus.store import Store
from filters.base import Kind
from filters.copies.candidates import rows_among
from filters.copies.duplicates import find_duplicates
from filters.mixes.sampling import Pick


class Clusters(NamedTuple):
    """Which rows of a mix say the same."""

    of_row: Mapping[str, str]
    """The cluster of each row that is in one."""
    basis: str
    """Where that is known from."""


def clusters_among(recipe: Recipe, store: Store, kind: Kind, ids: Sequence[str]) -> Clusters:
    """The duplicate clusters of these rows: those of curation, else (`curate.duplicates: null`) looked for here."""
    if recipe.curate.duplicates is not None:
        known = store.rows("SELECT doc_id, cluster_id FROM duplicates")
        return Clusters({str(row["doc_id"]): str(row["cluster_id"]) for row in known}, "the duplicates of curation")
    settings = Duplicates()
    rows, read = rows_among(store, kind, ids)
    table = find_duplicates(rows, read, settings).select(["doc_id", "cluster_id"]).to_pylist()
    basis = (
        f"duplicates looked for in the mix alone, since curation does not: {settings.shingle_words}-word shingles, "
        f"Jaccard of at least {settings.min_jaccard}"
    )
    return Clusters({row["doc_id"]: row["cluster_id"] for row in table}, basis)


def unique_tokens(picks: Iterable[Pick], clusters: Clusters) -> int:
    """Tokens of the rows once each, and of each cluster only those of its longest row that is there."""
    longest: dict[str, int] = {}
    for pick in picks:
        said = clusters.of_row.get(pick.source.id, pick.source.id)
        longest[said] = max(longest.get(said, 0), pick.source.num_tokens)
    return sum(longest.values())
