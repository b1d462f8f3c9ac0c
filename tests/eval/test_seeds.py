"""Over training seeds: what clusters and seeds add to an error, what they share, and differences in differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm

from eval.statistics.estimates import clustered_mean
from eval.statistics.metrics import Metric
from eval.statistics.seeds import OverSeeds, Variance, cluster_residuals, interaction_of, with_seeds
from tests.eval.test_stats import design


def test_the_spread_between_seeds_is_added_to_that_between_clusters() -> None:
    y, _, groups = design(8)
    clustered = clustered_mean(y.tolist(), groups)
    assert clustered.standard_error is not None
    by_seed = [float(y.mean()) + shift for shift in (-20.0, 5.0, 15.0)]
    between, within = float(np.var(by_seed, ddof=1)) / 3, clustered.standard_error**2
    seeded = with_seeds(clustered, by_seed)
    assert seeded.standard_error == pytest.approx(math.sqrt(within + between), rel=1e-12)
    assert seeded.df == pytest.approx((within + between) ** 2 / (within**2 / 11 + between**2 / 2), rel=1e-12)
    assert (seeded.value, seeded.n, seeded.clusters) == (clustered.value, clustered.n, 12)
    assert with_seeds(clustered, by_seed[:2]).df == 1
    assert with_seeds(clustered, by_seed[:1] * 2).df == 1, "two seeds that tie know as little of their spread"
    assert with_seeds(clustered, by_seed[:1]) == with_seeds(clustered, []) == clustered


def test_seeds_alone_can_vary_and_what_varies_nowhere_is_flagged() -> None:
    constant = clustered_mean([1.0, 1.0], ["a", "b"])
    seeds_only = with_seeds(constant, [0.0, 1.0, 2.0])
    assert (seeds_only.standard_error, seeds_only.df) == (pytest.approx(1 / math.sqrt(3)), pytest.approx(2))
    assert not seeds_only.degenerate
    assert with_seeds(constant, [1 / 3, 1 / 3, 1 / 3]) == constant
    undefined = clustered_mean([4.0, 5.0], ["a", "a"])
    assert with_seeds(undefined, [4.0, 5.0, 6.0]) == undefined


def test_what_clusters_and_seeds_share_is_the_mean_square_of_their_interaction() -> None:
    """Balanced, it is the textbook's two-way analysis of variance, by statsmodels, over the number of scores."""
    rng = np.random.default_rng(6)
    num_seeds, num_clusters, each = 4, 7, 3
    names = [f"i{k}" for k in range(num_clusters * each)]
    clusters = {name: f"c{k // each}" for k, name in enumerate(names)}
    scores = rng.normal(size=(num_seeds, num_clusters)).repeat(each, axis=1) + rng.normal(size=(num_seeds, len(names)))
    by_seed = [dict(zip(names, one, strict=True)) for one in scores.tolist()]
    found = interaction_of([cluster_residuals(one, None, clusters) for one in by_seed])
    means = scores.reshape(num_seeds, num_clusters, each).mean(axis=2)
    seed, cluster = np.indices(means.shape).reshape(2, -1)
    additive = np.column_stack([np.ones(means.size), np.eye(num_seeds)[seed, 1:], np.eye(num_clusters)[cluster, 1:]])
    residual = sm.OLS(means.ravel(), additive).fit()
    assert found.df == residual.df_resid == 18
    assert found.value == pytest.approx(residual.mse_resid / (num_seeds * num_clusters), rel=1e-9)
    doubled = [{name: 2 * score for name, score in one.items()} for one in by_seed]
    weighted = interaction_of([cluster_residuals(one, dict.fromkeys(names, 2.0), clusters) for one in doubled])
    assert weighted.value == pytest.approx(found.value, rel=1e-9), "a ratio does not hang on the unit"
    assert interaction_of([cluster_residuals(by_seed[0], None, clusters)]) == Variance()


def test_a_difference_in_differences_on_the_same_clusters_is_that_of_their_items_together() -> None:
    """Of as many items in each cluster it is twice the mean over all items, the second kind's with the sign turned."""
    rng = np.random.default_rng(12)
    names, clusters = [f"i{k}" for k in range(60)], {f"i{k}": f"c{k // 6}" for k in range(60)}
    shared = rng.normal(size=10).repeat(6)
    both = [shared + rng.normal(size=60) + shift for shift in (0.5, -0.2)]
    one, other = (Metric({0: dict(zip(names, scores.tolist(), strict=True))}, None, clusters) for scores in both)
    found = one.value().minus(other.value()).estimate()
    together = clustered_mean(np.concatenate([2 * both[0], -2 * both[1]]).tolist(), [*clusters.values()] * 2)
    assert found.value == pytest.approx(together.value, rel=1e-12)
    assert found.standard_error == pytest.approx(together.standard_error, rel=1e-12)
    assert (found.n, found.clusters, found.df) == (120, 10, 9)
    assert found.standard_error is not None
    apart = Metric({0: one.scores[0]}, None, {name: f"other {cluster}" for name, cluster in clusters.items()})
    independent = apart.value().minus(other.value()).estimate()
    assert independent.value == pytest.approx(found.value)
    assert independent.standard_error is not None and independent.standard_error > 1.2 * found.standard_error
    assert one.value().minus(one.value()).estimate().degenerate, "nothing is left of the same twice"


def test_independent_interactions_add() -> None:
    assert Variance(1.0, 4).plus(Variance(3.0, 9)) == Variance(4.0, 16 / (1 / 4 + 9 / 9))
    assert Variance().plus(Variance()) == Variance()
    on_others = OverSeeds(clustered_mean([0.0, 1.0], ["a", "b"]), {0: 0.5, 1: 0.5}, Variance(3.0, 9))
    assert on_others.minus(on_others).interaction == Variance(3.0, 9).plus(Variance(3.0, 9))


def test_what_both_spreads_have_is_counted_once_and_neither_is_undercut() -> None:
    y, _, groups = design(8)
    clustered = clustered_mean(y.tolist(), groups)
    assert clustered.standard_error is not None
    by_seed = [float(y.mean()) + shift for shift in (-20.0, 5.0, 15.0)]
    between, within = float(np.var(by_seed, ddof=1)) / 3, clustered.standard_error**2
    less = with_seeds(clustered, by_seed, Variance(0.5 * min(between, within), 22))
    assert less.standard_error == pytest.approx(math.sqrt(within + between - 0.5 * min(between, within)), rel=1e-12)
    both = 0.5 * min(between, within)
    shares = within**2 / 11 + between**2 / 2 + both**2 / 22
    assert less.df == pytest.approx((within + between - both) ** 2 / shares, rel=1e-12)
    floor = with_seeds(clustered, by_seed, Variance(within + between, 22))
    assert floor.standard_error == pytest.approx(math.sqrt(max(within, between)), rel=1e-12)
