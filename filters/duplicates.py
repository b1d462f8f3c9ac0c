"""Clusters of exact and near-duplicates, and which member of each survives.

Exact: the same text after NFC and with runs of white space as one space. Near: exact Jaccard of the word shingles of
at least `min_jaccard`, among the candidates that MinHash finds. A cluster is a connected component: in a chain
A ~ B ~ C all three are one cluster, though A and C may differ more. The survivor is the member of the rarest genre
among all candidates (what has no genre counts by its question kind, else by its set), of those the one with the
rarest clause, of those the smallest id. Nothing depends on the order of the input.

Twins, the same chat with and without reasoning, are no duplicates of one another: nothing is concluded from their
likeness, and where one survives its cluster, the other does too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.recipe import Duplicates
from corpus.store.identity import content_id
from corpus.store.schema import TABLES
from filters import minhash

VERSION = 2
"""Raised when the code finds other clusters or other survivors than before."""

Read = Callable[[Sequence[str]], Iterable[tuple[str, str]]]
"""(id, text) of these ids, sorted by id, without holding all of them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may turn out to be a duplicate."""

    id: str
    genre: str
    clause_ids: tuple[str, ...] = ()
    pair: str | None = None
    """What a chat and its twin share; None: it has no twin."""


@dataclass(frozen=True, slots=True)
class _Match:
    """The text most alike to one text."""

    id: str
    jaccard: float
    estimated_jaccard: float
    band: int | None


def pass_hash(candidates: Iterable[Candidate], settings: Duplicates) -> str:
    """Names one pass: what was looked through, and how."""
    ids = sorted(candidate.id for candidate in candidates)
    return content_id("duplicates", VERSION, minhash.HASH, settings.model_dump(mode="json"), ids)


def find_duplicates(candidates: Sequence[Candidate], read: Read, settings: Duplicates) -> pa.Table:
    """Rows of the table `duplicates`, sorted by id: one per member of each cluster of two or more."""
    pairs = {candidate.id: candidate.pair or candidate.id for candidate in candidates}
    representatives, copies, signed = _sign(read(sorted(pairs)), settings)
    matches, alike = _near_matches(representatives, copies, pairs, signed, read, settings)
    labels = minhash.components(len(representatives), *alike)
    clusters: dict[int, list[str]] = defaultdict(list)
    for representative, label in zip(representatives, labels.tolist(), strict=True):
        clusters[label].append(representative)
    rank, of_pass = _survival_order(candidates), pass_hash(candidates, settings)
    rows: list[dict[str, object]] = []
    for texts in clusters.values():
        members = sorted(member for representative in texts for member in copies[representative])
        if len({pairs[member] for member in members}) == 1:
            continue
        survivor = min(members, key=rank.__getitem__)
        for representative in texts:
            for member in copies[representative]:
                match = _match_of(member, copies[representative], matches.get(representative), copies, pairs)
                stays = pairs[member] == pairs[survivor]
                rows.append(_row(member, members, member if stays else survivor, match, of_pass))
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["doc_id"])), schema=TABLES["duplicates"].schema)


def _sign(
    texts: Iterable[tuple[str, str]], settings: Duplicates
) -> tuple[list[str], dict[str, list[str]], NDArray[np.uint32]]:
    """One text of each group of exact copies, the groups by it, and the signatures, (representatives, permutations)."""
    copies: dict[str, list[str]] = {}
    first_with: dict[bytes, str] = {}

    def new_shingles() -> Iterable[minhash.Shingles]:
        for text_id, text in texts:
            representative = first_with.setdefault(minhash.exact_digest(text), text_id)
            copies.setdefault(representative, []).append(text_id)
            if representative == text_id:
                yield minhash.shingles(text, settings.shingle_words)

    num_permutations = settings.bands * settings.rows
    made = list(minhash.signatures(new_shingles(), num_permutations))
    return list(copies), copies, np.array(made, dtype=np.uint32).reshape(-1, num_permutations)


def _near_matches(
    ids: Sequence[str],
    copies: Mapping[str, Sequence[str]],
    pairs: Mapping[str, str],
    signed: NDArray[np.uint32],
    read: Read,
    settings: Duplicates,
) -> tuple[dict[str, _Match], tuple[list[int], list[int]]]:
    """Each text's most similar one, and all pairs that are alike, by their places in `ids`; twins are left out."""
    candidates = minhash.candidate_pairs(signed, settings.bands)
    involved = sorted(set(candidates.first.tolist()) | set(candidates.second.tolist()))
    texts = read([ids[index] for index in involved])
    shingles = {text_id: minhash.shingles(text, settings.shingle_words) for text_id, text in texts}
    matches: dict[str, _Match] = {}
    alike: tuple[list[int], list[int]] = ([], [])
    places = (candidates.first.tolist(), candidates.second.tolist(), candidates.band.tolist())
    for first, second, band in zip(*places, strict=True):
        if len({pairs[member] for index in (first, second) for member in copies[ids[index]]}) == 1:
            continue
        exact = minhash.jaccard(shingles[ids[first]], shingles[ids[second]])
        if exact < settings.min_jaccard:
            continue
        alike[0].append(first)
        alike[1].append(second)
        estimated = float((signed[first] == signed[second]).mean())
        for this, other in ((ids[first], ids[second]), (ids[second], ids[first])):
            best = matches.get(this)
            if best is None or (-exact, other) < (-best.jaccard, best.id):
                matches[this] = _Match(other, exact, estimated, band)
    return matches, alike


def _match_of(
    member: str,
    its_copies: Sequence[str],
    near: _Match | None,
    copies: Mapping[str, Sequence[str]],
    pairs: Mapping[str, str],
) -> _Match:
    """A copy of the member where there is one, else the text nearest to it; never its twin."""
    for copy in its_copies:
        if pairs[copy] != pairs[member]:
            return _Match(copy, 1.0, 1.0, None)
    assert near is not None, member
    matched = next(other for other in copies[near.id] if pairs[other] != pairs[member])
    return replace(near, id=matched)


def _survival_order(candidates: Sequence[Candidate]) -> Mapping[str, tuple[int, int, str]]:
    """Sorts the members of a cluster, the survivor first."""
    of_genre = Counter(candidate.genre for candidate in candidates)
    of_clause = Counter(clause for candidate in candidates for clause in set(candidate.clause_ids))
    return {
        candidate.id: (
            of_genre[candidate.genre],
            min((of_clause[clause] for clause in candidate.clause_ids), default=len(candidates)),
            candidate.id,
        )
        for candidate in candidates
    }


def _row(member: str, members: Sequence[str], survivor: str, match: _Match, of_pass: str) -> dict[str, object]:
    return {
        "doc_id": member,
        "cluster_id": content_id("cluster", list(members)),
        "survivor_id": survivor,
        "matched_id": match.id,
        "kind": "exact" if match.band is None else "near",
        "band": match.band,
        "estimated_jaccard": match.estimated_jaccard,
        "jaccard": match.jaccard,
        "pass_hash": of_pass,
    }
