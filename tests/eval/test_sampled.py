"""Answers and grades: asked once, kept by what made them, blind to the arms, and never left out without a reason."""

from __future__ import annotations

import json

import pytest

from corpus.engine import CallFailed, Reply, Request
from corpus.errors import RecipeError
from corpus.inspect.named import named_queries
from corpus.store import WritingStore
from tests.eval.sampling import QUESTIONS, value, write_items


def test_questions_are_answered_graded_and_counted_once(asking, run, engines, store) -> None:
    report = run(asking())
    assert (engines.num_answers, value(report, "spec_qa/rating")) == (4, 7.0)
    assert value(report, "spec_qa/graded") == 1.0
    run(asking())
    assert engines.num_answers == 4 and engines.num_grades == len(store.rows("SELECT * FROM grades"))
    row = store.rows("SELECT * FROM evals ORDER BY item_id LIMIT 1")[0]
    assert (row["judge"], row["explanation"]) == ("judge-model", "so")
    joined = store.rows("SELECT text FROM evals JOIN answers USING (answer_id) ORDER BY evals.item_id")
    assert [one["text"] for one in joined] == [f"About Question {n}?" for n in range(4)]


def test_samples_are_separate_answers_and_one_item(asking, run, engines) -> None:
    ratings = iter([1, 9] * 20)
    engines.grade = lambda request: json.dumps({"reason": "so", "rating": next(ratings)})
    engines.answer = lambda request: f"{request.messages[-1].content} {request.seed}"
    report = run(asking(samples=2, judging={"twice_fraction": 0}))
    assert engines.num_answers == 8
    rating = next(row for row in report.arms if row.metric == "spec_qa/rating")
    assert (rating.estimate.n, rating.estimate.value) == (4, 5.0)


def test_a_prompt_that_changes_is_asked_again_and_the_others_are_not(asking, run, engines, tmp_path) -> None:
    run(asking())
    write_items(tmp_path / "questions.jsonl", [*QUESTIONS[:3], QUESTIONS[3] | {"question": "Another?"}])
    run(asking())
    assert [request.messages[-1].content for request in engines.arms[-1].asked] == ["Another?"]


def test_another_principle_is_graded_again_and_not_answered_again(asking, run, engines, tmp_path, store) -> None:
    run(asking(judging={"twice_fraction": 0}))
    write_items(tmp_path / "questions.jsonl", [*QUESTIONS[:3], QUESTIONS[3] | {"principle": "Another."}])
    run(asking(judging={"twice_fraction": 0}))
    assert (engines.num_answers, engines.num_grades) == (4, 5)
    assert len(store.rows("SELECT * FROM evals")) == 4


def test_another_judge_grades_anew_and_nothing_is_answered_again(asking, run, engines) -> None:
    run(asking(judging={"twice_fraction": 0}))
    run(asking(judging={"twice_fraction": 0, "temperature": 0.1}))
    assert (engines.num_answers, engines.num_grades) == (4, 8)


@pytest.mark.parametrize(
    "rambling",
    [
        "I think it is rather good.",
        "Yes and no.",
        "<html><body>7</body></html>",
        json.dumps({"reason": "so", "rating": 11}),
        json.dumps({"reason": "so", "rating": "7"}),
        json.dumps({"reason": "so", "rating": 7, "more": 1}),
        json.dumps({"rating": 7}),
        "I'm sorry, but I can't help with that.",
        "",
    ],
)
def test_a_reply_that_is_no_grade_is_asked_again_a_bounded_number_of_times_and_counted(
    asking, run, engines, store, rambling
) -> None:
    engines.grade = lambda request: rambling
    report = run(asking(judging={"twice_fraction": 0, "max_attempts": 2}))
    assert engines.num_grades == 8
    assert (value(report, "spec_qa/rating"), value(report, "spec_qa/graded")) == (None, 0.0)
    rows = store.rows("SELECT score, explanation FROM evals")
    assert len(rows) == 4 and all(row["score"] is None and row["explanation"].startswith("judge: ") for row in rows)
    run(asking(judging={"twice_fraction": 0, "max_attempts": 2}))
    assert engines.num_grades == 8, "what could not be read stays so"
    assert agreement(store)["invalid"] == 4


def test_a_judge_that_does_not_answer_is_asked_again_by_the_next_run(asking, run, engines, store) -> None:
    engines.grade = lambda request: CallFailed("timeout", "too slow")
    run(asking(judging={"twice_fraction": 0}))
    assert store.rows("SELECT * FROM evals") == []
    assert {row["outcome"] for row in store.rows("SELECT outcome FROM calls")} == {"timeout"}
    engines.grade = lambda request: json.dumps({"reason": "so", "rating": 3})
    assert value(run(asking(judging={"twice_fraction": 0})), "spec_qa/rating") == 3.0
    assert engines.num_answers == 4


def test_an_arm_that_does_not_answer_is_asked_again_by_the_next_run(asking, run, engines, store) -> None:
    engines.answer = lambda request: CallFailed("error", "out of memory")
    run(asking())
    assert (store.rows("SELECT * FROM answers"), len(store.rows("SELECT * FROM calls"))) == ([], 4)
    engines.answer = lambda request: "Well."
    run(asking())
    assert len(store.rows("SELECT * FROM answers")) == 4


def test_equal_answers_to_one_question_are_graded_once(asking, run, engines) -> None:
    engines.answer = lambda request: "Well."
    run(asking(samples=3, judging={"twice_fraction": 0}))
    assert (engines.num_answers, engines.num_grades) == (12, 4)


def test_an_empty_answer_has_a_row_without_a_score_and_costs_no_grade(asking, run, engines, store) -> None:
    engines.answer = lambda request: " \n"
    run(asking())
    rows = store.rows("SELECT score, explanation FROM evals")
    assert rows == [{"score": None, "explanation": "the answer is empty"}] * 4
    assert engines.num_grades == 0


def test_without_a_judge_every_rating_says_so(asking, run, engines, store) -> None:
    run(asking(judge=None))
    assert {row["explanation"] for row in store.rows("SELECT explanation FROM evals")} == {"eval.judge names no judge"}


def test_the_judge_is_not_told_the_arm_and_sees_questions_in_no_order_of_arms(asking, run, engines, store) -> None:
    run(asking(judging={"twice_fraction": 0}))
    (judge,) = engines.judges
    assert not any("base" in message.content for request in judge.asked for message in request.messages)
    ids = [row["grade_id"] for row in store.rows("SELECT grade_id FROM grades")]
    assert sorted(ids) == ids


def test_another_cluster_is_read_anew_and_nothing_is_asked_again(asking, run, engines, tmp_path, store) -> None:
    run(asking(judging={"twice_fraction": 0}))
    write_items(tmp_path / "questions.jsonl", [item | {"cluster": "one"} for item in QUESTIONS])
    run(asking(judging={"twice_fraction": 0}))
    assert engines.num_answers == 4
    assert {row["cluster"] for row in store.rows("SELECT cluster FROM evals")} == {"one"}


def test_a_judge_that_breaks_off_goes_on_where_it_was(asking, run, engines, store) -> None:
    replies = iter(["no grade", CallFailed("timeout", "slow")] * 8)
    engines.grade = lambda request: next(replies)
    run(asking(judging={"twice_fraction": 0, "max_attempts": 2}))
    assert store.rows("SELECT * FROM grades") == []
    engines.grade = lambda request: json.dumps({"reason": "so", "rating": 7})
    run(asking(judging={"twice_fraction": 0, "max_attempts": 2}))
    attempts = store.rows("SELECT call_id, attempt FROM calls WHERE outcome NOT IN ('timeout', 'error')")
    assert sorted(row["attempt"] for row in attempts) == [0] * 4 + [1] * 4
    assert len({row["call_id"] for row in attempts}) == 8


def test_a_question_longer_than_the_judges_context_is_refused_with_what_to_do(asking, run, engines, store) -> None:
    engines.judge_context = 100
    with pytest.raises(RecipeError, match=r"eval.judge \(judge\).*exceed the context.*lower the task's max_tokens"):
        run(asking())
    assert len(store.rows("SELECT * FROM answers")) == 4


def test_an_answer_that_the_engine_broke_off_is_none(asking, run, engines, store) -> None:
    engines.answer = lambda request: Reply("Half of", "abort", 1, 0, 2)
    run(asking())
    assert (store.rows("SELECT * FROM answers"), len(store.rows("SELECT * FROM calls"))) == ([], 4)


def test_thoughts_are_not_rated(asking, run, engines, store) -> None:
    engines.answer = lambda request: "<think>I would hide it.</think>I would say so."
    run(asking(judging={"twice_fraction": 0}))
    assert not any("hide" in message.content for request in engines.judges[0].asked for message in request.messages)
    engines.answer = lambda request: "<think>I would hide"
    run(asking(samples=2, judging={"twice_fraction": 0}))
    assert "the answer is empty" in {row["explanation"] for row in store.rows("SELECT explanation FROM evals")}


def test_effects_are_there_for_sql_and_gone_while_they_are_worked_out_anew(asking, run, engines, store) -> None:
    run(asking())
    assert store.rows("SELECT value FROM effects WHERE metric = 'spec_qa/rating'") == [{"value": 7.0}]

    def broken(request: Request) -> str:
        assert store.rows("SELECT * FROM effects") == []
        return json.dumps({"reason": "so", "rating": 2})

    engines.grade = broken
    run(asking(judging={"temperature": 0.2}))
    assert store.rows("SELECT value FROM effects WHERE metric = 'spec_qa/rating'") == [{"value": 2.0}]


def agreement(store: WritingStore) -> dict[str, object]:
    (row,) = store.rows(named_queries()["judge_agreement"].sql)
    return row


def test_a_share_is_graded_twice_and_the_agreement_is_counted(asking, run, engines, store) -> None:
    run(asking(judging={"twice_fraction": 1}))
    assert engines.num_grades == 8
    row = agreement(store)
    assert (row["graded"], row["graded_twice"], row["agreed_fraction"], row["kappa"]) == (4, 4, 1.0, None)


@pytest.mark.parametrize(
    "pairs",
    [
        [("yes", "yes"), ("yes", "no"), ("no", "no"), ("no", "no"), ("yes", "yes")],
        [("first", "first"), ("neither", "second"), ("second", "second"), ("first", "neither")],
        [(1, 2), (10, 9), (5, 5), (3, 7)],
        [("yes", "yes"), ("yes", "yes")],
    ],
)
def test_kappa_is_scikit_learns(store, pairs) -> None:
    from sklearn.metrics import cohen_kappa_score

    name = {"yes": "verdict", "first": "choice", 1: "rating"}[pairs[0][0]]
    rows = [
        {
            "grade_id": f"{n}{again}", "question_id": str(n), "task": "t", "judge": "j", "again": again,
            "outcome": "ok", "reply": json.dumps({"reason": "so", name: label}), "grading_hash": "h",
        }
        for n, pair in enumerate(pairs)
        for again, label in zip((False, True), pair, strict=True)
    ]  # fmt: skip
    store.writer("eval").append({"grades": rows})
    store.writer("eval").set_current("grades", {"rubric": "h"})
    numbers = name == "rating"
    expected = cohen_kappa_score(
        *zip(*pairs, strict=True),
        labels=list(range(1, 11)) if numbers else sorted({label for pair in pairs for label in pair}),
        weights="quadratic" if numbers else None,
    )
    assert agreement(store)["kappa"] == (pytest.approx(expected) if expected == expected else None)


def test_a_prompt_longer_than_the_context_is_refused_before_anything_is_asked(asking, run, engines, store) -> None:
    engines.arm_context = 100
    with pytest.raises(RecipeError, match=r"spec_qa.*exceed the context.*raise eval.engine.options.max_model_len"):
        run(asking())
    assert engines.num_answers == 0


def test_no_two_engines_start_with_one_seed(asking, run, engines) -> None:
    """vLLM draws from one stream: begun again, it would give the next samples of a prompt the last ones' draws."""
    engines.answer = lambda request: "" if "Question 3" in request.messages[-1].content else CallFailed("error", "no")
    run(asking(samples=2))
    engines.answer = lambda request: "Something."
    run(asking(samples=2))
    run(asking(samples=4))
    asked = [[request.messages[-1].content for request in engine.asked] for engine in engines.arms]
    assert [len(of_engine) for of_engine in asked] == [8, 6, 8]
    assert len({*engines.arm_seeds}) == 3
    assert len({*engines.judge_seeds}) == len(engines.judges) == 2


def test_a_share_that_is_raised_is_graded_twice_and_nothing_is_asked_a_third_time(asking, run, engines, store) -> None:
    run(asking(judging={"twice_fraction": 0}))
    assert (engines.num_grades, agreement(store)["graded_twice"]) == (4, 0)
    for _ in range(2):
        run(asking(judging={"twice_fraction": 1}))
        assert (engines.num_grades, agreement(store)["graded_twice"]) == (8, 4)
    assert len(store.rows("SELECT * FROM evals")) == 4


def test_a_second_grade_that_never_came_is_asked_for_by_the_next_run(asking, run, engines, store) -> None:
    replies = iter([json.dumps({"reason": "so", "rating": 7})] * 4)
    engines.grade = lambda request: next(replies, CallFailed("timeout", "too slow"))
    run(asking(judging={"twice_fraction": 1}))
    assert len(store.rows("SELECT * FROM grades")) == 4
    engines.grade = lambda request: json.dumps({"reason": "so", "rating": 7})
    run(asking(judging={"twice_fraction": 1}))
    assert agreement(store)["graded_twice"] == 4
    assert len(store.rows("SELECT * FROM evals")) == 4
