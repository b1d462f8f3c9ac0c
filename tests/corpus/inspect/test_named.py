"""The queries with a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.inspect.named import named_queries
from corpus.inspect.sql import run_sql


@pytest.mark.parametrize("name", named_queries())
def test_it_runs_on_a_run_without_rows(empty_run: Path, name: str) -> None:
    assert run_sql(empty_run, name).table.num_columns > 0


@pytest.mark.parametrize("name", [name for name in named_queries() if name != "starved_clauses"])
def test_it_finds_rows_in_a_filled_run(run: Path, name: str) -> None:
    assert run_sql(run, name).table.num_rows > 0


@pytest.mark.parametrize("name", named_queries())
def test_it_gives_the_same_rows_in_the_same_order_each_time(run: Path, name: str) -> None:
    assert run_sql(run, name).table.equals(run_sql(run, name).table)


def test_each_says_what_it_answers() -> None:
    assert all(query.answers.endswith(".") for query in named_queries().values())


def test_the_funnel_counts_each_step(run: Path) -> None:
    rows = {row["step"]: (row["documents"], row["chats"]) for row in run_sql(run, "funnel").table.to_pylist()}
    # 40 briefs, every tenth call truncated, one document imported, 5 dropped by length, 2 lost to their clusters
    assert rows["briefs"] == (40, 10)
    assert rows["written"] == (36, 10)
    assert rows["written and imported"] == (37, 10)
    assert rows["mixed"] == (20, 10)
    dropped = "SELECT doc_id FROM verdicts WHERE outcome = 'drop'"
    lost = "SELECT doc_id FROM duplicates WHERE doc_id <> survivor_id"
    gone = run_sql(run, f"SELECT count(*) AS n FROM documents WHERE doc_id IN ({dropped} UNION {lost})").table
    assert rows["curated"][0] == 36 - gone.to_pylist()[0]["n"]


def test_shares_of_failures_are_of_all_calls_of_that_purpose(run: Path) -> None:
    [row] = run_sql(run, "failures").table.to_pylist()
    assert (row["purpose"], row["outcome"], row["calls"], row["share"]) == ("document", "truncated", 4, 0.1)


def test_coverage_counts_a_document_once_however_often_it_was_called_for(run: Path) -> None:
    rows = run_sql(run, "coverage").table.to_pylist()
    assert sum(row["briefs"] for row in rows) == 40
    assert sum(row["documents"] for row in rows) == 36


def test_held_out_clauses_are_not_called_starved_or_uncovered(run: Path) -> None:
    covered = {row["clause_id"] for row in run_sql(run, "coverage").table.to_pylist()}
    held_out = run_sql(run, "SELECT clause_id FROM clauses WHERE split = 'held_out'").table.to_pylist()
    assert len(held_out) == 2
    assert not covered & {row["clause_id"] for row in held_out}


def test_shares_of_a_mix_sum_to_one(run: Path) -> None:
    rows = run_sql(run, "mix_against_target").table.to_pylist()
    assert sum(row["share"] for row in rows if row["mix"] == "docs") == pytest.approx(1)
