"""How a number of briefs is shared out: exact by weight, even over the clauses, and stable when more are asked for.

Both steps go one seat at a time, so the first n seats of a larger allocation are those of the smaller one. A clause
that is added or taken away moves few other seats, since each seat draws its clause by its own hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.store.identity import draw


class Seat(NamedTuple):
    """One brief's place: the k-th of its form (a genre, or a kind of question), on this clause."""

    clause_id: str
    form: str
    nth_of_form: int


def highest_averages(weights: Mapping[str, float], count: int) -> Iterator[str]:
    """The first `count` seats by highest averages (divisors 1, 2, 3, ...); ties go to the first name."""
    names = sorted(name for name, weight in weights.items() if weight > 0)
    assert names or count == 0, weights
    weight = np.array([weights[name] for name in names])
    taken = np.zeros(len(names))
    for _ in range(count):
        winner = int(np.argmax(weight / (taken + 1)))
        taken[winner] += 1
        yield names[winner]


def allocate(
    clause_ids: Sequence[str],
    weights: Mapping[str, float],
    count: int,
    seed: int,
    suits: Callable[[str, str], bool] = lambda _clause_id, _form: True,
    *,
    evenly_by_form: bool = False,
) -> list[Seat]:
    """Share `count` briefs out over forms by weight, and over clauses (or what else is written about) evenly.

    Each seat takes, of the clauses that its form suits, the one with the fewest seats so far, and of those the one
    with the lowest hash of (seed, clause, form, k). A form that suits no clause gets no seat. With `evenly_by_form`
    the fewest seats of that form come first: every pair gets as many as any other, but a clause that is added or
    edited moves more of them.
    """
    assert clause_ids or count == 0, "no clause to write about"
    suited = {form: np.array([suits(clause_id, form) for clause_id in clause_ids]) for form in weights}
    weights = {form: weight for form, weight in weights.items() if suited[form].any()}
    keys = np.array([draw("clause", clause_id) for clause_id in clause_ids], dtype=np.uint64)
    taken = np.zeros(len(clause_ids), dtype=np.int64)
    taken_by = {form: np.zeros(len(clause_ids), dtype=np.int64) for form in weights}
    of_form: dict[str, int] = {}
    seats = []
    for form in highest_averages(weights, count):
        k = of_form.get(form, 0)
        of_form[form] = k + 1
        order = _mix(keys ^ np.uint64(draw("seat", seed, form, k)))
        open_to = suited[form].copy()
        if evenly_by_form:
            open_to &= taken_by[form] == taken_by[form][open_to].min()
        open_to &= taken == taken[open_to].min()
        order[~open_to] = np.iinfo(np.uint64).max
        winner = int(np.argmin(order))
        taken[winner] += 1
        taken_by[form][winner] += 1
        seats.append(Seat(clause_ids[winner], form, k))
    return seats


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): spreads any change of a bit over all 64."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(31))
    return mixed
