"""Clusters of exact and near-duplicates, and which member of each survives.

Exact: the same text after NFC and with runs of white space as one space. Near: exact Jaccard of the word shingles of
at least `min_jaccard`, among the candidates that MinHash finds. A cluster is a connected component: in a chain
A ~ B ~ C all three are one cluster, though A and C may differ more. The survivor is a row of another run, if one is
there; else the member of the rarest genre among the rows of this run (what has no genre counts by its question kind,
else by its set), of those the one with the rarest clause, of those the one with the highest score, of those the
smallest id. Nothing depends on the order of the input.

Twins, the same chat with and without reasoning, are no duplicates of one another: nothing is concluded from their
likeness, and where one survives its cluster, the other does too. Nor is anything concluded from the likeness of two
rows of other runs.

Rows are columns from beginning to end, and a row is its place in the order of the ids. What is kept of a text are
its signature (4 bytes a permutation), 16 bytes of digest and, if it is in a candidate pair, 8 bytes a shingle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus.hardware import num_cores
from corpus.recipe import Duplicates
from corpus.store.identity import content_id
from corpus.store.schema import TABLES
from filters.copies import minhash
from filters.copies.minhash import Places, Sets, Signed
from filters.copies.threads import map_each

VERSION = 3
"""Raised when the code finds other clusters or other survivors than before."""

CANDIDATES = pa.schema(
    [
        ("id", pa.string()),
        ("genre", pa.string()),
        ("clause_ids", pa.list_(pa.string())),
        ("pair", pa.string()),
        ("score", pa.float64()),
        ("run", pa.string()),
    ]
)
"""Rows that may turn out to be duplicates. `pair`: what a chat and its twin share, null for a row without one. `score`:
higher is better, null comes last. `run`: where a row of another run is, null for a row of this one; such rows make
others give way, and never do so themselves."""

Read = Callable[[pa.Table], Iterable[tuple[Places, pa.Array]]]
"""The texts of these candidates, batch by batch and in any order, each batch with their places in what was asked."""

_JACCARD_PAIRS = 1 << 16
"""Pairs compared in one piece of work."""


@dataclass(frozen=True)
class _Copies:
    """Groups of exact copies."""

    group: Places
    """Of each row, the number of its group."""
    first: Places
    """Of each group, its first row."""
    other: Places
    """Of each group, the first row that is not of the same pair as `first`; -1: there is none."""

    def match(self, groups: Places, pair: Places, of_pair: Places) -> Places:
        """The first row of each group that is not of the given pair; -1 where all are."""
        return np.where(pair[self.first[groups]] != of_pair, self.first[groups], self.other[groups])


@dataclass(frozen=True)
class _Alike:
    """Pairs of groups that are near-duplicates."""

    first: Places
    second: Places
    band: Places
    jaccard: NDArray[np.float64]
    estimated: NDArray[np.float64]


def pass_hash(candidates: pa.Table, settings: Duplicates) -> str:
    """Names one pass: what was looked through, and how."""
    made_by = settings.model_dump(mode="json", exclude={"against"})  # where a run lies changes nothing
    columns = candidates.select(["id", "score"]).sort_by("id").combine_chunks()
    ids, scores = columns["id"].cast(pa.large_string()).combine_chunks(), columns["score"].to_numpy()
    digest = hashlib.blake2b(scores.tobytes(), digest_size=16)
    for buffer in ids.buffers()[1:] if len(ids) else ():
        digest.update(buffer)
    return content_id("duplicates", VERSION, minhash.HASH, made_by, len(ids), digest.hexdigest())


def find_duplicates(candidates: pa.Table, read: Read, settings: Duplicates) -> pa.Table:
    """Rows of the table `duplicates`, sorted by id: one per member of each cluster of two or more.

    Args:
        candidates: columns as in `CANDIDATES`, in any order; no two share an id.
        read: reads texts; it is asked for all, and then for those that may be alike.
        settings: what makes two texts duplicates.
    """
    of_pass = pass_hash(candidates, settings)
    candidates = candidates.sort_by("id").combine_chunks()
    is_own = pc.is_null(candidates["run"]).to_numpy()
    pair = _codes(pc.coalesce(candidates["pair"], candidates["id"]))
    signed = _sign(candidates, read, settings)
    copies = _exact_copies(signed.digests, pair)
    alike = _near(candidates, read, settings, signed, copies, pair, is_own)
    labels = minhash.components(len(copies.first), alike.first, alike.second)[copies.group]
    cluster = _clusters(labels, pair)
    members = np.flatnonzero(cluster >= 0)
    cluster = cluster[members]
    num_clusters = int(cluster.max(initial=-1)) + 1
    by_rank = np.lexsort((_ranks(candidates, is_own)[members], cluster))
    survivors = members[by_rank[np.searchsorted(cluster[by_rank], np.arange(num_clusters))]]
    survivor = survivors[cluster]
    survivor = np.where(pair[members] == pair[survivor], members, survivor)
    cluster_ids = _cluster_ids(candidates["id"], members, cluster, num_clusters)
    exact = copies.match(copies.group[members], pair, pair[members])
    nearest = _nearest(alike, len(copies.first))[copies.group[members]]
    is_near = exact < 0
    edge, its_match = nearest[:, 0][is_near], nearest[:, 1][is_near]
    matched = exact.copy()
    matched[is_near] = copies.match(its_match, pair, pair[members][is_near])
    assert (matched >= 0).all()
    band = np.full(len(members), -1)
    jaccard, estimated = np.ones(len(members)), np.ones(len(members))
    band[is_near], jaccard[is_near], estimated[is_near] = alike.band[edge], alike.jaccard[edge], alike.estimated[edge]
    ids = candidates["id"]
    found = pa.table(
        {
            "doc_id": ids.take(pa.array(members)),
            "cluster_id": cluster_ids.take(pa.array(cluster)),
            "survivor_id": ids.take(pa.array(survivor)),
            "matched_id": ids.take(pa.array(matched)),
            "kind": pc.if_else(pa.array(is_near), "near", "exact"),
            "band": pa.array(band, mask=~is_near),
            "estimated_jaccard": estimated,
            "jaccard": jaccard,
            "pass_hash": pa.repeat(of_pass, len(members)),
        }
    )
    return found.filter(pa.array(is_own[members])).cast(TABLES["duplicates"].schema)


def _sign(candidates: pa.Table, read: Read, settings: Duplicates) -> Signed:
    num_permutations = settings.bands * settings.rows
    signed = Signed.empty(len(candidates), num_permutations)

    def sign(batch: tuple[Places, pa.Array]) -> tuple[Places, Signed]:
        return batch[0], minhash.sign(batch[1], settings.shingle_words, num_permutations)

    for places, found in map_each(sign, read(candidates)):
        signed.put(places, found)
    return signed


def _exact_copies(digests: minhash.Hashes, pair: Places) -> _Copies:
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: copies stay in the order of their ids
    is_new = np.ones(len(order), bool)
    is_new[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    first = np.sort(order[is_new])  # groups are numbered by their first row
    group = np.empty(len(order), np.int64)
    group[order] = np.searchsorted(first, order[is_new])[np.cumsum(is_new) - 1]
    other = np.full(len(first), -1)
    differs = np.flatnonzero(pair != pair[first[group]])[::-1]
    other[group[differs]] = differs  # the first one is written last
    return _Copies(group, first, other)


def _near(
    candidates: pa.Table, read: Read, settings: Duplicates, signed: Signed, copies: _Copies, pair: Places,
    is_own: NDArray[np.bool_],
) -> _Alike:  # fmt: skip
    """The pairs of groups that are alike, but those of twins and those of other runs alone."""
    groups = np.flatnonzero(signed.num_shingles[copies.first] > 0)
    rows = copies.first[groups]
    signatures = signed.signatures if len(rows) == len(pair) else signed.signatures[rows]
    found = minhash.candidate_pairs(signatures, settings.bands)
    first, second = groups[found.first], groups[found.second]
    is_one_pair = (copies.other < 0)[first] & (copies.other < 0)[second]
    is_one_pair &= pair[copies.first[first]] == pair[copies.first[second]]
    has_own = np.zeros(len(copies.first), bool)
    has_own[copies.group[is_own]] = True
    wanted = ~is_one_pair & (has_own[first] | has_own[second])
    first, second, band = first[wanted], second[wanted], found.band[wanted]
    involved, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    sets = _shingle_sets(candidates, read, settings, copies.first[involved], signed.num_shingles)
    jaccard = _jaccards(places[: len(first)], places[len(first) :], sets)
    alike = jaccard >= settings.min_jaccard
    first, second = first[alike], second[alike]
    estimated = np.empty(len(first))
    for start in range(0, len(first), _JACCARD_PAIRS):
        block = slice(start, start + _JACCARD_PAIRS)
        these, others = signed.signatures[copies.first[first[block]]], signed.signatures[copies.first[second[block]]]
        estimated[block] = (these == others).mean(axis=1)
    return _Alike(first, second, band[alike], jaccard[alike], estimated)


def _shingle_sets(
    candidates: pa.Table, read: Read, settings: Duplicates, rows: Places, num_shingles: Places
) -> Sets:  # fmt: skip
    sets = Sets.empty(num_shingles[rows])

    def find(batch: tuple[Places, pa.Array]) -> tuple[Places, Sets]:
        return batch[0], minhash.shingle_sets(batch[1], settings.shingle_words)

    if len(rows):
        for places, found in map_each(find, read(candidates.take(pa.array(rows)))):
            sets.put(places, found)
    return sets


def _jaccards(first: Places, second: Places, sets: Sets) -> NDArray[np.float64]:
    """In pieces, so that every core has some."""
    starts = range(0, len(first), _JACCARD_PAIRS)
    with ThreadPoolExecutor(num_cores()) as pool:
        found = pool.map(
            lambda start: minhash.jaccards(
                first[start : start + _JACCARD_PAIRS], second[start : start + _JACCARD_PAIRS], sets
            ),
            starts,
        )
        return np.concatenate([np.zeros(0), *found])


def _clusters(labels: NDArray[np.int32], pair: Places) -> Places:
    """The number of each row's cluster, by first row; -1 for a row that is like none but its twin."""
    num_labels = int(labels.max(initial=-1)) + 1
    lowest, highest = np.full(num_labels, len(labels)), np.full(num_labels, -1)
    np.minimum.at(lowest, labels, pair)
    np.maximum.at(highest, labels, pair)
    is_cluster = lowest < highest
    number = np.where(is_cluster, np.cumsum(is_cluster) - 1, -1)
    return number[labels] if len(labels) else np.zeros(0, np.int64)


def _cluster_ids(ids: pa.ChunkedArray, members: Places, cluster: Places, num_clusters: int) -> pa.Array:
    order = np.lexsort((members, cluster))
    sorted_ids = ids.take(pa.array(members[order]))
    bounds = np.searchsorted(cluster[order], np.arange(num_clusters + 1)).tolist()
    found = [
        content_id("cluster", sorted_ids[start:end].to_pylist())
        for start, end in pairwise(bounds)
    ]  # fmt: skip
    return pa.array(found, pa.string())


def _nearest(alike: _Alike, num_groups: int) -> Places:
    """Of each group, (groups, 2): the pair in which it meets the group most alike to it, and that group; else -1."""
    this = np.concatenate([alike.first, alike.second])
    other = np.concatenate([alike.second, alike.first])
    edge = np.tile(np.arange(len(alike.first)), 2)
    order = np.lexsort((other, -alike.jaccard[edge], this))
    groups, best = np.unique(this[order], return_index=True)
    nearest = np.full((num_groups, 2), -1)
    nearest[groups, 0], nearest[groups, 1] = edge[order][best], other[order][best]
    return nearest


def _ranks(candidates: pa.Table, is_own: NDArray[np.bool_]) -> Places:
    """Of the members of a cluster the one with the lowest rank survives."""
    num_rows = len(candidates)
    genre = _codes(candidates["genre"])
    num_of_genre = np.bincount(genre[is_own], minlength=int(genre.max(initial=0)) + 1)
    lists = candidates["clause_ids"].combine_chunks() if num_rows else pa.array([], CANDIDATES.field(2).type)
    row, clause = pc.list_parent_indices(lists).to_numpy(), _codes(pc.list_flatten(lists))
    num_clauses = int(clause.max(initial=0)) + 1
    once = np.unique(row * num_clauses + clause)
    row, clause = once // num_clauses, once % num_clauses
    num_of_clause = np.bincount(clause[is_own[row]], minlength=num_clauses)
    rarest = np.full(num_rows, num_rows)
    np.minimum.at(rarest, row, num_of_clause[clause])
    score = pc.fill_null(candidates["score"], -np.inf).to_numpy()
    ranks = np.empty(num_rows, np.int64)
    ranks[np.lexsort((-score, rarest, num_of_genre[genre], is_own))] = np.arange(num_rows)  # stable: then by id
    return ranks


def _codes(values: pa.Array | pa.ChunkedArray) -> Places:
    """A number for each different string."""
    encoded = values.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes: Places = pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy().astype(np.int64)
    return codes
