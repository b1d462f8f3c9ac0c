"""Where the arms stand: every metric of every arm with its error, and its differences from other arms.

An arm is compared with the base model, and with the same chain without its first stage: `midtrain+sft` less `sft` is
what midtraining did to the fine-tuning that came after it. All arms see the same items, so differences are taken item
by item. Errors are between clusters of items and between training seeds; with one seed nothing is known about the
spread between seeds: each row says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from corpus.store import Store
from eval.metrics import ArmMetrics, OverSeeds, read_arms
from eval.perplexity import CLAUSES, CONTROL, DOCUMENTS
from eval.stats import Estimate

ONE_SEED = "between-seed variance not measured"
NO_SPREAD = "no spread between clusters"
SPEC_OVER_REGISTER = f"bits_per_byte/{CLAUSES} - {CONTROL}"
"""The change on held-out clauses less the change on control texts: what was learned of the spec, not of its style."""


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One metric of one arm, or its difference from another arm."""

    arm: str
    metric: str
    """`bits_per_byte/TEXTS` (bits per byte), or `preference/SCORING/log_odds` (nats, or nats per byte), `/rate`
    (share of items whose log-odds, averaged over both orders, favour the aligned option) or `/order_consistency`
    (share of items with one choice in both orders)."""
    against: str | None
    """The arm that is subtracted; None: the metric itself."""
    estimate: Estimate
    num_seeds: int
    """Training seeds that it rests on; 0 for the base model."""
    num_unscored: int = 0
    """Items without a score from some seed or order; they are left out."""

    @property
    def label(self) -> str:
        """The metric, with the arm that is subtracted."""
        return self.metric if self.against is None else f"{self.metric}, change from {self.against}"

    @property
    def note(self) -> str:
        """What the interval does not hold."""
        notes = [ONE_SEED] if self.num_seeds == 1 else []
        notes += [NO_SPREAD] if self.estimate.degenerate else []
        notes += [f"{self.num_unscored} unscored"] if self.num_unscored else []
        notes += [f"{self.estimate.unpaired} unpaired"] if self.estimate.unpaired else []
        return "; ".join(notes)

    def to_row(self) -> dict[str, object]:
        """The row as a table shows it; None where an error is undefined, or 0 only because nothing varied."""
        estimate = self.estimate
        known = not estimate.degenerate
        return {
            "metric": self.label,
            "arm": self.arm,
            "value": estimate.value,
            "low": estimate.low if known else None,
            "high": estimate.high if known else None,
            "standard_error": estimate.standard_error if known else None,
            "n": estimate.n,
            "clusters": estimate.clusters,
            "seeds": self.num_seeds,
            "note": self.note,
        }


def arms_table(store: Store, chains: Mapping[str, Sequence[str]]) -> list[ArmRow]:
    """Every metric of every evaluated arm, the base model first; then their differences.

    First those from the base model, then those from the same chain without its first stage. An arm without rows
    for a task has no row for its metrics; a metric without a single score has the value None.

    Args:
        store: the run.
        chains: the stages of each arm, as the recipe has them.
    """
    arms = {arm.name: arm for arm in read_arms(store)}
    rows = [
        _row(arm.name, name, None, metric.value(), metric.num_unscored)
        for arm in arms.values()
        for name, metric in arm.metrics.items()
    ]
    base = next((arm for arm in arms.values() if arm.num_seeds == 0), None)
    if base is not None:
        rows += [row for arm in arms.values() if arm is not base for row in _differences(arm, base)]
    rows += [
        row for arm in arms.values() for other in _without_first(arm, arms, chains) for row in _differences(arm, other)
    ]
    return rows


def tables(rows: Sequence[ArmRow]) -> list[tuple[str, list[dict[str, object]]]]:
    """Arms, and differences, as titled tables sorted by metric and by the arm that is subtracted."""
    titles = {"arms": False, "differences, same items": True}
    return [
        (title, _by_metric([row for row in rows if (row.against is not None) == is_difference]))
        for title, is_difference in titles.items()
    ]


def headline(rows: Sequence[ArmRow]) -> list[dict[str, object]]:
    """One row an arm with its main metrics, each as the value and its interval: what is shown at a run's end."""
    shown = {
        "unseen documents, bits/byte": f"bits_per_byte/{DOCUMENTS}",
        "held-out clauses, bits/byte": f"bits_per_byte/{CLAUSES}",
        "control, bits/byte": f"bits_per_byte/{CONTROL}",
        "preference, log-odds": "preference/sum/log_odds",
        "preference, rate": "preference/sum/rate",
    }
    estimates = {(row.arm, row.metric): row.estimate for row in rows if row.against is None}
    arms = dict.fromkeys(row.arm for row in rows)
    return [
        {"arm": arm, **{title: _in_brackets(estimates.get((arm, metric))) for title, metric in shown.items()}}
        for arm in arms
    ]


def _in_brackets(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f} [too few]"
    if estimate.degenerate:
        return f"{estimate.value:.3f} [no spread]"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _by_metric(rows: Sequence[ArmRow]) -> list[dict[str, object]]:
    order = {label: place for place, label in enumerate(dict.fromkeys(row.label for row in rows))}
    return [row.to_row() for row in sorted(rows, key=lambda row: order[row.label])]


def _without_first(
    arm: ArmMetrics, arms: Mapping[str, ArmMetrics], chains: Mapping[str, Sequence[str]]
) -> list[ArmMetrics]:
    """The evaluated arm whose chain is this one's without its first stage; nothing where that is the base model."""
    rest = list(chains.get(arm.name, ()))[1:]
    others = [arms[name] for name, chain in chains.items() if list(chain) == rest and name in arms]
    return others[:1] if rest else []


def _differences(arm: ArmMetrics, other: ArmMetrics) -> Iterator[ArmRow]:
    changes: dict[str, OverSeeds] = {}
    for name, metric in arm.metrics.items():
        if name in other.metrics:
            changes[name] = metric.minus(other.metrics[name])
            yield _row(arm.name, name, other.name, changes[name], metric.num_unscored)
    clauses, control = (changes.get(f"bits_per_byte/{text}") for text in (CLAUSES, CONTROL))
    if clauses is not None and control is not None:
        yield _row(arm.name, SPEC_OVER_REGISTER, other.name, clauses.minus(control))


def _row(arm: str, metric: str, against: str | None, found: OverSeeds, num_unscored: int = 0) -> ArmRow:
    return ArmRow(arm, metric, against, found.estimate(), found.num_seeds, num_unscored)
