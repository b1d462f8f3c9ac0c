"""The queries with a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import QueryError
from corpus.inspect.look import Look
from corpus.inspect.named import named_queries, read_query
from corpus.inspect.sql import run_sql

GIVEN = {
    "threshold_replay": {"scorer": "length", "name": "words", "at_least": "10"},
    "near_misses": {"scorer": "length", "name": "words", "threshold": "6.5"},
    "dropped": {"filter": "length"},
    "transcripts": {"task": "agentic"},
}


def rows_of(root: Path, query: str, /, **given: str) -> list[dict[str, object]]:
    return run_sql(root, query, given).table.to_pylist()


@pytest.mark.parametrize("name", named_queries())
def test_it_runs_on_a_run_without_rows(empty_run: Path, name: str) -> None:
    assert run_sql(empty_run, name, GIVEN.get(name)).table.num_columns > 0


@pytest.mark.parametrize("name", [name for name in named_queries() if name != "starved_clauses"])
def test_it_finds_rows_in_a_filled_run(run: Path, name: str) -> None:
    assert run_sql(run, name, GIVEN.get(name)).table.num_rows > 0


@pytest.mark.parametrize("name", named_queries())
def test_it_gives_the_same_rows_in_the_same_order_each_time(run: Path, name: str) -> None:
    first, second = (run_sql(run, name, GIVEN.get(name)).table for _ in range(2))
    assert first.equals(second)


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


def test_there_are_more_than_twenty_and_each_parameter_is_tried_here() -> None:
    queries = named_queries()
    assert len(queries) >= 24
    assert {name for name, query in queries.items() if query.parameters} == GIVEN.keys()


def test_a_replay_of_the_threshold_that_holds_changes_nothing(run: Path) -> None:
    """The filter of the fixture drops by another rule; with no threshold at all, only its own drops come back."""
    rows = rows_of(run, "threshold_replay", scorer="length", name="words")
    dropped = "SELECT doc_id FROM verdicts WHERE outcome = 'drop'"
    lost = "SELECT doc_id FROM duplicates WHERE doc_id <> survivor_id"
    ids = "SELECT doc_id FROM documents UNION ALL SELECT chat_id FROM chats"
    scored = f"SELECT count(*) AS n FROM ({ids}) WHERE doc_id IN (SELECT doc_id FROM scores) AND doc_id NOT IN ({lost})"
    [now] = run_sql(run, f"{scored} AND doc_id NOT IN ({dropped})").table.to_pylist()
    [then] = run_sql(run, scored).table.to_pylist()
    assert sum(row["curated_now"] for row in rows) == now["n"]
    assert sum(row["curated_then"] for row in rows) == then["n"] > now["n"]


def test_a_replay_counts_the_rows_in_range(run: Path) -> None:
    rows = rows_of(run, "threshold_replay", scorer="length", name="words", at_least="10", at_most="19.5")
    [counted] = run_sql(run, "SELECT count(*) AS n FROM scores WHERE value BETWEEN 10 AND 19").table.to_pylist()
    assert sum(row["in_range"] for row in rows) == counted["n"] == 10
    assert sum(row["scored"] for row in rows) == 46


def test_curated_now_is_what_the_view_says(run: Path) -> None:
    [other, *_] = run_sql(run, "SELECT DISTINCT name FROM scores WHERE scorer <> 'length' ORDER BY 1").table.to_pylist()
    rows = rows_of(run, "threshold_replay", scorer="length", name=str(other["name"]))
    [counted] = run_sql(
        run, "SELECT (SELECT count(*) FROM curated) + (SELECT count(*) FROM curated_chats) AS n"
    ).table.to_pylist()
    assert sum(row["curated_now"] for row in rows) == counted["n"]
    assert sum(row["curated_then"] for row in rows) == counted["n"], "rows without that score stay as they are"


def test_near_misses_are_on_both_sides_and_nearest_first(run: Path) -> None:
    values = [row["value"] for row in rows_of(run, "near_misses", scorer="length", name="words", threshold="6.5")]
    assert values[:4] in ([6, 7, 5, 8], [7, 6, 5, 8], [6, 7, 8, 5], [7, 6, 8, 5])


def test_a_missing_an_unknown_and_a_wrong_value_are_one_clear_message_each(run: Path) -> None:
    with pytest.raises(QueryError, match=r"(?s)needs scorer, name.*-p scorer=.*at_least: number \(may be left out\)"):
        run_sql(run, "threshold_replay", {"at_least": "3"})
    with pytest.raises(QueryError, match="no parameter 'at_lest'; did you mean 'at_least'"):
        run_sql(run, "threshold_replay", {"scorer": "a", "name": "b", "at_lest": "3"})
    with pytest.raises(QueryError, match="at_least is a number"):
        run_sql(run, "threshold_replay", {"scorer": "a", "name": "b", "at_least": "many"})
    with pytest.raises(QueryError, match="no parameter 'x'; it takes none"):
        run_sql(run, "funnel", {"x": "3"})
    with pytest.raises(QueryError, match="named query"):
        run_sql(run, "SELECT 1", {"x": "3"})


def test_a_value_is_a_value_and_never_sql(run: Path) -> None:
    hostile = "x' OR 1 = 1 --"
    with pytest.raises(QueryError, match="no row of verdicts has it"):
        rows_of(run, "dropped", filter=hostile)
    with Look(run) as look:
        query = named_queries()["dropped"]
        assert look.rows(query.sql, query.values({"filter": hostile})) == []


def test_a_query_that_uses_what_it_does_not_declare_is_refused() -> None:
    with pytest.raises(AssertionError, match="different parameters"):
        read_query("probe", "-- What.\nSELECT $scorer")


@pytest.mark.parametrize(
    ("query", "given", "meant"),
    [
        ("dropped", {"filter": "lenght"}, "no row of verdicts has it; did you mean 'length'"),
        ("near_misses", {"scorer": "length", "name": "wrds", "threshold": "6"}, "did you mean 'words'"),
        ("threshold_replay", {"scorer": "lengt", "name": "words"}, "did you mean 'length'"),
    ],
)
def test_a_value_that_stands_nowhere_is_refused_with_the_nearest(
    run: Path, query: str, given: dict[str, str], meant: str
) -> None:
    with pytest.raises(QueryError, match=meant):
        run_sql(run, query, given)
