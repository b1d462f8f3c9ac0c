"""What may be said of a difference: its p-value, corrected for how many were declared, and tests without a model.

The contrasts that a recipe declares are corrected together by Holm's method, which holds whatever depends on what.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from eval.statistics.estimates import Estimate

MOST_EXACT = 12
"""Clusters up to which every assignment of signs is tried: 4,096."""
NUM_PERMUTATIONS = 9_999
"""Random assignments beyond that: with the observed one, p is a multiple of 1 / 10,000."""


def p_value(estimate: Estimate) -> float | None:
    """Two-sided p of a difference against 0, from Student's t; None where its error is undefined or 0."""
    if estimate.value is None or not estimate.standard_error or estimate.df is None:
        return None
    from scipy.special import stdtr

    return float(2 * stdtr(estimate.df, -abs(estimate.value / estimate.standard_error)))


def non_inferiority_p(difference: Estimate, margin: float) -> float | None:
    """One-sided p of a difference against a loss of `margin`; None where its error is undefined or 0.

    Below 0.05 just where `non_inferior` holds.
    """
    if difference.value is None or not difference.standard_error or difference.df is None:
        return None
    from scipy.special import stdtr

    return float(stdtr(difference.df, -(difference.value + margin) / difference.standard_error))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values (1979), in the order given; one that is None is counted and stays None.

    A comparison that could not be made was declared all the same, so it counts among those corrected for.
    """
    order = sorted((place for place, p in enumerate(p_values) if p is not None), key=lambda place: p_values[place] or 0)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        p = p_values[place]
        assert p is not None, place
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[place] = largest
    return adjusted


def sign_flip_p(differences: Mapping[str, float], clusters: Mapping[str, Hashable], seed: int = 0) -> float | None:
    """Two-sided p of the mean of paired differences, by flipping the signs of whole clusters.

    For few clusters, where Student's t leans on a normal distribution that nobody has seen. Exact up to `MOST_EXACT`
    clusters, else over random flips drawn from `seed`, the observed assignment among them. None without items.
    """
    if not differences:
        return None
    sums: dict[Hashable, float] = {}
    for item, difference in differences.items():
        sums[clusters[item]] = sums.get(clusters[item], 0.0) + difference
    totals = np.asarray(list(sums.values()))
    observed = abs(totals.sum())
    if len(totals) <= MOST_EXACT:
        signs = np.asarray(list(itertools.product((1, -1), repeat=len(totals))))
    else:
        drawn = np.random.default_rng(seed).choice((1, -1), size=(NUM_PERMUTATIONS, len(totals)))
        signs = np.vstack([np.ones(len(totals)), drawn])
    # A flip that gives the same sum but for rounding is as extreme as what was observed.
    return float(np.mean(np.abs(signs @ totals) >= observed * (1 - 1e-12)))


def non_inferior(difference: Estimate, margin: float) -> tuple[float | None, bool | None]:
    """The lower end of the one-sided 95 % interval of a difference, and whether it stays above minus the margin.

    None twice where the error is undefined. An error of 0 because nothing varied counts as known.
    """
    from scipy.special import stdtrit

    if difference.value is None or difference.standard_error is None:
        return None, None
    quantile = float(stdtrit(difference.df, 0.95)) if difference.df is not None else 0.0
    low = difference.value - quantile * difference.standard_error
    return low, low > -margin
