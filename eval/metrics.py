"""From rows of `evals` to one number an item and training seed: what an estimate and its error are computed from."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from corpus.store import Store
from eval.perplexity import CLAUSES, CONTROL, DOCUMENTS
from eval.preference import ORDERS, SCORINGS, chosen
from eval.stats import (
    Estimate,
    clustered_mean,
    independent_difference,
    paired_difference,
    paired_ratio_difference,
    ratio_estimate,
    with_seeds,
)

Row = dict[str, object]
Seed = int | None
"""A training seed; None: the base model, which has none."""
Scores = dict[str, float | None]
"""Score by variant, of one item measured on one training seed."""
Measure = Callable[[Scores], float | None]
"""What a metric makes of one item; None where a score that it needs is not there."""


@dataclass(frozen=True)
class OverSeeds:
    """An estimate from several training seeds."""

    items: Estimate
    """Of the items' means over the seeds, with the error between clusters of items alone."""
    by_seed: Mapping[Seed, float]
    """The same number on each seed alone."""

    @property
    def num_seeds(self) -> int:
        """Training seeds it rests on; 0 for the base model."""
        return len(self.by_seed.keys() - {None})

    def estimate(self) -> Estimate:
        """The number and its error, between clusters of items and between seeds."""
        return with_seeds(self.items, list(self.by_seed.values()))

    def minus(self, other: OverSeeds) -> OverSeeds:
        """The difference from what the same models scored on other items."""
        by_seed = {seed: value - other.by_seed[seed] for seed, value in self.by_seed.items() if seed in other.by_seed}
        return OverSeeds(independent_difference(self.items, other.items), by_seed)


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

    def value(self) -> OverSeeds:
        """The metric itself."""
        by_seed = {seed: self._one(scores) for seed, scores in self.scores.items()}
        return OverSeeds(self._one(_means(self.scores.values())), _known(by_seed))

    def minus(self, other: Metric) -> OverSeeds:
        """The difference from the same metric of another arm, item by item and seed by seed.

        Of two trained arms the seeds that both have are compared; the base model, which has none, stands against each
        of an arm's.
        """
        of_base = other.scores.get(None)
        pairs = {seed: (scores, other.scores.get(seed, of_base)) for seed, scores in self.scores.items()}
        shared = {seed: (one, another) for seed, (one, another) in pairs.items() if another is not None}
        by_seed = {seed: self._difference(one, another) for seed, (one, another) in shared.items()}
        ones, others = (_means(pair[side] for pair in shared.values()) for side in (0, 1))
        return OverSeeds(self._difference(ones, others), _known(by_seed))

    def _one(self, scores: Mapping[str, float]) -> Estimate:
        values, clusters = list(scores.values()), [self.clusters[item] for item in scores]
        if self.weights is None:
            return clustered_mean(values, clusters)
        return ratio_estimate(values, [self.weights[item] for item in scores], clusters)

    def _difference(self, scores: Mapping[str, float], others: Mapping[str, float]) -> Estimate:
        if self.weights is None:
            return paired_difference(scores, others, self.clusters)
        return paired_ratio_difference(scores, others, self.weights, self.clusters)


@dataclass(frozen=True)
class ArmMetrics:
    """All metrics of one arm."""

    name: str
    num_seeds: int
    """Training seeds; 0 for the base model."""
    metrics: dict[str, Metric]


def read_arms(store: Store) -> list[ArmMetrics]:
    """Every arm with current rows, the base model first, then by name."""
    rows: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    seeds: dict[str, set[object]] = defaultdict(set)
    for row in store.rows("SELECT * FROM evals ORDER BY item_id, train_seed, variant"):
        arm = str(row["arm"])
        rows[arm][str(row["task"])].append(row)
        seeds[arm] |= {row["train_seed"]} - {None}
    return [
        ArmMetrics(arm, len(seeds[arm]), _bits_per_byte(rows[arm]["perplexity"]) | _preference(rows[arm]["preference"]))
        for arm in sorted(rows, key=lambda name: (len(seeds[name]) > 0, name))
    ]


def _bits_per_byte(rows: list[Row]) -> dict[str, Metric]:
    metrics = {}
    for text in (DOCUMENTS, CLAUSES, CONTROL):
        of_text = [row for row in rows if row["variant"] == text]
        if of_text:
            weights = {str(row["item_id"]): float(str(row["weight"])) for row in of_text}
            metrics[f"bits_per_byte/{text}"] = _metric(of_text, _only(text), weights)
    return metrics


def _preference(rows: list[Row]) -> dict[str, Metric]:
    if not rows:
        return {}
    of_orders: dict[str, Callable[[float, float], float]] = {
        "log_odds": lambda first, second: (first + second) / 2,
        "rate": lambda first, second: chosen(first + second),
        "order_consistency": lambda first, second: float(chosen(first) == chosen(second)),
    }
    return {
        f"preference/{scoring}/{name}": _metric(rows, _both_orders(scoring, measure))
        for scoring in SCORINGS
        for name, measure in of_orders.items()
    }


def _only(variant: str) -> Measure:
    return lambda scores: scores[variant]


def _both_orders(scoring: str, measure: Callable[[float, float], float]) -> Measure:
    def of_item(scores: Scores) -> float | None:
        first, second = (scores[f"{order}/{scoring}"] for order in ORDERS)
        return None if first is None or second is None else measure(first, second)

    return of_item


def _metric(rows: list[Row], measure: Measure, weights: dict[str, float] | None = None) -> Metric:
    """`measure` of each item on each training seed; an item that lacks one of them is left out."""
    scores: dict[str, dict[Seed, Scores]] = defaultdict(lambda: defaultdict(dict))
    metric = Metric(weights=weights)
    for row in rows:
        item, seed, score = str(row["item_id"]), cast("Seed", row["train_seed"]), row["score"]
        scores[item][seed][str(row["variant"])] = score if isinstance(score, float) else None
        metric.clusters[item] = str(row["cluster"])
        metric.scores[seed] = {}
    for item, by_seed in scores.items():
        values = {seed: measure(of_seed) for seed, of_seed in by_seed.items()}
        known = {seed: value for seed, value in values.items() if value is not None}
        if known.keys() == metric.scores.keys():
            for seed, value in known.items():
                metric.scores[seed][item] = value
        else:
            metric.num_unscored += 1
    return metric


def _means(of_seeds: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each item over seeds, which all have the same items."""
    seeds = list(of_seeds)
    return {item: math.fsum(scores[item] for scores in seeds) / len(seeds) for item in (seeds[0] if seeds else ())}


def _known(by_seed: Mapping[Seed, Estimate]) -> dict[Seed, float]:
    return {seed: estimate.value for seed, estimate in by_seed.items() if estimate.value is not None}
