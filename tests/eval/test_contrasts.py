"""What a recipe declares beforehand: told first, corrected together, refused where no task measures it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from corpus.errors import RecipeError
from corpus.recipe import Recipe
from corpus.store import WritingStore
from eval import check_settings
from eval.statistics.arms import arms_table, tables
from eval.statistics.significance import non_inferiority_p, p_value
from eval.tasks.capability import ACCURACY, ACCURACY_PER_BYTE
from eval.tasks.preference import SCORINGS

Add = Callable[..., None]
CLAUSES, CONTROL = "held_out_clauses", "control"


def declaring(arms: dict[str, list[str]], contrasts: list[dict[str, str]], tasks: Sequence[object] = ()) -> Recipe:
    stages = {stage: {"data": "docs"} for chain in arms.values() for stage in chain}
    return Recipe.model_validate(
        {
            "name": "run", "mixes": {"docs": {}}, "train": {"stages": stages}, "arms": arms,
            "eval": {"contrasts": contrasts} | ({"tasks": list(tasks)} if tasks else {}),
        }
    )  # fmt: skip


def test_a_declared_contrast_stands_first_is_corrected_and_not_told_twice(store: WritingStore, measured: Add) -> None:
    for place, item in enumerate(("a1", "b1", "c1", "d1")):
        measured("base", None, CONTROL, item, 40.0)
        for arm, gain in (("one", 4.0), ("two", 6.0)):
            measured(arm, 0, CONTROL, item, 40.0 - gain - place)
    metric = f"bits_per_byte/{CONTROL}"
    pairs = [("two", "one"), ("one", "base"), ("base", "two")]
    contrasts = [{"arm": arm, "against": against, "metric": metric} for arm, against in pairs]
    arms = {"base": [], "one": ["s"], "two": ["t"]}
    recipe = declaring(arms, contrasts)
    rows = arms_table(store, recipe)
    declared = [row for row in rows if row.is_declared]
    assert [(row.arm, row.against) for row in declared] == pairs
    assert declared[0].estimate.value == pytest.approx(-0.2)
    assert declared[2].estimate.value == pytest.approx(0.75), "the base model may be the first of the two"
    assert declared[1].adjusted_p_value is not None and declared[1].p_value is not None
    assert declared[1].adjusted_p_value >= declared[1].p_value
    assert len({(row.arm, row.against, row.metric) for row in rows}) == len(rows)
    assert tables(rows)[0][0] == "declared contrasts, same items"
    assert tables(rows)[2][0].endswith("(exploratory)")


def test_the_difference_in_differences_can_be_declared(store: WritingStore, measured: Add) -> None:
    for variant in (CLAUSES, CONTROL):
        for item in ("a1", "b1", "c1"):
            measured("base", None, variant, item, 40.0)
            measured("arm", 0, variant, item, 30.0)
    metric = f"bits_per_byte/{CLAUSES} - {CONTROL}"
    recipe = declaring({"base": [], "arm": ["s"]}, [{"arm": "arm", "against": "base", "metric": metric}])
    (declared,) = [row for row in arms_table(store, recipe) if row.is_declared]
    assert declared.estimate.value == pytest.approx(0.0)


def test_what_an_arm_does_to_two_kinds_of_items_alike_cancels_in_a_contrast_less_another(
    store: WritingStore, add_rows: Add
) -> None:
    """Two arms, of which one likes the option less that all items share: 3 nats on both kinds, 1 and 2 of its own."""
    store.writer("eval").set_current("evals", {"all": "h"})
    for arm, tilt, own in (("one", 3.0, (1.0, -2.0)), ("two", 0.0, (0.0, 0.0))):
        for task, more in zip(("first", "second"), own, strict=True):
            for place, item in enumerate(("a1", "b1", "c1", "d1")):
                for variant in (f"aligned_{order}/{scoring}" for order in ("first", "second") for scoring in SCORINGS):
                    add_rows("evals", {
                        "eval_id": f"{arm}{task}{item}{variant}", "arm": arm, "train_seed": 0, "task": task,
                        "item_id": f"{task}{item}", "variant": variant, "cluster": item[0], "eval_hash": "h",
                        "score": tilt + more + place * tilt,
                    })  # fmt: skip
    tasks = [{name: {"kind": "preference"}} for name in ("first", "second")]
    contrast = {"arm": "one", "against": "two", "metric": "first/sum/log_odds", "less": "second/sum/log_odds"}
    recipe = declaring({"one": ["s"], "two": ["t"]}, [contrast], tasks)
    check_settings(recipe)
    (declared,) = [row for row in arms_table(store, recipe) if row.is_declared]
    assert declared.metric == "first/sum/log_odds - second/sum/log_odds"
    assert declared.estimate.value == pytest.approx(3.0)
    assert declared.estimate.degenerate and (declared.estimate.n, declared.estimate.clusters) == (8, 4)
    wrong = declaring({"one": ["s"], "two": ["t"]}, [contrast | {"less": "second/sum/logodds"}], tasks)
    with pytest.raises(RecipeError, match=r"contrasts\[0\].less: no task measures 'second/sum/logodds'"):
        check_settings(wrong)


def test_a_contrast_that_cannot_be_made_yet_counts_and_breaks_nothing(store: WritingStore, measured: Add) -> None:
    measured("base", None, CONTROL, "a1", 40.0)
    metric = "agentic/verdict, these conditions"
    recipe = declaring({"base": [], "arm": ["s"]}, [{"arm": "arm", "against": "base", "metric": metric}])
    (declared,) = [row for row in arms_table(store, recipe) if row.is_declared]
    assert (declared.estimate.value, declared.p_value, declared.adjusted_p_value) == (None, None, None)


@pytest.mark.parametrize(
    ("metric", "fault"),
    [
        ("preference/sum/logodds", "did you mean 'preference/sum/log_odds'"),
        ("spec_qa/rating", "no task measures 'spec_qa/rating'"),
        (f"bits_per_byte/{CLAUSES} - {CONTROL}", None),
        ("preference/sum/rate", None),
        ("preference/sampled/rate", "no task measures 'preference/sampled/rate'"),
        ("preference/sum/log_odds_over_control", "no task measures"),
        ("unseen/sum/log_odds_over_control", None),
        ("unseen/sum/order_consistency", "no task measures"),
        ("uncontrolled/sum/log_odds_over_control", "no task measures"),
    ],
)
def test_a_contrast_of_a_metric_that_no_task_has_is_refused(metric: str, fault: str | None) -> None:
    cloze = {"kind": "preference", "prompt": "preference_cloze"}
    tasks = ["perplexity", "preference", {"unseen": cloze}, {"uncontrolled": cloze | {"controls": False}}]
    recipe = declaring({"base": [], "arm": ["s"]}, [{"arm": "arm", "against": "base", "metric": metric}], tasks)
    if fault is None:
        check_settings(recipe)
        return
    with pytest.raises(RecipeError, match=fault):
        check_settings(recipe)


def test_a_difference_in_differences_has_no_further_one_taken_off() -> None:
    clauses, control = f"bits_per_byte/{CLAUSES}", f"bits_per_byte/{CONTROL}"
    both = {"arm": "arm", "against": "base", "metric": clauses, "less": control}
    arms: dict[str, list[str]] = {"base": [], "arm": ["s"]}
    check_settings(declaring(arms, [both], ["perplexity"]))
    for key in ("metric", "less"):
        recipe = declaring(arms, [both | {key: f"{clauses} - {CONTROL}"}], ["perplexity"])
        with pytest.raises(RecipeError, match=rf"contrasts\[0\].{key}: no task measures"):
            check_settings(recipe)


def test_of_these_very_conditions_none_is_taken_off_another() -> None:
    """Verdict and harmful are of the same answers: as independent ones they would seem twice as many."""
    contrast = {"arm": "arm", "against": "base", "metric": "agentic/verdict", "less": "agentic/harmful"}
    arms: dict[str, list[str]] = {"base": [], "arm": ["s"]}
    check_settings(declaring(arms, [contrast], ["agentic"]))
    these = contrast | {"metric": "agentic/verdict, these conditions"}
    check_settings(declaring(arms, [{key: these[key] for key in ("arm", "against", "metric")}], ["agentic"]))
    with pytest.raises(RecipeError, match=r"contrasts\[0\].metric: no task measures 'agentic/verdict, these"):
        check_settings(declaring(arms, [these], ["agentic"]))


def test_a_declared_loss_of_capability_has_the_p_of_its_margin(store: WritingStore, add_rows: Add) -> None:
    """A loss of an eighth is found within the margin before it is found to be a loss."""
    store.writer("eval").set_current("evals", {"all": "h"})
    kinds = itertools.product(range(40), ("base", "arm", "other"), (ACCURACY, ACCURACY_PER_BYTE))
    for place, arm, variant in kinds:
        value = float(arm != "arm" or place % 8 != 0)
        add_rows("evals", {
            "eval_id": f"{arm}{place}{variant}", "arm": arm, "train_seed": None if arm == "base" else 0, "sample": 0,
            "eval_hash": "h", "task": "capability", "item_id": f"i{place}", "variant": variant,
            "cluster": f"c{place % 10}", "score": 1.0, "value": value,
        })  # fmt: skip
    arms: dict[str, list[str]] = {"base": [], "arm": ["s"], "other": ["t"]}
    contrasts = [{"arm": arm, "against": "base", "metric": "capability/accuracy"} for arm in ("arm", "other")]
    recipe = declaring(arms, contrasts, [{"capability": {"margin": 0.3}}])
    declared = [row for row in arms_table(store, recipe) if row.is_declared]
    lost = declared[0]
    assert lost.estimate.value == pytest.approx(-0.125)
    two_sided = p_value(lost.estimate)
    assert lost.p_value is not None and two_sided is not None and lost.p_value < two_sided
    assert lost.p_value == non_inferiority_p(lost.estimate, 0.3)
    assert lost.adjusted_p_value == min(1.0, 2 * lost.p_value)


@pytest.mark.parametrize(
    ("metric", "less", "fault"),
    [
        ("preference/sum/log_odds", "preference/sum/log_odds", "taken off itself is 0"),
        ("preference/sum/log_odds", "preference/sum/rate", "is in shares, and 'preference/sum/log_odds' in nats;"),
        ("preference/per_byte/log_odds", "preference/sum/log_odds", "is in nats, and .* in nats per byte"),
        ("spec_qa/rating", "bits_per_byte/control", "is in bits per byte, and 'spec_qa/rating' in ratings"),
        ("spec_qa/rating", "spec_qa/rating, invalid as 1", None),
        ("preference/sum/rate", "preference/sum/order_consistency", None),
    ],
)
def test_only_what_is_in_one_unit_is_taken_off(metric: str, less: str, fault: str | None) -> None:
    contrast = {"arm": "arm", "against": "base", "metric": metric, "less": less}
    recipe = declaring({"base": [], "arm": ["s"]}, [contrast], ["perplexity", "preference", "spec_qa"])
    if fault is None:
        check_settings(recipe)
        return
    with pytest.raises(RecipeError, match=rf"contrasts\[0\].less: .*{fault}"):
        check_settings(recipe)
