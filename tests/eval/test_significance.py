"""p-values and their corrections equal statsmodels' and scipy's, and keep their promises under the null."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from eval.statistics.estimates import Estimate, clustered_mean, difference_of_fixed, fixed_mean
from eval.statistics.significance import holm, non_inferior, non_inferiority_p, p_value, sign_flip_p


def test_p_is_that_of_a_one_sample_t_test() -> None:
    values = np.random.default_rng(3).normal(0.3, 1, 25)
    estimate = clustered_mean(values.tolist(), range(25))
    assert p_value(estimate) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-12)


def test_p_is_none_where_the_error_is_undefined_or_nothing_varied() -> None:
    assert p_value(clustered_mean([1.0], ["a"])) is None
    assert p_value(clustered_mean([0.0, 0.0], ["a", "b"])) is None
    assert p_value(Estimate(None, None, None, None, 0, 0)) is None


@pytest.mark.parametrize("seed", range(20))
def test_holm_equals_statsmodels(seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 0.2, 7).tolist()
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist(), rel=1e-12)


def test_a_contrast_that_could_not_be_made_counts_in_the_correction() -> None:
    assert holm([0.01, None, 0.02]) == [0.03, None, 0.04]
    assert holm([]) == []


def test_sign_flips_are_exact_for_few_clusters() -> None:
    differences = {"a": 1.0, "b": 2.0, "c": -0.5, "d": 1.5}
    clusters = {item: item for item in differences}
    values = list(differences.values())
    extreme = [
        abs(sum(sign * value for sign, value in zip(signs, values, strict=True))) >= abs(sum(values)) - 1e-12
        for signs in itertools.product((1, -1), repeat=4)
    ]
    assert sign_flip_p(differences, clusters) == sum(extreme) / 16


def test_items_of_one_cluster_flip_together() -> None:
    """The negative control: taken for independent, eight copies of one cluster look like proof."""
    differences = {f"i{n}": 1.0 for n in range(8)}
    assert sign_flip_p(differences, dict.fromkeys(differences, "one")) == 1.0
    assert sign_flip_p(differences, {item: item for item in differences}) == 2 / 256


def test_sign_flip_p_is_uniform_under_the_null() -> None:
    rng = np.random.default_rng(11)
    found = []
    for _ in range(400):
        values = rng.normal(size=10)
        found.append(sign_flip_p({str(n): float(v) for n, v in enumerate(values)}, {str(n): n for n in range(10)}))
    assert stats.kstest(np.asarray(found, dtype=float), "uniform").pvalue > 0.01
    assert np.mean(np.asarray(found, dtype=float) <= 0.05) < 0.09


def test_many_clusters_are_drawn_from_the_seed() -> None:
    values = np.random.default_rng(5).normal(0.4, 1, 30)
    differences = {str(n): float(value) for n, value in enumerate(values)}
    clusters = {str(n): n for n in range(30)}
    first = sign_flip_p(differences, clusters, seed=1)
    assert first == sign_flip_p(differences, clusters, seed=1)
    assert first == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_non_inferiority_is_a_one_sided_bound() -> None:
    values = np.random.default_rng(2).normal(0, 0.1, 200)
    low, is_fine = non_inferior(clustered_mean(values.tolist(), range(200)), 0.02)
    reference = stats.ttest_1samp(values, 0, alternative="greater").confidence_interval(0.95).low
    assert low == pytest.approx(reference, rel=1e-9)
    assert is_fine == (reference > -0.02)
    assert non_inferior(clustered_mean([0.0], ["a"]), 0.02) == (None, None)
    assert non_inferior(clustered_mean([0.0, 0.0], ["a", "b"]), 0.02) == (0.0, True)
    assert non_inferior(clustered_mean([-0.1, -0.1], ["a", "b"]), 0.02) == (-0.1, False)


def test_a_mean_of_fixed_conditions_has_the_stratified_error() -> None:
    """Against the textbook formula and, with one stratum, against the error of a mean."""
    rng = np.random.default_rng(8)
    samples = {f"c{n}": rng.binomial(1, p, 50).astype(float) for n, p in enumerate((0.1, 0.5, 0.9))}
    means = {name: float(one.mean()) for name, one in samples.items()}
    variances = {name: (float(one.var(ddof=1) / 50), 49) for name, one in samples.items()}
    estimate = fixed_mean(means, variances)
    assert estimate.standard_error == pytest.approx(np.sqrt(sum(v for v, _ in variances.values())) / 3, rel=1e-12)
    one = fixed_mean({"c1": means["c1"]}, variances)
    assert one.standard_error == pytest.approx(stats.sem(samples["c1"]), rel=1e-12)
    assert one.low == pytest.approx(stats.t.interval(0.95, 49, means["c1"], stats.sem(samples["c1"]))[0], rel=1e-9)


def test_conditions_as_a_sample_have_a_wider_error_than_these_conditions() -> None:
    means = {"a": 0.05, "b": 0.5, "c": 0.95}
    fixed = fixed_mean(means, {name: (0.0001, 49) for name in means})
    as_sample = clustered_mean(list(means.values()), list(means))
    assert fixed.value == pytest.approx(as_sample.value)
    assert fixed.standard_error is not None and as_sample.standard_error is not None
    assert fixed.standard_error < as_sample.standard_error / 10


def test_one_sample_a_condition_leaves_the_fixed_error_undefined() -> None:
    estimate = fixed_mean({"a": 1.0, "b": 0.0}, {"a": (float("nan"), 0), "b": (float("nan"), 0)})
    assert (estimate.value, estimate.standard_error, estimate.low) == (0.5, None, None)


def test_a_difference_of_fixed_conditions_adds_the_variances() -> None:
    variances = {"a": (0.0004, 49), "b": (0.0009, 49)}
    difference = difference_of_fixed(
        {"a": 0.5, "b": 0.4}, variances, {"a": 0.2, "b": 0.4, "c": 1.0}, variances | {"c": (0.1, 49)}
    )
    assert difference.value == pytest.approx(0.15)
    assert difference.standard_error == pytest.approx(np.sqrt(2 * (0.0004 + 0.0009)) / 2)
    assert difference.unpaired == 1


@pytest.mark.parametrize("margin", [0.02, 0.2, 0.5])
def test_the_p_of_non_inferiority_is_that_of_a_one_sample_t_test_against_the_margin(margin: float) -> None:
    values = np.random.default_rng(4).normal(-0.1, 0.5, 30)
    estimate = clustered_mean(values.tolist(), range(30))
    p = non_inferiority_p(estimate, margin)
    assert p == pytest.approx(stats.ttest_1samp(values, -margin, alternative="greater").pvalue, rel=1e-12)
    assert (p < 0.05) == non_inferior(estimate, margin)[1]
    assert non_inferiority_p(clustered_mean([0.0, 0.0], ["a", "b"]), margin) is None
