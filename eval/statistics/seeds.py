"""An estimate from several training seeds: its error between clusters of items and between seeds, which are crossed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    residuals: Mapping[Seed, Mapping[str, float]] = field(default_factory=dict)
    """Of each seed, what each cluster adds to the error; none of items that are all there are."""

    @property
    def num_seeds(self) -> int:
        """Training seeds it rests on; 0 for the base model."""
        return len(self.by_seed.keys() - {None})

    def estimate(self) -> Estimate:
        """The number and its error, between clusters of items and between seeds."""
        return with_seeds(self.items, list(self.by_seed.values()), self.interaction)

    def minus(self, other: OverSeeds) -> OverSeeds:
        """The difference from what the same models scored on other items, of the same clusters or of others.

        Clusters of one name stand or fall together, so what they add to either error is subtracted before it is
        squared; without a common name the two are independent.
        """
        by_seed = {seed: value - other.by_seed[seed] for seed, value in self.by_seed.items() if seed in other.by_seed}
        clusters, others = (set(next(iter(one.residuals.values()), ())) for one in (self, other))
        if clusters.isdisjoint(others) or self.residuals.keys() != other.residuals.keys():
            items = independent_difference(self.items, other.items)
            return OverSeeds(items, by_seed, self.interaction.plus(other.interaction))
        names = sorted(clusters | others)
        joint = {
            seed: {name: residuals.get(name, 0.0) - other.residuals[seed].get(name, 0.0) for name in names}
            for seed, residuals in self.residuals.items()
        }
        items = _of_residuals(self.items, other.items, list(joint.values()))
        return OverSeeds(items, by_seed, interaction_of(list(joint.values())), residuals=joint)


def _of_residuals(one: Estimate, other: Estimate, by_seed: Sequence[Mapping[str, float]]) -> Estimate:
    """The difference of two estimates with the clustered error of their joint residuals, averaged over seeds."""
    num_clusters, n, unpaired = len(by_seed[0]), one.n + other.n, one.unpaired + other.unpaired
    if one.value is None or other.value is None or num_clusters < 2:
        value = None if one.value is None or other.value is None else one.value - other.value
        return Estimate(value, None, None, None, n, num_clusters, one.level, unpaired=unpaired)
    sums = [math.fsum(residuals[name] for residuals in by_seed) / len(by_seed) for name in by_seed[0]]
    error = math.sqrt(math.fsum(part**2 for part in sums) * num_clusters / (num_clusters - 1))
    if error <= RELATIVE_ROUNDING * max(abs(one.value), abs(other.value)):
        error = 0.0
    found = with_interval(one.value - other.value, error, num_clusters - 1, n, num_clusters, one.level)
    return replace(found, unpaired=unpaired)


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


def cluster_residuals(
    scores: Mapping[str, float], weights: Mapping[str, float] | None, clusters: Mapping[str, str]
) -> dict[str, float]:
    """What each cluster adds to the error of a ratio: sum over its items of (score - ratio * weight), over all weights.

    Args:
        scores: by item (n).
        weights: what the sum of the scores is divided by, summed over items (n); None: the number of items.
        clusters: the cluster of each item.
    """
    total = math.fsum(1.0 if weights is None else weights[item] for item in scores)
    ratio = math.fsum(scores.values()) / total if scores else 0.0
    found: dict[str, float] = {}
    for item, score in scores.items():
        residual = (score - ratio * (1.0 if weights is None else weights[item])) / total
        found[clusters[item]] = found.get(clusters[item], 0.0) + residual
    return found


def interaction_of(by_seed: Sequence[Mapping[str, float]]) -> Variance:
    """The part of an estimate's variance that is neither the clusters' nor the seeds'.

    Args:
        by_seed: each seed's residuals by cluster (S, C), as `cluster_residuals` gives them.

    Returns:
        sum_cs (r_cs - mean_s r_cs)^2 * C / ((C - 1) (S - 1) S); 0 with one seed or one cluster.
    """
    num_seeds, num_clusters = len(by_seed), len(by_seed[0]) if by_seed else 0
    if num_seeds < 2 or num_clusters < 2:
        return Variance()
    residuals = np.array([[of_seed[cluster] for cluster in by_seed[0]] for of_seed in by_seed])
    own: Floats = residuals - residuals.mean(axis=0)
    df = (num_clusters - 1) * (num_seeds - 1)
    return Variance(float((own**2).sum()) * num_clusters / (df * num_seeds), df)
