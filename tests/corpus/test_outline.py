"""The outline a model makes: every clause accounted for, a bad item costs that item, and a later run replays it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.outline import structured
from fakes.outlined import asks_for, model, prose, recipe
from hypothesis import given
from hypothesis import strategies as st

from corpus.engine import Request
from corpus.errors import EngineError
from corpus.excerpts import numbered, pieces
from corpus.known import load_known
from corpus.plans import make_plan
from corpus.preview import preview
from corpus.run import open_run
from corpus.spec import parse_spec
from corpus.store import open_reader


def test_every_step_asks_and_every_document_has_its_place_in_the_outline(tmp_path: Path) -> None:
    engine = FakeEngine(model)
    with open_run(recipe(tmp_path), "generate", print) as run:
        report = generated(run, engine)
        rows = run.store.rows
        assert rows("SELECT count(*) AS n FROM documents") == [{"n": 20}]
        assert rows("SELECT count(*) AS n FROM chats") == [{"n": 6}]
        assert report.num_failed == 0
        purposes = {str(row["purpose"]) for row in rows("SELECT DISTINCT purpose FROM calls")}
        assert purposes >= {"domains", "subdomains", "assertions", "genres", "topics", "ideas", "document"}
        assert not rows(
            "SELECT * FROM documents JOIN briefs USING (brief_id) WHERE documents.domain IS NULL "
            "OR briefs.assertion_ids = [] OR documents.clause_ids <> briefs.clause_ids"
        )
        assert not rows(
            "SELECT * FROM (SELECT unnest(assertion_ids) AS id FROM briefs) WHERE id NOT IN "
            "(SELECT assertion_id FROM assertions)"
        )


def test_the_whole_outline_stays_clear_of_held_out_clauses(tmp_path: Path) -> None:
    engine = FakeEngine(model)
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, engine)
        texts = {
            split: [str(row["text"]) for row in run.store.rows("SELECT text FROM clauses WHERE split = ?", [split])]
            for split in ("train", "held_out")
        }
    shown = "\n".join(message.content for request in engine.asked for message in request.messages)
    assert texts["held_out"]
    assert not [text for text in texts["held_out"] if text in shown]
    assert all(text in shown for text in texts["train"])


def test_a_second_run_asks_nothing_and_knows_the_same_briefs(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(model))
        before = run.store.rows("SELECT brief_id FROM briefs ORDER BY brief_id")
        idle = FakeEngine(model)
        generated(run, idle)
        assert idle.asked == []
        assert run.store.rows("SELECT brief_id FROM briefs ORDER BY brief_id") == before


@pytest.mark.parametrize("dies_after", [4, 16, 30])
def test_a_run_that_died_goes_on_where_it_was_and_makes_the_same_briefs(tmp_path: Path, dies_after: int) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    with open_run(recipe(whole), "generate", print) as run:
        first = FakeEngine(model)
        generated(run, first)
        expected = run.store.rows("SELECT doc_id FROM documents ORDER BY doc_id")

    def dies(request: Request) -> str | BaseException:
        return model(request) if len(dying.asked) <= dies_after else EngineError("gone")

    dying = FakeEngine(dies, max_in_flight=1)
    with open_run(recipe(parts), "generate", print) as run:
        with pytest.raises(EngineError):
            generated(run, dying)
        second = FakeEngine(model)
        generated(run, second)
        assert run.store.rows("SELECT doc_id FROM documents ORDER BY doc_id") == expected
        assert run.store.rows("SELECT count(*) - count(DISTINCT brief_id) AS n FROM briefs") == [{"n": 0}]
    assert len(second.asked) + dies_after == len(first.asked)


def test_asking_for_more_keeps_the_outline_and_what_is_written(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(model))
        before = {str(row["brief_id"]) for row in run.store.rows("SELECT brief_id FROM briefs")}
    more = FakeEngine(model)
    with open_run(recipe(tmp_path, documents=40, chats=9), "generate", print) as run:
        generated(run, more)
        after = {str(row["brief_id"]) for row in run.store.rows("SELECT brief_id FROM briefs")}
    assert before < after
    assert len(after) == 49
    assert not [request for request in more.asked if asks_for(request, "domains")]


def test_documents_follow_the_weights_of_the_genres(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path, documents=40, genres_per_subdomain=3), "generate", print) as run:
        generated(run, FakeEngine(model))
        rows = run.store.rows("SELECT genre, count(*) AS n FROM documents GROUP BY genre")
    assert {str(row["genre"]): row["n"] for row in rows} == {"faq page": 20, "internal memo": 10, "short story": 10}


def spoiled(change: Callable[[dict[str, object]], None], name: str) -> Callable[[Request], str]:
    """A model that spoils the first item of every reply with a list of this name."""

    def reply(request: Request) -> str:
        text = model(request)
        if asks_for(request, name):
            whole = json.loads(text)
            change(whole[name][0])
            return json.dumps(whole)
        return text

    return reply


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("assertions", lambda item: item.update(assertion=""), "no 'assertion'"),
        ("assertions", lambda item: item.update(assertion="word " * 200), "an assertion of 200 words"),
        ("assertions", lambda item: item.update(clauses=[997]), "rests on no rule or value"),
        ("assertions", lambda item: item.update(clauses="1, 2"), "'clauses' is no list of numbers"),
        ("subdomains", lambda item: item.pop("context"), "no 'context'"),
        ("domains", lambda item: item.update(name="a name that goes on and on and on for ever"), "a name of 11 words"),
        ("ideas", lambda item: item.update(idea="Yes."), "an idea of 1 words"),
    ],
)
def test_a_bad_item_costs_that_item_and_is_on_record(
    tmp_path: Path, name: str, change: Callable[[dict[str, object]], None], problem: str
) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(spoiled(change, name)))
        rows = run.store.rows("SELECT outcome, error FROM calls WHERE purpose = ?", [name])
        assert rows
        assert all(row["outcome"] == "ok" and problem in str(row["error"]) for row in rows)
        assert run.store.rows("SELECT count(*) AS n FROM documents") == [{"n": 20}]


@pytest.mark.parametrize("bad", ["{", "[]", '{"domains": []}', "<html>", '{"ideas": "none"}', "null"])
def test_a_reply_without_a_usable_item_is_a_failed_call(tmp_path: Path, bad: str) -> None:
    engine = FakeEngine(lambda request: bad if asks_for(request, "domains") else model(request))
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, engine)
        rows = run.store.rows("SELECT DISTINCT outcome FROM calls WHERE purpose = 'domains'")
        assert rows == [{"outcome": "unparsable"}]
        # No clause is lost with it: they are one domain then.
        assert run.store.rows("SELECT DISTINCT domain FROM assertions") == [{"domain": "conduct"}]


def test_a_model_that_refuses_a_part_for_ever_leaves_it_uncovered_and_a_top_up_takes_it_up(tmp_path: Path) -> None:
    def refuses(request: Request) -> str:
        shown = "".join(message.content for message in request.messages)
        if asks_for(request, "assertions") and "care rule" in shown:
            return "I would rather not."
        return model(request)

    settings = recipe(tmp_path, outline_section_tokens=60)
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(refuses))
        uncovered = run.store.rows("SELECT text FROM clauses WHERE split = 'train' AND kind IN ('rule', 'value') "
                                   "AND clause_id NOT IN (SELECT unnest(clause_ids) FROM assertions)")  # fmt: skip
        assert uncovered
        assert all("care rule" in str(row["text"]) for row in uncovered)
        before = {str(row["brief_id"]) for row in run.store.rows("SELECT brief_id FROM briefs")}
        idle = FakeEngine(model)
        generated(run, idle)
        assert idle.asked == [], "what failed is left alone until it is asked for"
        generated(run, FakeEngine(model), top_up=True)
        after = {str(row["brief_id"]) for row in run.store.rows("SELECT brief_id FROM briefs")}
        assert before < after, "nothing that was there becomes stale"
        assert run.store.rows("SELECT 1 FROM documents JOIN clauses ON clause_id = clause_ids[1] "
                              "WHERE clauses.text LIKE '%care rule%' LIMIT 1")  # fmt: skip
        idle = FakeEngine(model)
        generated(run, idle)
        assert idle.asked == []


def test_clauses_that_no_assertion_rests_on_are_told_and_taken_up(tmp_path: Path) -> None:
    def forgets(request: Request) -> str:
        return structured(request, share=0.4) if asks_for(request, "assertions") else model(request)

    with open_run(recipe(tmp_path), "generate", print) as run:
        said = generated(run, FakeEngine(forgets)).notes
        assert any("covered by no assertion" in note and "--top-up" in note for note in said)
        left = len(make_plan(run.recipe, load_known(run.store)).outline.uncovered())
        generated(run, FakeEngine(model), top_up=True)
        assert len(make_plan(run.recipe, load_known(run.store)).outline.uncovered()) < left


def test_ideas_that_come_twice_count_once_and_a_genre_without_ideas_ends(tmp_path: Path) -> None:
    same = json.dumps({"ideas": [{"title": "One", "idea": "A clerk asks Marlow about the tide.", "assertions": [1]}]})
    engine = FakeEngine(lambda request: same if asks_for(request, "ideas") else model(request))
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, engine)
        rows = run.store.rows("SELECT subdomain, genre, count(*) AS n FROM documents GROUP BY ALL")
        assert {row["n"] for row in rows} == {1}
    calls = [request for request in engine.asked if asks_for(request, "ideas")]
    assert len(calls) <= 8 * len(rows), "bounded"


HALF = "Care \ud83d"
"""Half of a surrogate pair; in a reply it stands as JSON escapes it, so that the reply itself is plain ASCII."""


@pytest.mark.parametrize(
    ("name", "field"),
    [("domains", "name"), ("subdomains", "context"), ("assertions", "explanation"), ("genres", ""), ("topics", ""),
     ("ideas", "idea")],
)  # fmt: skip
def test_half_a_character_costs_its_item_only_now_and_when_replayed(tmp_path: Path, name: str, field: str) -> None:
    def half(request: Request) -> str:
        if not asks_for(request, name):
            return model(request)
        whole = json.loads(model(request))
        first = whole[name][0]
        whole[name].insert(0, {**first, field: HALF} if field else HALF)
        return json.dumps(whole)

    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(half))
        assert run.store.rows("SELECT count(*) AS n FROM documents") == [{"n": 20}]
        errors = run.store.rows("SELECT DISTINCT error FROM calls WHERE purpose = ?", [name])
    with open_run(recipe(tmp_path), "generate", print) as run:
        idle = FakeEngine(model)
        generated(run, idle)
    assert idle.asked == []
    assert errors
    assert all("item 1: " in str(row["error"]) and "surrogate" in str(row["error"]) for row in errors)


@pytest.mark.parametrize("name", ["assertions", "topics", "ideas"])
def test_a_reply_nested_without_end_is_a_failed_call(tmp_path: Path, name: str) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        with contextlib.suppress(EngineError):
            generated(run, FakeEngine(lambda request: "[" * 100_000 if asks_for(request, name) else model(request)))
        rows = run.store.rows("SELECT DISTINCT outcome, error FROM calls WHERE purpose = ?", [name])
    assert rows == [{"outcome": "unparsable", "error": "not JSON: nested too deep"}]


def test_two_ideas_with_one_title_are_two_documents(tmp_path: Path) -> None:
    def same_title(request: Request) -> str:
        text = model(request)
        if asks_for(request, "ideas"):
            whole = json.loads(text)
            return json.dumps({"ideas": [{**idea, "title": "Tides"} for idea in whole["ideas"]]})
        return text

    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(same_title))
        assert run.store.rows("SELECT count(*) AS n FROM documents") == [{"n": 20}]


def test_an_outline_of_nothing_stops_with_what_was_said(tmp_path: Path) -> None:
    engine = FakeEngine(lambda request: "no JSON here" if request.schema else prose(request))
    with open_run(recipe(tmp_path), "generate", print) as run, pytest.raises(EngineError, match="gave no subdomain"):
        generated(run, engine)


def test_a_plan_says_what_the_outline_has_yet_to_find(tmp_path: Path) -> None:
    settings = recipe(tmp_path)
    assert preview(settings).briefs.unknown == 20
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(model))
    seen = preview(settings)
    assert (seen.briefs.unknown, seen.briefs.kept, seen.briefs.new, seen.briefs.stale) == (0, 26, 0, 0)
    assert open_reader(settings.runs / "test").rows("SELECT count(*) AS n FROM assertions")


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 400))
def test_pieces_hold_every_clause_once_and_in_order(sizes: list[int], max_tokens: int) -> None:
    lines = [f"- The assistant does {'much ' * size}{number}." for number, size in enumerate(sizes)]
    heads = [f"## Part {number // 5}\n" if number % 5 == 0 else "" for number in range(len(lines))]
    spec = "# Spec\n\n- The assistant is first.\n\n" + "\n".join(
        f"{head}\n{line}" for head, line in zip(heads, lines, strict=True)
    )
    clauses = parse_spec(spec)
    made = pieces(clauses, max_tokens)
    assert [clause for piece in made for clause in piece] == clauses
    assert all(len(piece) == 1 or len(numbered(piece)) / 3.5 <= max_tokens for piece in made)
