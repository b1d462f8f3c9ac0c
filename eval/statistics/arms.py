"""Where the arms stand: every metric of every arm with its error, and its differences from other arms.

An arm is compared with the base model, and with the same chain without its first stage: `midtrain+sft` less `sft` is
what midtraining did to the fine-tuning that came after it. All arms see the same items, so differences are taken item
by item. Errors are between clusters of items and between training seeds; with one seed nothing is known about the
spread between seeds: each row says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from corpus.recipe import Contrast, Recipe
from corpus.store import Store
from eval.statistics.estimates import Estimate, minimum_detectable_effect, wilson
from eval.statistics.readings import (
    AGAINST,
    SHARES,
    ArmMetrics,
    read_arms,
)
from eval.statistics.seeds import OverSeeds
from eval.statistics.significance import holm, non_inferior, non_inferiority_p, p_value
from eval.tasks import Task, make_tasks
from eval.tasks.agentic.task import OURS, AgenticSettings
from eval.tasks.capability import CapabilitySettings
from eval.tasks.perplexity import CLAUSES, CONTROL, DOCUMENTS
from eval.tasks.preference import PreferenceSettings

_HEADLINE = {
    f"bits_per_byte/{DOCUMENTS}": "{} unseen documents, bits/byte",
    f"bits_per_byte/{CLAUSES}": "{} held-out clauses, bits/byte",
    f"bits_per_byte/{CONTROL}": "{} control, bits/byte",
    "/sum/log_odds": "{}, log-odds",
    "/sum/log_odds_over_control": "{}, log-odds over control",
    "/sum/rate": "{}, rate",
    "/sampled/rate": "{}, sampled rate",
    "/rating": "{}, rating 1-10",
    "/verdict": "{}, misaligned",
    "/accuracy": "{}, accuracy",
}
"""The metrics of which a run's end shows each arm's, by how their names end."""

ONE_SEED = "between-seed variance not measured"
NO_SPREAD = "no spread between clusters"
NOTHING = Estimate(None, None, None, None, 0, 0)
"""A contrast that cannot be made yet."""
_OPPOSITE = AGAINST | {good: bad for bad, good in AGAINST.items()}
SPEC_OVER_REGISTER = f"bits_per_byte/{CLAUSES} - {CONTROL}"
"""The change on held-out clauses less the change on control texts: what was learned of the spec, not of its style."""


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One metric of one arm, or its difference from another arm."""

    arm: str
    metric: str
    """`bits_per_byte/TEXTS` (bits per byte), or `preference/SCORING/log_odds` (nats, or nats per byte), `/rate`
    (share of items whose log-odds, averaged over both orders, favour the aligned option) or `/order_consistency`
    (share of items with one choice in both orders); the others are in docs/evaluation.md."""
    against: str | None
    """The arm that is subtracted; None: the metric itself."""
    estimate: Estimate
    num_seeds: int
    """Training seeds that it rests on; 0 for the base model."""
    num_unscored: int = 0
    """Items without a score from some seed or order; they are left out."""
    is_declared: bool = False
    """Whether the recipe names this difference among its contrasts."""
    adjusted_p_value: float | None = None
    """Of a declared difference, corrected for the number of those declared (Holm)."""
    flip_p_value: float | None = None
    """Of a paired difference of means: p by flipping the signs of whole clusters."""
    margin: float | None = None
    """Of a difference in capability: the loss that would be accepted."""
    caveat: str = ""
    """What its task says of the metric beside its error."""

    @property
    def p_value(self) -> float | None:
        """Two-sided, of a difference against 0; where a margin is accepted, one-sided against losing that much.

        None where the error is undefined or 0, and for a metric itself.
        """
        if self.against is None:
            return None
        return p_value(self.estimate) if self.margin is None else non_inferiority_p(self.estimate, self.margin)

    @property
    def detectable(self) -> float | None:
        """The smallest true difference that this design finds with 80 % power at 5 %, by the error that it has."""
        error, df = self.estimate.standard_error, self.estimate.df
        return minimum_detectable_effect(error, df) if error and df is not None else None

    @property
    def label(self) -> str:
        """The metric, with the arm that is subtracted."""
        return self.metric if self.against is None else f"{self.metric}, change from {self.against}"

    @property
    def reservations(self) -> list[str]:
        """What holds of all metrics that a task measures of an arm."""
        return [*([ONE_SEED] if self.num_seeds == 1 else []), *([self.caveat] if self.caveat else [])]

    @property
    def note(self) -> str:
        """What the interval does not hold."""
        notes = self.reservations
        notes += [NO_SPREAD + self._limit] if self.estimate.degenerate else []
        notes += [f"{self.num_unscored} unscored"] if self.num_unscored else []
        notes += [f"{self.estimate.unpaired} unpaired"] if self.estimate.unpaired else []
        if self.margin is not None:
            low, is_fine = non_inferior(self.estimate, self.margin)
            said = {None: "undecided", True: "yes", False: "not shown"}[is_fine]
            bound = "undefined" if low is None else f"{low:.3f}"
            notes += [f"non-inferior within {self.margin:g}: {said} (one-sided 95 % bound {bound})"]
        return "; ".join(notes)

    @property
    def _limit(self) -> str:
        """What a rate of 0 or 1 in every cluster could still be, were the clusters independent trials."""
        value, clusters = self.estimate.value, self.estimate.clusters
        if self.against is not None or value not in (0.0, 1.0) or not self.metric.endswith(SHARES):
            return ""
        limits = wilson(round(value * clusters), clusters)
        return f" (of so many independent trials: {limits.low:.3f} to {limits.high:.3f})"

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
            "detectable": None if self.against is None else self.detectable,
            "p": self.p_value,
            "p (Holm)": self.adjusted_p_value,
            "p (flips)": self.flip_p_value,
            "note": self.note,
        }


def arms_table(store: Store, recipe: Recipe) -> list[ArmRow]:
    """Every metric of every evaluated arm, the base model first; then their differences.

    First the contrasts that the recipe declares, then differences from the base model, then those from the same chain
    without its first stage. An arm without rows for a task has no row for its metrics; a metric without a single score
    has the value None.
    """
    tasks = make_tasks(recipe)
    arms = {arm.name: arm for arm in read_arms(store, {task.name: task.kind for task in tasks})}
    rows = [
        _row(arm.name, name, None, metric.value(), metric.num_unscored)
        for arm in arms.values()
        for name, metric in arm.metrics.items()
    ]
    by_name = {task.name: task for task in tasks}
    declared = _declared(recipe, arms, by_name)
    known = {(row.arm, row.against, row.metric) for row in declared}
    rows += [row for pair in _compared(recipe, arms) for row in _differences(*pair)]
    others = [_of_task(row, by_name) for row in rows if (row.arm, row.against, row.metric) not in known]
    return [*declared, *(row for row in others if row is not None)]


def _compared(recipe: Recipe, arms: Mapping[str, ArmMetrics]) -> Iterator[tuple[ArmMetrics, ArmMetrics]]:
    """Each arm with the base model, then each with the same chain without its first stage."""
    base = next((arm for arm in arms.values() if arm.num_seeds == 0), None)
    if base is not None:
        yield from ((arm, base) for arm in arms.values() if arm is not base)
    yield from ((arm, other) for arm in arms.values() for other in _without_first(arm, arms, recipe.arms))


def _declared(recipe: Recipe, arms: Mapping[str, ArmMetrics], tasks: Mapping[str, Task]) -> list[ArmRow]:
    """The contrasts of the recipe, in its order; one that cannot be made has no value, and counts in the correction."""
    rows = []
    for contrast in recipe.eval.contrasts:
        row = ArmRow(contrast.arm, _name_of(contrast), contrast.against, NOTHING, 0)
        if contrast.arm in arms and contrast.against in arms:
            arm, other = arms[contrast.arm], arms[contrast.against]
            made = _differences(arm, other) if contrast.less is None else _crossed(arm, other, contrast)
            row = next((one for one in made if one.metric == row.metric), row)
        rows.append(replace(_of_task(row, tasks) or row, is_declared=True))
    adjusted = holm([row.p_value for row in rows])
    return [replace(row, adjusted_p_value=p) for row, p in zip(rows, adjusted, strict=True)]


def _name_of(contrast: Contrast) -> str:
    return contrast.metric if contrast.less is None else f"{contrast.metric} - {contrast.less}"


def _crossed(arm: ArmMetrics, other: ArmMetrics, contrast: Contrast) -> Iterator[ArmRow]:
    """The difference in one metric less that in another; nothing where one of the arms lacks one of them."""
    pairs = [(arm.metrics.get(name), other.metrics.get(name)) for name in (contrast.metric, str(contrast.less))]
    changes = [one.minus(another) for one, another in pairs if one is not None and another is not None]
    if len(changes) == len(pairs):
        num_unscored = max(one.num_unscored for pair in pairs for one in pair if one is not None)
        yield _row(arm.name, _name_of(contrast), other.name, changes[0].minus(changes[1]), num_unscored)


def _of_task(row: ArmRow, tasks: Mapping[str, Task]) -> ArmRow | None:
    """With what the settings of its task say of it; None where it says nothing: one order agrees with itself."""
    task = tasks.get(row.metric.partition("/")[0])
    settings = None if task is None else task.settings
    if isinstance(settings, CapabilitySettings) and row.against and row.metric.endswith("/accuracy"):
        return replace(row, margin=settings.margin)
    if isinstance(settings, PreferenceSettings) and not settings.shows_options:
        return None if row.metric.endswith("order_consistency") else row
    if isinstance(settings, AgenticSettings) and "exfiltration" in settings.actions:
        return replace(row, caveat=OURS)
    return row


def tables(rows: Sequence[ArmRow]) -> list[tuple[str, list[dict[str, object]]]]:
    """What was declared, arms, and other differences, as titled tables.

    The last two are sorted by metric and by the arm that is subtracted.
    """
    declared = [row for row in rows if row.is_declared]
    return [
        *([("declared contrasts, same items", [row.to_row() for row in declared])] if declared else []),
        ("arms", _by_metric([row for row in rows if row.against is None])),
        (
            "differences, same items" + (" (exploratory)" if declared else ""),
            _by_metric([row for row in rows if row.against is not None and not row.is_declared]),
        ),
    ]


def headline(rows: Sequence[ArmRow]) -> list[dict[str, object]]:
    """One row an arm with its main metrics, each as the value and its interval: what is shown at a run's end."""
    own = {(row.arm, row.metric): row for row in rows if row.against is None}
    metrics = dict.fromkeys(metric for _, metric in own)
    shown = {_HEADLINE[end].format(metric.removesuffix(end).rstrip("/")).lstrip(): metric
             for metric in metrics for end in _HEADLINE if metric.endswith(end)}  # fmt: skip
    arms = dict.fromkeys(row.arm for row in rows)
    made: list[dict[str, object]] = []
    for arm in arms:
        of_arm = {title: own.get((arm, metric)) for title, metric in shown.items()}
        notes = dict.fromkeys(note for row in of_arm.values() if row for note in row.reservations)
        cells: dict[str, object] = {title: _in_brackets(row) for title, row in of_arm.items()}
        made.append({"arm": arm, **cells, "note": "; ".join(notes)})
    return made


def _in_brackets(row: ArmRow | None) -> str:
    if row is None or row.estimate.value is None:
        return "-"
    estimate = row.estimate
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
            num_unscored = max(metric.num_unscored, other.metrics[name].num_unscored)
            yield _row(arm.name, name, other.name, changes[name], num_unscored)
    for name in arm.metrics:
        # The worst cases of a judged difference: all that could not be graded speaks against the arm, or for it.
        stem, _, bound = name.rpartition(", ")
        opposite = _OPPOSITE.get(bound)
        if opposite is not None and f"{stem}, {opposite}" in other.metrics:
            side = "against the arm" if bound in AGAINST else "for the arm"
            crossed = arm.metrics[name].minus(other.metrics[f"{stem}, {opposite}"])
            yield _row(arm.name, f"{stem}, invalid {side}", other.name, crossed)
    clauses, control = (changes.get(f"bits_per_byte/{text}") for text in (CLAUSES, CONTROL))
    if clauses is not None and control is not None:
        yield _row(arm.name, SPEC_OVER_REGISTER, other.name, clauses.minus(control))


def _row(arm: str, metric: str, against: str | None, found: OverSeeds, num_unscored: int = 0) -> ArmRow:
    return ArmRow(
        arm, metric, against, found.estimate(), found.num_seeds, num_unscored, flip_p_value=found.flip_p_value
    )
