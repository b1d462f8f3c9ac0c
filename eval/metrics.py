"""From rows of `evals` to one number an item: what a metric's estimate and its error are computed from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from corpus.store import Store
from eval.perplexity import CLAUSES, CONTROL, DOCUMENTS
from eval.preference import ORDERS, SCORINGS, chosen
from eval.stats import Estimate, clustered_mean, paired_difference, paired_ratio_difference, ratio_estimate

Row = dict[str, object]
Scores = dict[str, float | None]
"""Score by variant, of one item measured on one training seed."""
Measure = Callable[[Scores], float | None]
"""What a metric makes of one item; None where a score that it needs is not there."""


@dataclass
class Metric:
    """One metric of one arm."""

    scores: dict[str, float] = field(default_factory=dict)
    """By item: the mean over its training seeds."""
    weights: dict[str, float] | None = None
    """What the scores are divided by, summed over items; None: the metric is a mean."""
    clusters: dict[str, str] = field(default_factory=dict)
    num_unscored: int = 0
    """Items left out: some seed or order has no score."""

    def estimate(self) -> Estimate:
        """Its value and error, between clusters of items."""
        scores, clusters = list(self.scores.values()), [self.clusters[item] for item in self.scores]
        if self.weights is None:
            return clustered_mean(scores, clusters)
        return ratio_estimate(scores, [self.weights[item] for item in self.scores], clusters)

    def minus(self, other: Metric) -> Estimate:
        """The difference from the same metric of another arm, item by item."""
        if self.weights is None:
            return paired_difference(self.scores, other.scores, self.clusters)
        return paired_ratio_difference(self.scores, other.scores, self.weights, self.clusters)


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
            metrics[f"bits_per_byte/{text}"] = _over_seeds(of_text, _only(text), weights)
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
        f"preference/{scoring}/{name}": _over_seeds(rows, _both_orders(scoring, measure))
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


def _over_seeds(rows: list[Row], measure: Measure, weights: dict[str, float] | None = None) -> Metric:
    """`measure` of each item, averaged over training seeds."""
    scores: dict[str, dict[object, Scores]] = defaultdict(lambda: defaultdict(dict))
    metric = Metric(weights=weights)
    for row in rows:
        item, score = str(row["item_id"]), row["score"]
        scores[item][row["train_seed"]][str(row["variant"])] = score if isinstance(score, float) else None
        metric.clusters[item] = str(row["cluster"])
    for item, by_seed in scores.items():
        values = [measure(of_seed) for of_seed in by_seed.values()]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            metric.scores[item] = sum(known) / len(known)
        else:
            metric.num_unscored += 1
    return metric
