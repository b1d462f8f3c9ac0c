"""The table of arms, from rows that are known by heart."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping

import pytest

from corpus.errors import RecipeError
from corpus.recipe import Recipe
from corpus.store import WritingStore
from eval import arms_rows, check_settings
from eval import arms_table as arms_table_of_run
from eval.statistics.arms import ONE_SEED, ArmRow, arms_table, tables
from eval.statistics.readings import read_arms

Add = Callable[..., None]


def by_name(rows: list[ArmRow]) -> Mapping[tuple[str, str, str | None], ArmRow]:
    return {(row.arm, row.metric, row.against): row for row in rows}


CLAUSES, CONTROL = "held_out_clauses", "control"


def test_differences_are_paired_and_the_base_model_comes_first(store: WritingStore, measured: Add) -> None:
    for item, base, arm in (("a1", 30.0, 20.0), ("a2", 10.0, 2.0), ("b1", 50.0, 38.0)):
        measured("zero", None, CLAUSES, item, base)
        measured("arm", 0, CLAUSES, item, arm)
    rows = arms_table(store, Recipe(name="run"))
    assert [row.arm for row in rows] == ["zero", "arm", "arm"]
    metric = f"bits_per_byte/{CLAUSES}"
    found = by_name(rows)
    assert found["zero", metric, None].estimate.value == 3.0
    assert found["arm", metric, None].estimate.value == 2.0
    change = found["arm", metric, "zero"].estimate
    assert change.value == pytest.approx(-1.0)
    alone = found["arm", metric, None].estimate
    assert change.standard_error is not None and alone.standard_error is not None
    assert change.standard_error < alone.standard_error / 5, "what the arms share in an item should cancel"


def test_the_difference_in_differences_is_that_of_clauses_less_that_of_control(
    store: WritingStore, measured: Add
) -> None:
    for variant, gain, items in ((CLAUSES, 9.0, ("a1", "b1", "c1")), (CONTROL, 4.0, ("x1", "y1", "z1"))):
        for item, wobble in zip(items, (1.0, -1.0, 0.0), strict=True):
            measured("base", None, variant, item, 40.0)
            measured("arm", 0, variant, item, 40.0 - gain + wobble)
    row = by_name(arms_table(store, Recipe(name="run")))["arm", f"bits_per_byte/{CLAUSES} - {CONTROL}", "base"]
    assert row.estimate.value == pytest.approx(-0.5)
    assert row.estimate.low is not None and row.estimate.high is not None
    assert row.estimate.low < -0.5 < row.estimate.high


def test_items_are_averaged_over_training_seeds_and_one_seed_is_flagged(store: WritingStore, measured: Add) -> None:
    for item in ("a1", "b1"):
        measured("one", 0, CONTROL, item, 20.0)
        for seed, bits in ((0, 20.0), (1, 40.0)):
            measured("two", seed, CONTROL, item, bits)
    found = by_name(arms_table(store, Recipe(name="run")))
    one, two = (found[arm, f"bits_per_byte/{CONTROL}", None] for arm in ("one", "two"))
    assert (one.num_seeds, two.num_seeds) == (1, 2)
    assert two.estimate.value == 3.0 and two.estimate.n == 2
    assert ONE_SEED in one.note and ONE_SEED not in two.note


def test_training_seeds_that_differ_widen_the_interval_and_are_paired_where_both_arms_have_them(
    store: WritingStore, measured: Add
) -> None:
    for item, bits in (("a1", 20.0), ("b1", 22.0), ("c1", 24.0)):
        measured("base", None, CONTROL, item, bits)
        for seed, shift in ((0, -4.0), (1, 0.0), (2, 4.0)):
            measured("other", seed, CONTROL, item, bits + shift)
            if seed:  # one seed less
                measured("arm", seed, CONTROL, item, bits + shift - 1.0)
    arms = {arm.name: arm for arm in read_arms(store, {"perplexity": "perplexity"})}
    metric = f"bits_per_byte/{CONTROL}"
    against_base = arms["other"].metrics[metric].minus(arms["base"].metrics[metric])
    assert against_base.by_seed == pytest.approx({0: -0.4, 1: 0.0, 2: 0.4})
    assert against_base.items.standard_error == 0
    assert against_base.estimate().standard_error == pytest.approx(0.4 / 3**0.5)
    paired = arms["arm"].metrics[metric].minus(arms["other"].metrics[metric])
    assert paired.by_seed == pytest.approx({1: -0.1, 2: -0.1})
    assert paired.estimate().degenerate, "what a seed does to both arms cancels"
    rows = by_name(arms_table(store, Recipe(name="run")))
    assert rows["other", metric, "base"].num_seeds == 3


def test_an_item_that_one_seed_lacks_is_left_out_and_counted(store: WritingStore, measured: Add) -> None:
    for item in ("a1", "b1"):
        measured("arm", 0, CONTROL, item, 20.0)
    measured("arm", 1, CONTROL, "a1", 40.0)
    (row,) = arms_table(store, Recipe(name="run"))
    assert (row.estimate.value, row.estimate.n, row.num_seeds, row.num_unscored) == (3.0, 1, 2, 1)


def test_what_a_seed_does_to_clauses_and_control_alike_is_no_spread_of_their_difference(
    store: WritingStore, measured: Add
) -> None:
    for variant, gain in ((CLAUSES, 9.0), (CONTROL, 4.0)):
        for item, wobble in (("a1", 1.0), ("b1", -1.0), ("c1", 0.0)):
            measured("base", None, variant, item, 40.0)
            for seed, shift in ((0, -10.0), (1, 0.0), (2, 10.0)):
                measured("arm", seed, variant, item, 40.0 - gain + wobble + shift)
    found = by_name(arms_table(store, Recipe(name="run")))
    both, apart = (found["arm", f"bits_per_byte/{name}", "base"] for name in (CLAUSES, f"{CLAUSES} - {CONTROL}"))
    assert both.estimate.standard_error is not None and apart.estimate.standard_error is not None
    assert apart.estimate.standard_error < both.estimate.standard_error / 5
    assert (apart.estimate.value, apart.num_seeds) == (pytest.approx(-0.5), 3)


def test_without_a_base_model_there_are_no_differences(store: WritingStore, measured: Add) -> None:
    measured("arm", 0, CONTROL, "a1", 20.0)
    assert [row.against for row in arms_table(store, Recipe(name="run"))] == [None]


def test_what_has_too_few_clusters_has_no_error(store: WritingStore, measured: Add) -> None:
    measured("base", None, CONTROL, "a1", 20.0)
    measured("base", None, CONTROL, "a2", 30.0)
    (row,) = arms_table(store, Recipe(name="run"))
    assert (row.estimate.value, row.estimate.standard_error, row.estimate.low) == (2.5, None, None)


def test_nothing_scored_is_null_and_an_unscored_item_is_left_out_and_counted(
    store: WritingStore, measured: Add
) -> None:
    measured("base", None, CONTROL, "a1", None)
    measured("base", None, CLAUSES, "a1", None)
    measured("base", None, CLAUSES, "b1", 20.0)
    found = by_name(arms_table(store, Recipe(name="run")))
    nothing, some = (found["base", f"bits_per_byte/{text}", None] for text in (CONTROL, CLAUSES))
    assert (nothing.estimate.value, nothing.num_unscored) == (None, 1)
    assert (some.estimate.value, some.num_unscored) == (2.0, 1)
    assert "1 unscored" in some.note


def test_items_of_one_arm_alone_are_left_out_of_its_difference_and_counted(store: WritingStore, measured: Add) -> None:
    for item in ("a1", "b1", "c1"):
        measured("base", None, CONTROL, item, 20.0)
    measured("arm", 0, CONTROL, "a1", 10.0)
    row = by_name(arms_table(store, Recipe(name="run")))["arm", f"bits_per_byte/{CONTROL}", "base"]
    assert (row.estimate.n, row.estimate.unpaired) == (1, 2)
    assert "2 unpaired" in row.note


def test_rows_of_another_recipe_do_not_count(store: WritingStore, measured: Add) -> None:
    measured("base", None, CONTROL, "a1", 20.0)
    store.writer("eval").set_current("evals", {"all": "another"})
    assert arms_table(store, Recipe(name="run")) == []


def test_tables_hold_every_row_sorted_by_metric(store: WritingStore, measured: Add) -> None:
    for variant in (CONTROL, CLAUSES):
        for item in ("a1", "b1"):
            for arm, seed in (("base", None), ("arm", 0)):
                measured(arm, seed, variant, item, 20.0 if seed is None else 18.0)
    (_, arms), (_, differences) = tables(arms_table(store, Recipe(name="run")))
    assert [row["arm"] for row in arms] == ["base", "arm", "base", "arm"]
    assert len(differences) == 3
    assert all("change from base" in str(row["metric"]) for row in differences)
    (store.root / "recipe.yaml").write_text("name: run")
    assert arms_rows(store) == [*arms, *differences]


def test_an_arm_is_compared_with_the_same_chain_without_its_first_stage(store: WritingStore, measured: Add) -> None:
    bits = {"base": 40.0, "sft": 36.0, "midtrain": 35.0, "both": 30.0, "three": 20.0}
    for variant in (CONTROL, CLAUSES):
        for item, wobble in (("a1", 1.0), ("b1", -1.0)):
            for arm, value in bits.items():
                measured(arm, None if arm == "base" else 0, variant, item, value + wobble * len(arm))
    recipe = """
        name: run
        mixes: {docs: {}, chats: {kind: chats}}
        train: {stages: {midtrain: {data: docs}, sft: {data: chats}, last: {data: chats}}}
        arms: {base: [], sft: [sft], midtrain: [midtrain], both: [midtrain, sft], three: [midtrain, sft, last]}
    """
    (store.root / "recipe.yaml").write_text(textwrap.dedent(recipe))
    found = by_name(arms_table_of_run(store))
    assert {(arm, against) for arm, _, against in found if against not in (None, "base")} == {("both", "sft")}
    row = found["both", f"bits_per_byte/{CLAUSES}", "sft"]
    assert row.estimate.value == pytest.approx(-0.6)
    assert row.label == f"bits_per_byte/{CLAUSES}, change from sft"
    assert found["both", f"bits_per_byte/{CLAUSES} - {CONTROL}", "sft"].estimate.value == pytest.approx(0)
    assert found["both", f"bits_per_byte/{CLAUSES}", "base"].estimate.value == pytest.approx(-1.0)
    shown = [(row["metric"], row["arm"]) for row in arms_rows(store) if "change from sft" in str(row["metric"])]
    assert [arm for _, arm in shown] == ["both"] * 3


def test_the_headline_is_one_row_an_arm_and_says_where_an_interval_is_not_to_be_had():
    from eval.statistics.arms import ArmRow, headline
    from eval.statistics.estimates import clustered_mean

    several = clustered_mean([0.0, 1.0, 1.0, 0.0], ["a", "a", "b", "b"])
    rows = [
        ArmRow("base", "preference/sum/rate", None, several, 0),
        ArmRow("base", "preference/sum/log_odds", None, clustered_mean([2.0], ["a"]), 0),
        ArmRow("sft", "preference/sum/rate", "base", several, 1),
    ]
    base, sft = headline(rows)
    assert base["preference, rate"].startswith("0.500 [")
    assert base["preference, log-odds"] == "2.000 [too few]"
    assert sft["preference, rate"] == "-"
    assert base["note"] == ""
    rows += [ArmRow("sft", "preference/sum/rate", None, several, 1, caveat="of ours"),
             ArmRow("sft", "preference/sum/log_odds", None, several, 1)]  # fmt: skip
    assert headline(rows)[1]["note"] == "between-seed variance not measured; of ours"


@pytest.mark.parametrize("has_ours", [True, False])
def test_numbers_that_a_scenario_of_ours_is_in_say_so(store: WritingStore, add_rows: Add, has_ours: bool) -> None:
    store.writer("eval").set_current("evals", {"all": "h"})
    for item in range(3):
        add_rows("evals", {"eval_id": f"e{item}", "arm": "base", "task": "agentic", "item_id": f"c{item}", "sample": 0,
                           "variant": "verdict", "score": 0.0, "cluster": f"c{item}", "eval_hash": "h"})  # fmt: skip
    actions = ["murder", "exfiltration"] if has_ours else ["murder"]
    recipe = Recipe.model_validate(
        {"name": "r", "arms": {"base": []}, "eval": {"tasks": [{"agentic": {"actions": actions}}]}}
    )
    notes = {row.note for row in arms_table(store, recipe)}
    assert notes
    assert all(("not the paper's" in note) is has_ours for note in notes)


def test_a_judge_or_samples_that_no_task_uses_are_refused() -> None:
    base = {"name": "run", "arms": {"base": []}, "engines": {"judge": {}}}
    recipe = Recipe.model_validate(base | {"eval": {"judge": "judge"}})
    with pytest.raises(RecipeError, match=r"eval.judge \(judge\): none of the tasks asks for answers"):
        check_settings(recipe)
    check_settings(Recipe.model_validate(base | {"eval": {"judge": "judge", "tasks": ["spec_qa"], "samples": 3}}))
