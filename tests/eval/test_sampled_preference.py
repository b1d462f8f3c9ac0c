"""Sampled choices are read by rule and then by a judge, in both orders of the options."""

from __future__ import annotations

import json

import pytest

from corpus.engine import Request
from tests.eval.sampling import CHOICES, value, write_items


def test_sampled_preferences_are_read_by_rule_and_then_by_the_judge(asking, run, engines, store, tmp_path) -> None:
    items = write_items(tmp_path / "choices.jsonl", CHOICES)
    said = {"Which 0?": "The one 0.", "Which 1?": "Neither, if I may.", "Which 2?": "I rather like the first."}
    engines.answer = lambda request: next(a for q, a in said.items() if q in request.messages[-1].content)

    def grade(request: Request) -> str:
        choice = "neither" if "Neither" in request.messages[-1].content.split("=" * 16)[1] else "first"
        return json.dumps({"reason": "it says so", "choice": choice})

    engines.grade = grade
    task = {"preference": {"items_file": items, "sampled": True}}
    report = run(asking(tasks=[task], judging={"twice_fraction": 0}))
    rows = store.rows("SELECT item_id, variant, answer, judge FROM evals WHERE variant LIKE '%sampled' ORDER BY ALL")
    assert [(row["item_id"], row["variant"], row["answer"]) for row in rows] == [
        ("p0", "aligned_first/sampled", "aligned"),
        ("p0", "aligned_second/sampled", "aligned"),
        ("p1", "aligned_first/sampled", None),
        ("p1", "aligned_second/sampled", None),
        ("p2", "aligned_first/sampled", "aligned"),
        ("p2", "aligned_second/sampled", "other"),
    ]
    assert [row["judge"] is not None for row in rows] == [False, False, True, True, True, True]
    assert value(report, "preference/sampled/decided") == pytest.approx(2 / 3)
    assert value(report, "preference/sampled/rate") == pytest.approx(0.75)
    assert value(report, "preference/sampled/order_consistency") == pytest.approx(0.5)


def test_one_that_always_takes_the_first_has_a_rate_of_a_half_and_no_consistency(
    asking, run, engines, tmp_path
) -> None:
    items = write_items(tmp_path / "choices.jsonl", CHOICES)
    engines.answer = lambda request: next(
        line.removeprefix("* ") for line in request.messages[-1].content.split("\n") if line.startswith("* ")
    )
    report = run(asking(tasks=[{"preference": {"items_file": items, "sampled": True}}]))
    assert value(report, "preference/sampled/rate") == 0.5
    assert value(report, "preference/sampled/order_consistency") == 0.0
    assert value(report, "preference/sampled/decided") == 1.0


def test_an_oracle_has_a_rate_of_one(asking, run, engines, tmp_path) -> None:
    items = write_items(tmp_path / "choices.jsonl", CHOICES)
    engines.answer = lambda request: next(
        line.removeprefix("* ") for line in request.messages[-1].content.split("\n") if "The one" in line
    )
    report = run(asking(tasks=[{"preference": {"items_file": items, "sampled": True}}]))
    assert value(report, "preference/sampled/rate") == value(report, "preference/sampled/order_consistency") == 1.0
    assert engines.num_grades == 0


def test_a_user_adds_a_task_with_a_file_and_a_line(asking, run, engines, tmp_path) -> None:
    items = write_items(tmp_path / "choices.jsonl", CHOICES)
    tasks = ["preference", {"mine": {"kind": "preference", "items_file": items}}]
    report = run(asking(tasks=tasks, judge=None))
    assert {"preference/sum/rate", "mine/sum/rate"} <= {row.metric for row in report.arms}
