"""What could not be graded bounds a judged rate and a difference: against every way in which it could have been."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from corpus.recipe import Recipe
from corpus.store import WritingStore
from eval.statistics.arms import NO_SPREAD, ArmRow, arms_table
from eval.statistics.estimates import Estimate, clustered_mean
from eval.statistics.readings import THESE
from eval.tasks.agentic.task import HARMFUL, VERDICT
from eval.tasks.preference import ORDERS, SAMPLED
from eval.tasks.spec_qa import RATING

Add = Callable[..., None]
Grades = Mapping[str, Sequence[float | None]]
"""Of each item, what its answers were judged, from 0 to 1; None: the judge's reply could not be read."""
Table = Callable[[str, Mapping[str, Grades]], dict[tuple[str, str, str | None], ArmRow]]

BASE: Grades = {"c0": [1.0, None], "c1": [None, None], "c2": [0.0, 0.0], "c3": [0.0, 1.0]}
ARM: Grades = {"c0": [0.0, None], "c1": [1.0, 0.0], "c2": [None, 0.0], "c3": [1.0, 1.0]}
METRIC = f"agentic/{VERDICT}"
JUDGED = {
    METRIC: ("invalid as harmless", "invalid as harmful", "against"),
    f"agentic/{HARMFUL}": ("invalid as harmless", "invalid as harmful", "against"),
    f"spec_qa/{RATING}": ("invalid as 1", "invalid as 10", "for"),
    f"preference/{SAMPLED}/rate": ("undecided as other", "undecided as aligned", "for"),
}
"""The bounds of each judged metric, the lower first, and what a rise of it says of an arm."""


@pytest.fixture
def table(store: WritingStore, add_rows: Add) -> Table:
    """From a metric and the grades of each arm (`base` is not trained) to rows by arm, metric, what is subtracted."""

    def read(metric: str, arms: Mapping[str, Grades]) -> dict[tuple[str, str, str | None], ArmRow]:
        task, variant = metric.split("/")[:2]
        store.writer("eval").set_current("evals", {"all": "h"})
        for arm, grades in arms.items():
            for item, of_item in grades.items():
                for sample, grade in enumerate(of_item):
                    score = grade if task != "spec_qa" or grade is None else 1 + 9 * grade
                    add_rows("evals", {
                        "eval_id": f"{arm}{item}{sample}", "arm": arm, "task": task, "item_id": item, "cluster": item,
                        "train_seed": None if arm == "base" else 0, "sample": sample, "score": score, "value": score,
                        "variant": variant if task != "preference" else f"{ORDERS[sample % 2]}/{variant}",
                        "eval_hash": "h",
                    })  # fmt: skip
        recipe = Recipe.model_validate({
            "name": "run", "mixes": {"docs": {}}, "train": {"stages": {"s": {"data": "docs"}}},
            "arms": {arm: [] if arm == "base" else ["s"] for arm in arms},
            "eval": {"tasks": [{"agentic": {"actions": ["murder"]}}, "spec_qa", {"preference": {"sampled": True}}]},
        })  # fmt: skip
        return {(row.arm, row.metric, row.against): row for row in arms_table(store, recipe)}

    return read


def completions(metric: str, grades: Grades) -> list[NDArray[np.float64]]:
    """The means of each item, for every way in which what could not be graded could have been graded."""
    missing = sum(grade is None for of_item in grades.values() for grade in of_item)
    made: list[NDArray[np.float64]] = []
    for possible in itertools.product((0.0, 1.0), repeat=missing):
        left = iter(possible)
        complete = [[next(left) if grade is None else grade for grade in of_item] for of_item in grades.values()]
        means = np.array(complete).mean(axis=1)
        made.append(1 + 9 * means if metric.startswith("spec_qa") else means)
    return made


def graded(grades: Grades) -> Grades:
    """The same with what could not be graded at 0."""
    return {item: [grade or 0.0 for grade in of_item] for item, of_item in grades.items()}


@pytest.mark.parametrize("metric", JUDGED)
def test_the_bounds_of_a_judged_metric_are_the_least_and_the_most_that_it_could_be(table: Table, metric: str) -> None:
    rows = table(metric, {"base": BASE, "arm": ARM})
    for arm, grades in (("base", BASE), ("arm", ARM)):
        values = [float(means.mean()) for means in completions(metric, grades)]
        low, high = (rows[arm, f"{metric}, {bound}", None] for bound in JUDGED[metric][:2])
        assert low.estimate.value == pytest.approx(min(values))
        assert high.estimate.value == pytest.approx(max(values))
        assert min(values) < max(values)
        assert low.num_unscored == high.num_unscored == 0, "nothing is left out of a bound"
    assert rows["base", metric, None].num_unscored > 0, "an item without a grade has no mean"


@pytest.mark.parametrize("metric", JUDGED)
def test_where_everything_was_graded_the_bounds_are_the_metric_itself(table: Table, metric: str) -> None:
    """The negative control."""
    rows = table(metric, {"base": graded(BASE), "arm": graded(ARM)})
    bounds = [f"{metric}, {bound}" for bound in JUDGED[metric][:2]]
    sides = [f"{metric}, invalid {side} the arm" for side in ("for", "against")]
    for arm, against, names in (("base", None, bounds), ("arm", None, bounds), ("arm", "base", bounds + sides)):
        assert rows[arm, metric, against].estimate.value is not None
        assert {rows[arm, name, against].estimate for name in names} == {rows[arm, metric, against].estimate}


@pytest.mark.parametrize("metric", JUDGED)
def test_the_worst_cases_of_a_difference_are_the_least_and_the_most_that_it_could_be(table: Table, metric: str) -> None:
    """Least: the arm's ungraded answers at their least and the other's at their most; like bounds lie between."""
    rows = table(metric, {"base": BASE, "arm": ARM})
    possible = [one - other for one in completions(metric, ARM) for other in completions(metric, BASE)]
    least, most = min(possible, key=np.mean), max(possible, key=np.mean)
    low_bound, high_bound, rise = JUDGED[metric]
    fall = "for" if rise == "against" else "against"
    for side, expected in ((fall, least), (rise, most)):
        found = rows["arm", f"{metric}, invalid {side} the arm", "base"].estimate
        low, high = stats.ttest_1samp(expected, 0).confidence_interval(0.95)
        assert found.value == pytest.approx(expected.mean())
        assert found.low == pytest.approx(low)
        assert found.high == pytest.approx(high)
    for bound in (low_bound, high_bound):
        alike = rows["arm", f"{metric}, {bound}", "base"].estimate.value
        assert alike is not None and least.mean() < alike < most.mean()


def answers(*harmful: int, of: int = 20) -> Grades:
    return {f"c{place}": [1.0] * count + [0.0] * (of - count) for place, count in enumerate(harmful)}


def test_these_conditions_have_the_error_of_their_answers_and_conditions_like_these_that_between_them(
    table: Table,
) -> None:
    harmful = (0, 2, 10, 19)
    rows = table(METRIC, {"base": answers(*harmful), "arm": answers(*reversed(harmful))})
    like, these = (rows["base", METRIC + end, None].estimate for end in ("", f", {THESE}"))
    rates = np.array(harmful) / 20
    assert these.value == like.value == pytest.approx(rates.mean())
    assert these.standard_error == pytest.approx(math.sqrt((rates * (1 - rates) / 19).sum()) / 4)
    assert like.standard_error == pytest.approx(stats.sem(rates))
    assert width(these) < width(like) / 5
    like, these = (rows["arm", METRIC + end, "base"].estimate for end in ("", f", {THESE}"))
    assert these.value == like.value == pytest.approx(0.0)
    assert width(these) < width(like) / 5


def test_where_conditions_do_not_differ_it_is_the_other_way_round(table: Table) -> None:
    """The negative control: narrower is what comes of conditions that differ, not of the name."""
    rows = table(METRIC, {"base": answers(7, 7, 7, 7)})
    like, these = (rows["base", METRIC + end, None].estimate for end in ("", f", {THESE}"))
    assert width(these) > width(like) == 0


def width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None, estimate
    return estimate.high - estimate.low


@pytest.mark.parametrize(("count", "rate"), [(0, 0.0), (20, 1.0)])
def test_a_rate_of_0_or_1_in_every_cluster_has_wilsons_limits_of_so_many_trials(
    table: Table, count: int, rate: float
) -> None:
    """Trials are clusters: twenty answers to each of nine conditions are nine."""
    row = table(METRIC, {"base": answers(*[count] * 9)})["base", METRIC, None]
    low, high = proportion_confint(round(rate * 9), 9, method="wilson")
    assert row.note == f"{NO_SPREAD} (of so many independent trials: {low:.3f} to {high:.3f})"
    assert row.to_row()["low"] is None and row.to_row()["high"] is None
    of_answers = proportion_confint(round(rate * 180), 180, method="wilson")
    assert f"{of_answers[0]:.3f} to {of_answers[1]:.3f}" not in row.note


@pytest.mark.parametrize(
    ("metric", "against", "value"),
    [
        (METRIC, "base", 0.0),
        (METRIC, None, 0.5),
        ("preference/sum/log_odds", None, 1.0),
        ("bits_per_byte/control", None, 0.0),
    ],
    ids=["a difference", "neither 0 nor 1", "log-odds", "bits"],
)
def test_what_is_no_rate_of_0_or_1_has_no_such_limits(metric: str, against: str | None, value: float) -> None:
    row = ArmRow("arm", metric, against, clustered_mean([value] * 9, range(9)), 2)
    assert row.note == NO_SPREAD


def test_what_is_detectable_is_that_of_the_error_with_80_percent_power(table: Table) -> None:
    rows = table(METRIC, {"base": answers(0, 2, 10, 19), "arm": answers(1, 2, 14, 15), "same": answers(0, 2, 10, 19)})
    changes = np.array([1, 0, 4, -4]) / 20
    expected = stats.sem(changes) * (stats.t.ppf(0.975, 3) + stats.t.ppf(0.8, 3))
    row = rows["arm", METRIC, "base"]
    assert row.detectable == row.to_row()["detectable"] == pytest.approx(expected)
    assert rows["arm", METRIC, None].to_row()["detectable"] is None, "nothing is compared"
    assert rows["same", METRIC, "base"].detectable is None, "nothing varied"
