"""Estimates equal their references, and leave undefined errors undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from eval.statistics.estimates import (
    Estimate,
    clustered_mean,
    independent_difference,
    minimum_detectable_effect,
    paired_difference,
    paired_ratio_difference,
    ratio_estimate,
    wilson,
)

Floats = NDArray[np.float64]


def sandwich(y: Floats, x: Floats, groups: list[int]) -> tuple[float, float, float, float]:
    """Ratio, error and interval from statsmodels: weighted least squares of y/x on a constant, weights x.

    With one regressor its small-sample factor C/(C-1) * (n-1)/(n-1) is exactly ours.
    """
    fit = sm.WLS(y / x, np.ones(len(y)), weights=x).fit(
        cov_type="cluster", cov_kwds={"groups": np.asarray(groups), "use_correction": True}, use_t=True
    )
    low, high = fit.conf_int(0.05)[0]
    return float(fit.params[0]), float(fit.bse[0]), float(low), float(high)


def numbers(estimate: Estimate) -> tuple[float, float, float, float]:
    assert estimate.value is not None and estimate.standard_error is not None, estimate
    return estimate.value, estimate.standard_error, *interval(estimate)


def interval(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None and estimate.high is not None, estimate
    return estimate.low, estimate.high


def design(seed: int, num_clusters: int = 12) -> tuple[Floats, Floats, list[int]]:
    """Scores, sizes and clusters with a shared shift per cluster; clusters hold 1 to 7 items."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, num_clusters)
    groups = np.repeat(np.arange(num_clusters), sizes)
    x = rng.uniform(50, 900, len(groups))
    y = x * (0.9 + 0.2 * rng.normal(size=num_clusters)[groups] + 0.1 * rng.normal(size=len(groups)))
    return y, x, groups.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_a_clustered_mean_equals_cluster_robust_least_squares(seed: int) -> None:
    y, _, groups = design(seed)
    expected = sandwich(y, np.ones(len(y)), groups)
    assert numbers(clustered_mean(y.tolist(), groups)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_a_ratio_equals_cluster_robust_weighted_least_squares(seed: int) -> None:
    y, x, groups = design(seed)
    estimate = ratio_estimate(y.tolist(), x.tolist(), groups)
    assert numbers(estimate) == pytest.approx(sandwich(y, x, groups), rel=1e-10)
    assert (estimate.n, estimate.clusters) == (len(y), 12)


def test_a_ratio_is_a_sum_over_documents_and_no_mean_of_means() -> None:
    assert ratio_estimate([10.0, 900.0], [10.0, 300.0], ["a", "b"]).value == pytest.approx(910 / 310)


def test_singleton_clusters_give_the_error_of_independent_items() -> None:
    y, _, _ = design(1)
    estimate = clustered_mean(y.tolist(), list(range(len(y))))
    assert estimate.standard_error == pytest.approx(float(np.std(y, ddof=1)) / math.sqrt(len(y)), rel=1e-12)


def test_repeating_every_item_within_its_cluster_adds_no_precision() -> None:
    y, _, groups = design(2)
    once, thrice = clustered_mean(y.tolist(), groups), clustered_mean(y.tolist() * 3, groups * 3)
    assert numbers(thrice) == pytest.approx(numbers(once), rel=1e-12)
    assert thrice.n == 3 * once.n


def arms(seed: int) -> tuple[dict[str, float], dict[str, float], dict[str, float], dict[str, int]]:
    y, x, groups = design(seed)
    noise = np.random.default_rng(seed + 100).normal(size=len(y))
    names = [f"i{k}" for k in range(len(y))]
    after = y - 20 - 5 * noise
    return (
        dict(zip(names, after.tolist(), strict=True)),
        dict(zip(names, y.tolist(), strict=True)),
        dict(zip(names, x.tolist(), strict=True)),
        dict(zip(names, groups, strict=True)),
    )


def test_a_paired_error_is_that_of_the_differences_per_item() -> None:
    a, b, _, clusters = arms(3)
    paired = paired_difference(a, dict(reversed(b.items())), clusters)
    assert paired == clustered_mean([a[i] - b[i] for i in a], list(clusters.values()))
    unpaired_error = clustered_mean(list(b.values()), list(clusters.values())).standard_error
    assert paired.standard_error is not None and unpaired_error is not None
    assert paired.standard_error < 0.2 * unpaired_error


def test_a_paired_ratio_difference_equals_weighted_least_squares_on_the_differences() -> None:
    a, b, x, clusters = arms(4)
    change = np.array([a[i] - b[i] for i in a])
    expected = sandwich(change, np.array(list(x.values())), list(clusters.values()))
    assert numbers(paired_ratio_difference(a, b, x, clusters)) == pytest.approx(expected, rel=1e-10)


def test_a_paired_ratio_difference_is_the_difference_of_the_two_ratios() -> None:
    a, b, x, clusters = arms(5)
    ratios = [ratio_estimate(list(arm.values()), list(x.values()), list(clusters.values())).value for arm in (a, b)]
    assert ratios[0] is not None and ratios[1] is not None
    assert paired_ratio_difference(a, b, x, clusters).value == pytest.approx(ratios[0] - ratios[1], rel=1e-9)


def test_items_of_one_arm_only_are_left_out_and_counted() -> None:
    a, b = {"p": 1.0, "q": 3.0, "only_a": 99.0}, {"q": 1.0, "p": 0.0, "only_b": -99.0, "also_b": 5.0}
    clusters = dict.fromkeys([*a, *b], "c") | {"q": "d"}
    difference = paired_difference(a, b, clusters)
    assert (difference.value, difference.n, difference.unpaired) == (1.5, 2, 3)
    ratio = paired_ratio_difference(a, b, dict.fromkeys(clusters, 2.0), clusters)
    assert (ratio.value, ratio.n, ratio.unpaired) == (0.75, 2, 3)


def test_identical_arms_differ_by_exactly_nothing_and_are_flagged() -> None:
    arm, _, x, clusters = arms(6)
    for same in (
        paired_difference(arm, dict(arm), clusters),
        paired_ratio_difference(arm, arm, x, clusters),
    ):
        assert (same.value, same.standard_error, same.low, same.high, same.degenerate) == (0, 0, 0, 0, True)


@pytest.mark.parametrize("unit", [0.1, 1 / 3, 1e9 + 0.1, 7e-9])
def test_clusters_with_one_mean_are_flagged_even_where_rounding_leaves_a_residue(unit: float) -> None:
    estimate = clustered_mean([unit, 2 * unit, -4 * unit, 5.1 * unit] * 9, [k // 4 for k in range(36)])
    assert estimate.degenerate and estimate.standard_error == 0
    assert estimate.value == pytest.approx(1.025 * unit, rel=1e-14)


def test_scores_that_vary_between_clusters_are_not_flagged() -> None:
    assert not clustered_mean([0.0, 0.0, 1.0], ["a", "a", "b"]).degenerate
    assert not clustered_mean([1.0, 1.0 + 1e-9], ["a", "b"]).degenerate


@pytest.mark.parametrize(
    ("values", "clusters", "value"),
    [([], [], None), ([0.25], ["a"], 0.25), ([0.0, 1.0, 1.0, 0.0], ["a"] * 4, 0.5)],
)
def test_an_error_the_data_cannot_tell_is_none_and_never_zero(
    values: list[float], clusters: list[str], value: float | None
) -> None:
    expected = Estimate(value, None, None, None, len(values), len(set(clusters)))
    assert clustered_mean(values, clusters) == expected
    by_item = {f"i{k}": v for k, v in enumerate(values)}
    cluster_of = dict(zip(by_item, clusters, strict=True))
    assert paired_difference(by_item, dict.fromkeys(by_item, 0.0), cluster_of) == expected
    assert ratio_estimate(values, [1.0] * len(values), clusters) == expected


@pytest.mark.parametrize(
    ("numerators", "denominators", "clusters", "message"),
    [
        ([1.0], [1.0, 1.0], ["a"], "differ in length"),
        ([math.nan, 1.0], [1.0, 1.0], ["a", "b"], "must be finite"),
        ([1.0, 1.0], [1.0, 0.0], ["a", "b"], "must be positive"),
    ],
)
def test_scores_that_no_caller_may_pass_are_a_bug(
    numerators: list[float], denominators: list[float], clusters: list[str], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        ratio_estimate(numerators, denominators, clusters)


@pytest.mark.parametrize("n", [1, 2, 7, 30, 1000])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_wilson_equals_statsmodels(n: int, level: float) -> None:
    for successes in {0, 1, n // 3, n - 1, n}:
        estimate = wilson(successes, n, level)
        expected = proportion_confint(successes, n, alpha=1 - level, method="wilson")
        assert (estimate.low, estimate.high) == pytest.approx(expected, abs=1e-12)
        assert estimate.standard_error is None and not estimate.degenerate


def test_wilson_gives_the_tabulated_interval() -> None:
    """Newcombe 1998, table I, method 3: 81 of 263 is 0.2553 to 0.3662; 0 of 20 is 0 to 0.1611."""
    assert interval(wilson(81, 263)) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert interval(wilson(0, 20)) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_wilson_without_a_trial_has_no_value() -> None:
    assert wilson(0, 0) == Estimate(None, None, None, None, 0, 0)


def test_an_independent_difference_equals_welchs_interval() -> None:
    rng = np.random.default_rng(7)
    first, second = rng.normal(1.0, 2.0, 12), rng.normal(0.5, 0.3, 31)
    means = [clustered_mean(sample.tolist(), range(len(sample))) for sample in (first, second)]
    comparison = sm.stats.CompareMeans(sm.stats.DescrStatsW(first), sm.stats.DescrStatsW(second))
    expected = comparison.tconfint_diff(usevar="unequal")
    difference = independent_difference(*means)
    assert interval(difference) == pytest.approx(expected, rel=1e-9)
    assert (difference.n, difference.clusters) == (43, 43)


def test_an_independent_difference_with_an_unknown_error_has_none() -> None:
    known, unknown = clustered_mean([1.0, 2.0], ["a", "b"]), clustered_mean([4.0], ["a"])
    assert independent_difference(known, unknown) == Estimate(-2.5, None, None, None, 3, 3)
    assert independent_difference(known, clustered_mean([], [])).value is None


def test_an_independent_difference_of_two_degenerate_estimates_is_flagged() -> None:
    constant = clustered_mean([1.0, 1.0], ["a", "b"])
    assert independent_difference(constant, constant) == Estimate(0, 0, 0, 0, 4, 4, degenerate=True)


@pytest.mark.parametrize("df", [8, 26, 71, 1000])
def test_the_minimum_detectable_effect_is_close_to_the_exact_power_calculation(df: int) -> None:
    exact = TTestPower().solve_power(nobs=df + 1, alpha=0.05, power=0.8) * math.sqrt(df + 1)
    assert minimum_detectable_effect(1.0, df) == pytest.approx(exact, rel=0.005)


def test_the_minimum_detectable_effect_scales_with_the_error() -> None:
    assert minimum_detectable_effect(0.03, math.inf) == pytest.approx(0.03 * 2.801585, rel=1e-6)
