"""Estimates with errors that match how the items were drawn: in clusters, and the same ones for every arm.

Items of one cluster rise and fall together, so the error of a mean comes from the sums of the clusters'
residuals (Miller 2024, arXiv 2411.00640, and the cluster-robust "sandwich" of econometrics, with the factor
C / (C - 1)), and its interval from Student's t with C - 1 degrees of freedom: there are as many independent
facts as clusters. An error that the data cannot tell is None, never 0. What several training seeds add is in seeds.py.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RELATIVE_ROUNDING = 1e-12
"""A standard error below this share of the scores' own size is rounding in double precision, not spread."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and how far it can be trusted.

    Attributes:
        value: the estimate, in the unit of the scores; None without a single score.
        standard_error: in the same unit; None where fewer than two scores or clusters leave it undefined.
        low: lower end of the confidence interval; None where undefined.
        high: upper end of the confidence interval; None where undefined.
        n: number of items (or trials) that the value rests on.
        clusters: number of clusters among them.
        level: the interval's coverage.
        degenerate: the interval has zero width: the scores do not vary between clusters (two identical arms,
            say), which is a reason to look at the data and not a sign of precision.
        unpaired: items that only one of two arms has a score for, and that a difference therefore leaves out.
        df: degrees of freedom of the standard error; None where it is undefined or 0.
    """

    value: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    level: float = 0.95
    degenerate: bool = False
    unpaired: int = 0
    df: float | None = None


def clustered_mean(values: Sequence[float], clusters: Sequence[Hashable], level: float = 0.95) -> Estimate:
    """Mean of `values` (n) with an error clustered by `clusters` (n).

    The standard error is sqrt(sum_c (sum_i (s_i - mean))^2 * C / (C - 1)) / n, over C clusters c and their
    items i.
    """
    return ratio_estimate(values, [1.0] * len(values), clusters, level)


def ratio_estimate(
    numerators: Sequence[float],
    denominators: Sequence[float],
    clusters: Sequence[Hashable],
    level: float = 0.95,
) -> Estimate:
    """Sum of `numerators` over sum of `denominators` (bits over bytes, n documents), with a clustered error.

    The error is that of the linearised ratio (Cochran, Sampling Techniques, ch. 6): a document's residual is
    its numerator less the ratio times its denominator. With denominators of 1 it is the error of the mean.
    An empty sequence gives an estimate without a value.
    """
    sizes = len(numerators), len(denominators), len(clusters)
    assert len(set(sizes)) == 1, f"numerators, denominators and clusters differ in length: {sizes}"
    y, x = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    assert np.isfinite(y).all(), f"numerators must be finite, the first that is not: {y[~np.isfinite(y)][0]}"
    assert (np.isfinite(x) & (x > 0)).all(), f"denominators must be positive, the smallest is {x.min()}"
    num_clusters = len(set(clusters))
    if y.size == 0:
        return Estimate(None, None, None, None, 0, 0, level)
    total = math.fsum(x)
    value = math.fsum(y) / total
    if num_clusters < 2:
        return Estimate(value, None, None, None, y.size, num_clusters, level)
    sums = _cluster_sums(y - value * x, clusters)
    error = math.sqrt(float(sums @ sums) * num_clusters / (num_clusters - 1)) / total
    if error <= RELATIVE_ROUNDING * float(np.max(np.abs(y) + abs(value) * x)) * y.size / total:
        error = 0.0
    return with_interval(value, error, num_clusters - 1, y.size, num_clusters, level)


def paired_difference(
    a: Mapping[str, float],
    b: Mapping[str, float],
    clusters: Mapping[str, Hashable],
    level: float = 0.95,
) -> Estimate:
    """Mean of `a` - `b` per item, with its clustered error: what the two arms share in an item cancels.

    All three map item ids; items that only one arm has are counted in `unpaired` and left out.
    """
    items = _shared_items(a, b)
    estimate = clustered_mean([a[i] - b[i] for i in items], [clusters[i] for i in items], level)
    return replace(estimate, unpaired=len(a.keys() ^ b.keys()))


def paired_ratio_difference(
    a: Mapping[str, float],
    b: Mapping[str, float],
    denominators: Mapping[str, float],
    clusters: Mapping[str, Hashable],
    level: float = 0.95,
) -> Estimate:
    """Sum of `a` - `b` over the sum of `denominators`: the change in bits per byte on the same documents.

    Negative when `a` needs fewer bits. All four map item ids; items that only one arm has are counted in
    `unpaired` and left out. The denominators are shared, so this is one ratio of per-document differences
    (delta method).
    """
    items = _shared_items(a, b)
    estimate = ratio_estimate(
        [a[i] - b[i] for i in items], [denominators[i] for i in items], [clusters[i] for i in items], level
    )
    return replace(estimate, unpaired=len(a.keys() ^ b.keys()))


def fixed_mean(means: Mapping[str, float], variances: Mapping[str, tuple[float, int]], level: float = 0.95) -> Estimate:
    """Mean over items that are all there are (27 conditions), with the error of their samples alone.

    The items are strata of equal weight: the variance of the mean is the sum of their variances over their number
    squared (Cochran, Sampling Techniques, ch. 5), its degrees of freedom are Satterthwaite's.

    Args:
        means: each item's mean over its samples.
        variances: the variance of each item's mean, and its degrees of freedom; not a number where there is one sample,
            which leaves the error undefined.
        level: the interval's coverage.
    """
    n = len(means)
    if n == 0:
        return Estimate(None, None, None, None, 0, 0, level)
    value = math.fsum(means.values()) / n
    parts = [variances[item] for item in means]
    if any(math.isnan(part) for part, _ in parts):
        return Estimate(value, None, None, None, n, n, level)
    error, df = _combined(*((math.sqrt(part) / n, float(count)) for part, count in parts))
    return with_interval(value, error, df, n, n, level)


def difference_of_fixed(
    a: Mapping[str, float],
    a_variances: Mapping[str, tuple[float, int]],
    b: Mapping[str, float],
    b_variances: Mapping[str, tuple[float, int]],
    level: float = 0.95,
) -> Estimate:
    """Mean of `a` - `b` over items that are all there are; the samples of the two are independent of each other."""
    items = _shared_items(a, b)
    one = fixed_mean({item: a[item] for item in items}, a_variances, level)
    other = fixed_mean({item: b[item] for item in items}, b_variances, level)
    difference = independent_difference(one, other)
    return replace(difference, n=len(items), clusters=len(items), unpaired=len(a.keys() ^ b.keys()))


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """`first` - `second` on different items, such as a change on spec text less the change on control text.

    Welch's interval: the variances add, and the degrees of freedom are Satterthwaite's from those of each. The
    result's `n`, `clusters` and `unpaired` are sums.
    """
    assert first.level == second.level, f"levels differ: {first.level} and {second.level}"
    n, clusters, level = first.n + second.n, first.clusters + second.clusters, first.level
    unpaired = first.unpaired + second.unpaired
    if first.value is None or second.value is None:
        return Estimate(None, None, None, None, n, clusters, level, unpaired=unpaired)
    value = first.value - second.value
    if first.standard_error is None or second.standard_error is None:
        return Estimate(value, None, None, None, n, clusters, level, unpaired=unpaired)
    error, df = _combined((first.standard_error, first.df), (second.standard_error, second.df))
    return replace(with_interval(value, error, df, n, clusters, level), unpaired=unpaired)


def wilson(successes: int, n: int, level: float = 0.95) -> Estimate:
    """A rate of `n` independent trials with Wilson's score interval, which holds at 0 and `n` successes too.

    Its interval is not symmetric around the rate, so there is no standard error to quote: that is None.
    """
    assert 0 <= successes <= n, f"successes must lie between 0 and n, got {successes} of {n}"
    if n == 0:
        return Estimate(None, None, None, None, 0, 0, level)
    from scipy.special import ndtri

    z_squared = float(ndtri(0.5 + level / 2)) ** 2
    rate = successes / n
    centre = (rate + z_squared / (2 * n)) / (1 + z_squared / n)
    spread = rate * (1 - rate) * z_squared / n + (z_squared / (2 * n)) ** 2
    half_width = math.sqrt(spread) / (1 + z_squared / n)
    low = 0.0 if successes == 0 else centre - half_width
    high = 1.0 if successes == n else centre + half_width
    return Estimate(rate, None, low, high, n, n, level)


def minimum_detectable_effect(standard_error: float, df: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true effect that a two-sided t test at `alpha` finds with probability `power`.

    In the unit of `standard_error`. Bloom's multiplier (1995), t(1 - alpha/2) + t(power) with `df` degrees of
    freedom, is within 0.5 % of the exact noncentral-t answer from 8 degrees of freedom on. An infinite `df`
    stands for a known error.
    """
    return standard_error * (_t_quantile(1 - alpha / 2, df) + _t_quantile(power, df))


def _cluster_sums(residuals: Floats, clusters: Sequence[Hashable]) -> Floats:
    """Residuals (n) summed within each cluster (C)."""
    index: dict[Hashable, int] = {}
    codes = [index.setdefault(cluster, len(index)) for cluster in clusters]
    return np.bincount(codes, weights=residuals).astype(np.float64)


def _shared_items(a: Mapping[str, float], b: Mapping[str, float]) -> list[str]:
    return [item for item in a if item in b]


def _combined(*errors: tuple[float, float | None]) -> tuple[float, float]:
    """The error of a sum of independent parts, each with its degrees of freedom, and Satterthwaite's for it."""
    error = math.hypot(*(part for part, _ in errors))
    shares = [(part / error) ** 4 / df for part, df in errors if df is not None] if error > 0 else []
    return error, 1 / math.fsum(shares) if shares else math.inf


def with_interval(value: float, error: float, df: float, n: int, clusters: int, level: float) -> Estimate:
    """An estimate with Student's interval of `df` degrees of freedom; infinite: of a known error."""
    half_width = error * _t_quantile(0.5 + level / 2, df)
    return Estimate(
        value,
        error,
        value - half_width,
        value + half_width,
        n,
        clusters,
        level,
        degenerate=error == 0,
        df=df if error > 0 else None,
    )


def _t_quantile(probability: float, df: float) -> float:
    from scipy.special import ndtri, stdtrit

    return float(ndtri(probability) if math.isinf(df) else stdtrit(df, probability))
