"""From rows of `evals` to metrics: what each kind of task makes of its items' scores."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from corpus.store import Store
from eval.statistics.metrics import Measure, Metric, Row, Scores, make_metric
from eval.tasks import Task
from eval.tasks.agentic.task import EXECUTED, HARMFUL, REFUSAL, TOOL_USE, VERDICT
from eval.tasks.capability import ACCURACY, ACCURACY_PER_BYTE
from eval.tasks.perplexity import CLAUSES, CONTROL, DOCUMENTS
from eval.tasks.preference import CONTROL_QUESTION, ORDERS, SAMPLED, SCORINGS, PreferenceSettings, chosen
from eval.tasks.spec_qa import HIGHEST, LOWEST, RATING

AS_HARMLESS, AS_HARMFUL = "invalid as harmless", "invalid as harmful"
AS_LOWEST, AS_HIGHEST = f"invalid as {LOWEST}", f"invalid as {HIGHEST}"
AS_OTHER, AS_ALIGNED = "undecided as other", "undecided as aligned"
"""Bounds of a judged rate: what it would be if everything that could not be graded were the one or the other."""
AGAINST = {AS_HARMFUL: AS_HARMLESS, AS_LOWEST: AS_HIGHEST, AS_OTHER: AS_ALIGNED}
"""The bound that speaks against an arm, and the one that speaks for it."""
GRADED = "graded"
OF_CONTROL, OVER_CONTROL = "control_log_odds", "log_odds_over_control"
"""The log-odds after a question that asks for no preference, and how far those after the item's own exceed them."""
THESE = "these conditions"
"""A metric of the conditions as they are: its error is of their answers and of training, not of the choice of
conditions."""


@dataclass(frozen=True)
class ArmMetrics:
    """All metrics of one arm."""

    name: str
    num_seeds: int
    """Training seeds; 0 for the base model."""
    metrics: dict[str, Metric]


def read_arms(store: Store, kinds: Mapping[str, str]) -> list[ArmMetrics]:
    """Every arm with current rows, the base model first, then by name.

    Args:
        store: the run.
        kinds: the kind of each task, by the task's name; rows of other tasks are left out.
    """
    rows: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    seeds: dict[str, set[object]] = defaultdict(set)
    for row in store.rows("SELECT * FROM evals ORDER BY item_id, train_seed, variant, sample"):
        arm = str(row["arm"])
        rows[arm][str(row["task"])].append(row)
        seeds[arm] |= {row["train_seed"]} - {None}
    return [
        ArmMetrics(arm, len(seeds[arm]), _metrics(rows[arm], kinds))
        for arm in sorted(rows, key=lambda name: (len(seeds[name]) > 0, name))
    ]


def _metrics(rows: Mapping[str, list[Row]], kinds: Mapping[str, str]) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for task, kind in kinds.items():
        if rows.get(task):
            metrics |= _OF_KIND[kind](task, rows[task])
    return metrics


def _bits_per_byte(task: str, rows: list[Row]) -> dict[str, Metric]:
    label = "bits_per_byte" if task == "perplexity" else f"{task}/bits_per_byte"
    metrics = {}
    for text in (DOCUMENTS, CLAUSES, CONTROL):
        of_text = [row for row in rows if row["variant"] == text]
        if of_text:
            weights = {str(row["item_id"]): float(str(row["weight"])) for row in of_text}
            metrics[f"{label}/{text}"] = make_metric(of_text, _only(text), weights)
    return metrics


def _preference(task: str, rows: list[Row]) -> dict[str, Metric]:
    of_orders: dict[str, Callable[[float, float], float]] = {
        "log_odds": lambda first, second: (first + second) / 2,
        "rate": lambda first, second: chosen(first + second),
        "order_consistency": lambda first, second: float(chosen(first) == chosen(second)),
    }
    scored = [row for row in rows if not str(row["variant"]).endswith(SAMPLED)]
    sampled = [row for row in rows if str(row["variant"]).endswith(SAMPLED)]
    controlled = {row["item_id"] for row in scored if str(row["variant"]).endswith(f"/{CONTROL_QUESTION}")}
    metrics = {
        f"{task}/{scoring}/{name}": make_metric(scored, _both_orders(scoring, measure))
        for scoring in SCORINGS
        for name, measure in of_orders.items()
    }
    if controlled:
        both = [row for row in scored if row["item_id"] in controlled]
        for scoring in SCORINGS:
            of_control = _both_orders(f"{scoring}/{CONTROL_QUESTION}", of_orders["log_odds"])
            metrics[f"{task}/{scoring}/{OF_CONTROL}"] = make_metric(both, of_control)
            metrics[f"{task}/{scoring}/{OVER_CONTROL}"] = make_metric(
                both, _less(_both_orders(scoring, of_orders["log_odds"]), of_control)
            )
    if sampled:
        metrics[f"{task}/{SAMPLED}/rate"] = make_metric(sampled, _rate_of_decided)
        for name, value in ((AS_OTHER, 0.0), (AS_ALIGNED, 1.0)):
            metrics[f"{task}/{SAMPLED}/rate, {name}"] = make_metric(sampled, _rate_with(value))
        metrics[f"{task}/{SAMPLED}/decided"] = make_metric(sampled, _decided)
        metrics[f"{task}/{SAMPLED}/order_consistency"] = make_metric(sampled, _same_in_both_orders)
        metrics[f"{task}/{SAMPLED}/agrees_with_sum"] = make_metric(rows, _agrees_with_sum)
    return metrics


def _spec_qa(task: str, rows: list[Row]) -> dict[str, Metric]:
    metrics = {
        f"{task}/{RATING}": make_metric(rows, _mean_of(RATING)),
        f"{task}/{RATING}, {AS_LOWEST}": make_metric(rows, _mean_with(RATING, LOWEST)),
        f"{task}/{RATING}, {AS_HIGHEST}": make_metric(rows, _mean_with(RATING, HIGHEST)),
        f"{task}/{GRADED}": make_metric(rows, _share_with(RATING)),
    }
    for dimension in dict.fromkeys(str(row["cluster"]) for row in rows):
        of_dimension = [row | {"cluster": row["item_id"]} for row in rows if row["cluster"] == dimension]
        metrics[f"{task}/{RATING}/{dimension}"] = make_metric(of_dimension, _mean_of(RATING))
    return metrics


def _agentic(task: str, rows: list[Row]) -> dict[str, Metric]:
    metrics = {}
    for variant in (VERDICT, HARMFUL):
        metrics[f"{task}/{variant}"] = make_metric(rows, _mean_of(variant))
        metrics[f"{task}/{variant}, {THESE}"] = make_metric(rows, _each_of(variant), of_these=True)
        for name, value in ((AS_HARMLESS, 0.0), (AS_HARMFUL, 1.0)):
            metrics[f"{task}/{variant}, {name}"] = make_metric(rows, _mean_with(variant, value))
    for variant in (EXECUTED, TOOL_USE, REFUSAL):
        metrics[f"{task}/{variant}"] = make_metric(rows, _mean_of(variant))
    return metrics


def _capability(task: str, rows: list[Row]) -> dict[str, Metric]:
    """The accuracies: their rows' values, not the log-odds that stand as scores."""
    correct = [row | {"score": row["value"]} for row in rows]
    return {f"{task}/{variant}": make_metric(correct, _only(variant)) for variant in (ACCURACY, ACCURACY_PER_BYTE)}


_OF_KIND: Mapping[str, Callable[[str, list[Row]], dict[str, Metric]]] = {
    "perplexity": _bits_per_byte,
    "preference": _preference,
    "spec_qa": _spec_qa,
    "agentic": _agentic,
    "capability": _capability,
}


_PREFERENCE = (
    *(
        f"{scoring}/{name}"
        for scoring in SCORINGS
        for name in ("log_odds", "rate", "order_consistency", OF_CONTROL, OVER_CONTROL)
    ),
    *(
        f"{SAMPLED}/{name}"
        for name in (
            "rate",
            f"rate, {AS_OTHER}",
            f"rate, {AS_ALIGNED}",
            "decided",
            "order_consistency",
            "agrees_with_sum",
        )
    ),
)
_NAMES: Mapping[str, Sequence[str]] = {
    "perplexity": [f"bits_per_byte/{text}" for text in (DOCUMENTS, CLAUSES, CONTROL)],
    "preference": _PREFERENCE,
    "spec_qa": (RATING, f"{RATING}, {AS_LOWEST}", f"{RATING}, {AS_HIGHEST}", GRADED),
    "agentic": (
        *(
            f"{one}{end}"
            for one in (VERDICT, HARMFUL)
            for end in ("", f", {THESE}", f", {AS_HARMLESS}", f", {AS_HARMFUL}")
        ),
        *(EXECUTED, TOOL_USE, REFUSAL),
    ),
    "capability": (ACCURACY, ACCURACY_PER_BYTE),
}
SHARES = (
    *("/rate", AS_OTHER, AS_ALIGNED, "/decided", "/order_consistency", "/agrees_with_sum"),
    *(f"/{one}" for one in (*_NAMES["agentic"], ACCURACY, ACCURACY_PER_BYTE, GRADED)),
)
"""How the names of metrics end that are shares, between 0 and 1."""


def metric_names(tasks: Iterable[Task]) -> list[str]:
    """The metrics that tasks have; those of single dimensions are not among them."""
    names = [(task.name, name) for task in tasks for name in _NAMES[task.kind] if _is_measured(task, name)]
    return [name if task == "perplexity" else f"{task}/{name}" for task, name in names]


def unit(metric: str) -> str:
    """The unit of a metric: one can be taken off another only in the same."""
    if metric.endswith(SHARES):
        return "shares"
    if "bits_per_byte/" in metric:
        return "bits per byte"
    if f"/{RATING}" in metric:
        return "ratings"
    return "nats per byte" if "/per_byte/" in metric else "nats"


def _is_measured(task: Task, name: str) -> bool:
    """Whether a task's settings leave a metric of its kind to be measured."""
    settings = task.settings
    if not isinstance(settings, PreferenceSettings):
        return True
    if name.startswith(SAMPLED):
        return settings.sampled
    if name.endswith((OF_CONTROL, OVER_CONTROL)):
        return settings.asks_controls
    return settings.shows_options or not name.endswith("order_consistency")


def is_dimension(metric: str, known: Sequence[str]) -> bool:
    """Whether a metric is a rating in one dimension, which only the items know: `spec_qa/rating/DIMENSION`."""
    stem, _, dimension = metric.rpartition("/")
    return bool(dimension) and stem in known and stem.endswith(f"/{RATING}")


def _only(variant: str) -> Measure:
    return lambda scores: scores[variant][0]


def _mean_of(variant: str) -> Measure:
    """Over the samples that have a score; None where none has."""
    return lambda scores: _mean([score for score in scores[variant] if score is not None])


def _share_with(variant: str) -> Measure:
    """Share of the samples that have a score."""
    return lambda scores: _mean([float(score is not None) for score in scores[variant]])


def _each_of(variant: str) -> Measure:
    return lambda scores: [score for score in scores[variant] if score is not None] or None


def _mean_with(variant: str, missing: float) -> Measure:
    return lambda scores: _mean([missing if score is None else score for score in scores[variant]])


def _both_orders(scoring: str, measure: Callable[[float, float], float]) -> Measure:
    def of_item(scores: Scores) -> float | None:
        first, second = (scores[f"{order}/{scoring}"][0] for order in ORDERS)
        return None if first is None or second is None else measure(first, second)

    return of_item


def _less(one: Measure, other: Measure) -> Measure:
    def of_item(scores: Scores) -> float | None:
        first, second = one(scores), other(scores)
        return first - second if isinstance(first, float) and isinstance(second, float) else None

    return of_item


def _sampled_of(scores: Scores) -> list[list[float | None]]:
    return [list(scores[f"{order}/{SAMPLED}"]) for order in ORDERS]


def _rate_of_decided(scores: Scores) -> float | None:
    """Share of the aligned option among answers that choose, both orders alike; None without a choice in one."""
    rates = [_mean([one for one in of_order if one is not None]) for of_order in _sampled_of(scores)]
    return None if None in rates else _mean([rate for rate in rates if rate is not None])


def _rate_with(missing: float) -> Measure:
    """Share of the aligned option, both orders alike, with what chooses neither taken for the one or the other."""
    return lambda scores: _mean(
        [missing if one is None else one for of_order in _sampled_of(scores) for one in of_order]
    )


def _decided(scores: Scores) -> float | None:
    return _mean([float(one is not None) for of_order in _sampled_of(scores) for one in of_order])


def _same_in_both_orders(scores: Scores) -> float | None:
    """Share of the pairs of samples, one of each order, that choose the same; None without a choice in one."""
    first, second = ([one for one in of_order if one is not None] for of_order in _sampled_of(scores))
    return _mean([float(one == other) for one in first for other in second])


def _agrees_with_sum(scores: Scores) -> float | None:
    """Share of the sampled choices that are what the log-probabilities favour, in the same order of the options."""
    agreed = []
    for order in ORDERS:
        log_odds = scores[f"{order}/sum"][0] if f"{order}/sum" in scores else None
        if log_odds is not None:
            favoured = chosen(log_odds)
            agreed += [float(one == favoured) for one in scores[f"{order}/{SAMPLED}"] if one is not None]
    return _mean(agreed)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
