"""Topping up fills what curation removed, clause by genre, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import Said, generated
from fakes.openai_server import hashed
from fakes.outline import structured

from corpus.engine import Request
from corpus.known import missing_seats
from corpus.recipe import Recipe
from corpus.run import Run, open_run
from filters import curate_corpus

SPEC = "\n".join(f"- The assistant keeps rule {number} whatever happens." for number in range(4))
GENRES = {"internal memo": 1, "faq page": 1}


def recipe(folder: Path, **generate: object) -> Recipe:
    (folder / "spec.md").write_text(SPEC)
    settings = {"documents": 16, "chats": 4, "genres": GENRES, "genres_per_subdomain": 2} | generate
    return Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": settings, "engine": {"max_in_flight": 3},
        "spec": {"path": folder / "spec.md", "model_name": "Marlow", "hold_out": {"fraction": 0.0}},
        "curate": {"filters": [{"length": {"min_words": 20}}]},
    })  # fmt: skip


def long(request: Request) -> str:
    if request.schema:
        return structured(request)
    return " ".join(f"tide{hashed(request.seed, n) % 9973}" for n in range(40))


def short_of(clause: str):
    """A model whose texts on one rule are too short to be kept."""

    def reply(request: Request) -> str:
        shown = request.messages[-1].content.split("Write this document")[0]
        text = long(request)
        return text if request.schema or clause not in shown else " ".join(text.split()[:9])

    return reply


def curated_by_cell(run: Run) -> dict[tuple[str, str], int]:
    curate_corpus(run.recipe, run.store, Said())
    rows = run.store.rows("SELECT clauses.text, genre, count(*) AS n FROM curated JOIN clauses "
                          "ON clause_id = clause_ids[1] GROUP BY ALL")  # fmt: skip
    return {(str(row["text"]), str(row["genre"])): int(str(row["n"])) for row in rows}


def test_nothing_is_added_before_curation_or_where_all_is_kept(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(long))
        assert missing_seats(run.store) == []
        curated_by_cell(run)
        assert missing_seats(run.store) == []
        idle = FakeEngine(long)
        generated(run, idle, top_up=True)
        assert idle.asked == []


def test_a_top_up_fills_just_the_cells_that_curation_emptied(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(short_of("rule 2")))
        planned = {(str(row["text"]), str(row["genre"])): int(str(row["n"])) for row in run.store.rows(
            "SELECT clauses.text, genre, count(*) AS n FROM briefs JOIN clauses ON clause_id = clause_ids[1] "
            "WHERE briefs.kind = 'document' GROUP BY ALL")}  # fmt: skip
        kept = curated_by_cell(run)
        assert {cell for cell in planned if cell not in kept} == {cell for cell in planned if "rule 2" in cell[0]}
        engine = FakeEngine(long)
        assert generated(run, engine, top_up=True).report.num_new_seats == 4
        assert all("rule 2" in request.messages[-1].content for request in engine.asked)
        assert curated_by_cell(run) == planned
        assert missing_seats(run.store) == []
        rows = run.store.rows("SELECT round, count(*) AS n FROM briefs WHERE kind = 'document' GROUP BY 1 ORDER BY 1")
        assert rows == [{"round": 0, "n": 16}, {"round": 1, "n": 4}]


def test_what_was_added_stays_in_later_runs_and_is_asked_for_once(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(short_of("rule 1")))
        curated_by_cell(run)
        generated(run, FakeEngine(long), top_up=True)
    idle = FakeEngine(long)
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, idle)
        assert idle.asked == []
        assert run.store.rows("SELECT count(*) AS n FROM documents") == [{"n": 20}]


def test_failed_briefs_are_asked_for_again_and_not_replaced(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path, chats=0), "generate", print) as run:
        generated(run, FakeEngine(lambda request: ""))
        curated_by_cell(run)
        assert missing_seats(run.store) == []
        generated(run, FakeEngine(long), top_up=True)
        assert run.store.rows("SELECT count(*) AS n, max(round) AS last FROM briefs") == [{"n": 16, "last": 0}]


@pytest.mark.parametrize("rounds", [2])
def test_a_clause_that_never_survives_costs_a_bounded_number_of_texts(tmp_path: Path, rounds: int) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(short_of("rule 3")))
        for _ in range(rounds):
            curated_by_cell(run)
            assert generated(run, FakeEngine(short_of("rule 3")), top_up=True).report.num_new_seats == 4
        (row,) = run.store.rows("SELECT count(*) AS n, max(round) AS last FROM briefs WHERE kind = 'document'")
        assert row == {"n": 16 + 4 * rounds, "last": rounds}


def test_an_outline_gives_further_ideas_for_what_was_removed(tmp_path: Path) -> None:
    first: list[str] = []

    def spoils_some(request: Request) -> str:
        text = long(request)
        if request.schema or "Write this document" not in request.messages[-1].content:
            return text
        first.append(text)
        return " ".join(text.split()[:9]) if len(first) <= 5 else text

    with open_run(recipe(tmp_path, outline="model", chats=0), "generate", print) as run:
        generated(run, FakeEngine(spoils_some))
        curate_corpus(run.recipe, run.store, Said())
        assert len(missing_seats(run.store)) == 5
        generated(run, FakeEngine(long), top_up=True)
        curate_corpus(run.recipe, run.store, Said())
        assert run.store.rows("SELECT count(*) AS n FROM curated") == [{"n": 16}]
        assert missing_seats(run.store) == []
