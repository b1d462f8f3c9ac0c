"""An estimate from several training seeds: its error between clusters of items and between seeds, which are crossed."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from eval.statistics.estimates import RELATIVE_ROUNDING, Estimate, Floats, independent_difference, with_interval

Seed = int | None
"""A training seed; None: the base model, which has none."""


@dataclass(frozen=True, slots=True)
class Variance:
    """The variance of an estimate, and how much the data know of it."""

    value: float = 0.0
    df: float = math.inf

    def plus(self, other: Variance) -> Variance:
        """That of a sum of two independent parts; the degrees of freedom are Satterthwaite's."""
        total = self.value + other.value
        shares = self.value**2 / self.df + other.value**2 / other.df
        return Variance(total, total**2 / shares if shares else math.inf)


@dataclass(frozen=True)
class OverSeeds:
    """An estimate from several training seeds."""

    items: Estimate
    """Of the items' means over the seeds, with the error between clusters of items alone."""
    by_seed: Mapping[Seed, float]
    """The same number on each seed alone."""
    interaction: Variance = field(default_factory=Variance)
    """What is neither the cluster's nor the seed's: the spread between clusters and that between seeds both have it."""
    flip_p_value: float | None = None
    """Of a paired difference of means: p by flipping the signs of whole clusters, which leans on no distribution."""

    @property
    def num_seeds(self) -> int:
        """Training seeds it rests on; 0 for the base model."""
        return len(self.by_seed.keys() - {None})

    def estimate(self) -> Estimate:
        """The number and its error, between clusters of items and between seeds."""
        return with_seeds(self.items, list(self.by_seed.values()), self.interaction)

    def minus(self, other: OverSeeds) -> OverSeeds:
        """The difference from what the same models scored on other items."""
        by_seed = {seed: value - other.by_seed[seed] for seed, value in self.by_seed.items() if seed in other.by_seed}
        items = independent_difference(self.items, other.items)
        return OverSeeds(items, by_seed, self.interaction.plus(other.interaction))


def with_seeds(estimate: Estimate, by_seed: Sequence[float], interaction: Variance | None = None) -> Estimate:
    """`estimate` of scores averaged over training seeds, with the spread between the seeds in its error.

    Seeds and clusters are crossed: every seed answers every item. Both the spread between the clusters' means and that
    between the seeds' have the interaction of the two in it, so the mean's variance is that of two crossed random
    effects (Searle, Casella and McCulloch, Variance Components, ch. 4; the three terms of Cameron, Gelbach and Miller
    2011, JBES 29, 238-249),

        error^2 = clustered error^2 + sum_s (v_s - mean v)^2 / (S - 1) / S - interaction,

    over S seeds s with the same estimate v_s on each, and never less than either of the first two terms alone. The
    degrees of freedom are Satterthwaite's (1946). With two seeds they are those of the seeds, which is 1, as Cameron,
    Gelbach and Miller advise: a spread that came out small by chance would pass for knowledge (simulated, the interval
    then covered 0.88, and with three seeds 0.93 or more).

    One seed (or none) leaves the estimate as it is: it tells nothing of the spread.
    """
    num_seeds = len(by_seed)
    if num_seeds < 2 or estimate.value is None or estimate.standard_error is None:
        return estimate
    spread = float(np.std(by_seed, ddof=1)) / math.sqrt(num_seeds)
    between = Variance(
        0.0 if spread <= RELATIVE_ROUNDING * float(np.max(np.abs(by_seed))) else spread**2, num_seeds - 1
    )
    within = Variance(estimate.standard_error**2, math.inf if estimate.df is None else estimate.df)
    both = interaction or Variance()
    total = between.value + within.value - both.value
    larger = max(between, within, key=lambda part: part.value)
    if total > larger.value:
        df = total**2 / sum(part.value**2 / part.df for part in (between, within, both))
    else:
        total, df = larger.value, larger.df
    if num_seeds == 2:
        df = 1.0
    found = with_interval(estimate.value, math.sqrt(total), df, estimate.n, estimate.clusters, estimate.level)
    return replace(found, unpaired=estimate.unpaired)


def interaction_of(
    by_seed: Sequence[Mapping[str, float]], weights: Mapping[str, float] | None, clusters: Mapping[str, Hashable]
) -> Variance:
    """The part of a ratio's variance that is neither the clusters' nor the seeds'.

    Args:
        by_seed: each seed's scores (S, n items), the same items on each.
        weights: what the sum of the scores is divided by, summed over items (n); None: the number of items.
        clusters: the cluster of each item.

    Returns:
        sum_cs r_cs^2 * C / ((C - 1) (S - 1) S) / (sum of weights)^2 over C clusters c and S seeds s, where r_cs is the
        sum of a cluster's residuals on one seed, less its mean over the seeds; 0 with one seed or one cluster.
    """
    items = list(by_seed[0]) if by_seed else []
    codes = {cluster: code for code, cluster in enumerate(dict.fromkeys(clusters[item] for item in items))}
    num_seeds, num_clusters = len(by_seed), len(codes)
    if num_seeds < 2 or num_clusters < 2:
        return Variance()
    scores = np.array([[of_seed[item] for item in items] for of_seed in by_seed])
    size = np.array([1.0 if weights is None else weights[item] for item in items])
    residuals: Floats = scores - scores.sum(axis=1, keepdims=True) / size.sum() * size
    sums = np.zeros((num_seeds, num_clusters))
    np.add.at(sums, (slice(None), [codes[clusters[item]] for item in items]), residuals)
    own = sums - sums.mean(axis=0)
    df = (num_clusters - 1) * (num_seeds - 1)
    return Variance(float((own**2).sum()) * num_clusters / (df * num_seeds) / float(size.sum()) ** 2, df)
