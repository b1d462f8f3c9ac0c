"""A metric: one number an item and training seed, and what an estimate and its error are computed from."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from eval.statistics.estimates import (
    Estimate,
    clustered_mean,
    difference_of_fixed,
    fixed_mean,
    paired_difference,
    paired_ratio_difference,
    ratio_estimate,
)
from eval.statistics.seeds import OverSeeds, Seed, Variance, cluster_residuals, interaction_of
from eval.statistics.significance import sign_flip_p

Row = dict[str, object]
Scores = Mapping[str, Sequence[float | None]]
"""Scores by variant, one a sample, of one item measured on one training seed."""
Measure = Callable[[Scores], "float | Sequence[float] | None"]
"""What a metric makes of one item: a number, or one for each sample; None where a score that it needs is not there."""


@dataclass
class Metric:
    """One metric of one arm."""

    scores: dict[Seed, dict[str, float]] = field(default_factory=dict)
    """By training seed and item; every seed has the same items."""
    weights: dict[str, float] | None = None
    """What the scores are divided by, summed over items; None: the metric is a mean."""
    clusters: dict[str, str] = field(default_factory=dict)
    num_unscored: int = 0
    """Items left out: some seed or order has no score."""
    variances: dict[Seed, dict[str, tuple[float, int]]] | None = None
    """The variance of each item's mean over its samples, with its degrees of freedom; None: the items are a sample of
    those there could be, and the error is between their clusters."""

    def value(self) -> OverSeeds:
        """The metric itself."""
        by_seed = {seed: self._one(scores, [seed]) for seed, scores in self.scores.items()}
        items = self._one(_means(self.scores.values()), list(self.scores))
        residuals = self._residuals(self.scores)
        return OverSeeds(items, _known(by_seed), self._shared(residuals, self.scores), residuals=residuals)

    def minus(self, other: Metric) -> OverSeeds:
        """The difference from the same metric of another arm, item by item and seed by seed.

        Of two trained arms the seeds that both have are compared; the base model, which has none, stands against each
        of an arm's, whichever of the two it is.
        """
        own_base, of_base = self.scores.get(None), other.scores.get(None)
        seeds = list(self.scores if own_base is None else other.scores)
        pairs = {seed: (self.scores.get(seed, own_base), other.scores.get(seed, of_base)) for seed in seeds}
        shared = {seed: (one, two) for seed, (one, two) in pairs.items() if one is not None and two is not None}
        by_seed = {seed: self._difference(one, another, [seed], other) for seed, (one, another) in shared.items()}
        ones, others = (_means(pair[side] for pair in shared.values()) for side in (0, 1))
        flip_p = None
        if self.weights is None and self.variances is None:
            flip_p = sign_flip_p({item: ones[item] - others[item] for item in ones if item in others}, self.clusters)
        differences = {
            seed: {item: score - another[item] for item, score in one.items() if item in another}
            for seed, (one, another) in shared.items()
        }
        items, residuals = self._difference(ones, others, list(shared), other), self._residuals(differences)
        interaction = self._shared(residuals, differences)
        if other.variances is not None:
            interaction = interaction.plus(other._shared(residuals, differences))
        return OverSeeds(items, _known(by_seed), interaction, flip_p, residuals)

    def _residuals(self, scores: Mapping[Seed, Mapping[str, float]]) -> dict[Seed, dict[str, float]]:
        """What each cluster adds to the error, on each seed; none of items that are all there are."""
        if self.variances is not None:
            return {}
        return {seed: cluster_residuals(of_seed, self.weights, self.clusters) for seed, of_seed in scores.items()}

    def _shared(
        self, residuals: Mapping[Seed, Mapping[str, float]], by_seed: Mapping[Seed, Mapping[str, float]]
    ) -> Variance:
        """The part of the variance that the spread between seeds has in it as well.

        Of items that are all there are it is the noise of their samples, which are drawn anew on each seed.
        """
        if self.variances is None:
            return interaction_of(list(residuals.values()))
        items = next(iter(by_seed.values()), {})
        if len(by_seed) < 2 or None in self.scores or not items:
            return Variance()
        noise = fixed_mean(items, self._sampling(items, list(by_seed)))
        assert noise.standard_error is not None
        return Variance(noise.standard_error**2, math.inf if noise.df is None else noise.df)

    def _one(self, scores: Mapping[str, float], seeds: Sequence[Seed]) -> Estimate:
        if self.variances is not None:
            return fixed_mean(scores, self._sampling(scores, seeds))
        values, clusters = list(scores.values()), [self.clusters[item] for item in scores]
        if self.weights is None:
            return clustered_mean(values, clusters)
        return ratio_estimate(values, [self.weights[item] for item in scores], clusters)

    def _difference(
        self, scores: Mapping[str, float], others: Mapping[str, float], seeds: Sequence[Seed], other: Metric
    ) -> Estimate:
        if self.variances is not None and other.variances is not None:
            own, of_other = ([seed if seed in one.scores else None for seed in seeds] for one in (self, other))
            return difference_of_fixed(scores, self._sampling(scores, own), others, other._sampling(others, of_other))
        if self.weights is None:
            return paired_difference(scores, others, self.clusters)
        return paired_ratio_difference(scores, others, self.weights, self.clusters)

    def _sampling(self, items: Iterable[str], seeds: Sequence[Seed]) -> dict[str, tuple[float, int]]:
        """The variance of each item's mean over its samples and over seeds, with its degrees of freedom.

        Not a number where there is one sample alone; of one sample on each of several seeds 0: the spread between the
        seeds has all that is known of it.
        """
        assert self.variances is not None
        distinct = list(dict.fromkeys(seeds))
        found = {}
        for item in items:
            parts = [self.variances[seed][item] for seed in distinct]
            known = [part for part in parts if not (math.isnan(part[0]) and len(parts) > 1)]
            variance = math.fsum(part for part, _ in known) / len(known) / len(parts) if known else 0.0
            found[item] = variance, sum(df for _, df in known)
        return found


def make_metric(
    rows: list[Row], measure: Measure, weights: dict[str, float] | None = None, *, of_these: bool = False
) -> Metric:
    """`measure` of each item on each training seed; an item that lacks one of them is left out.

    With `of_these` the measure gives every sample's number, and the spread of an item's samples becomes its variance.
    """
    scores: dict[str, dict[Seed, dict[str, list[float | None]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    metric = Metric(weights=weights, variances={} if of_these else None)
    for row in rows:
        item, seed, score = str(row["item_id"]), cast("Seed", row["train_seed"]), row["score"]
        scores[item][seed][str(row["variant"])].append(score if isinstance(score, float) else None)
        metric.clusters[item] = str(row["cluster"])
        metric.scores[seed] = {}
        if metric.variances is not None:
            metric.variances[seed] = {}
    for item, by_seed in scores.items():
        values = {seed: measure(of_seed) for seed, of_seed in by_seed.items()}
        known = {seed: value for seed, value in values.items() if value is not None}
        if known.keys() == metric.scores.keys():
            for seed, value in known.items():
                samples = [value] if isinstance(value, float) else list(value)
                metric.scores[seed][item] = math.fsum(samples) / len(samples)
                if metric.variances is not None:
                    metric.variances[seed][item] = _variance_of_mean(samples)
        else:
            metric.num_unscored += 1
    return metric


def _variance_of_mean(samples: Sequence[float]) -> tuple[float, int]:
    """The variance of a mean over samples and its degrees of freedom; not a number where there is only one."""
    if len(samples) < 2:
        return math.nan, 0
    mean = math.fsum(samples) / len(samples)
    return math.fsum((one - mean) ** 2 for one in samples) / (len(samples) - 1) / len(samples), len(samples) - 1


def _means(of_seeds: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each item over seeds, which all have the same items."""
    seeds = list(of_seeds)
    return {item: math.fsum(scores[item] for scores in seeds) / len(seeds) for item in (seeds[0] if seeds else ())}


def _known(by_seed: Mapping[Seed, Estimate]) -> dict[Seed, float]:
    return {seed: estimate.value for seed, estimate in by_seed.items() if estimate.value is not None}
