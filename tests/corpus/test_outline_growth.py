"""What an outline lost on its way comes back later, and what it finds later moves nothing that is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.outline import structured
from fakes.outlined import asks_for, ids, model, num_written, one_subdomain, recipe

from corpus.engine import CallFailed, Request
from corpus.errors import EngineError, RecipeError
from corpus.known import load_known
from corpus.plans import make_plan
from corpus.preview import preview
from corpus.recipe import Recipe
from corpus.run import open_run
from corpus.staleness import refuse_stale


def once(fails: Callable[[Request], bool], answer: Callable[[Request], object], failure: object) -> Callable:
    """Answers, but for the first request that `fails` is true of."""
    left = [failure]

    def reply(request: Request) -> object:
        return left.pop() if left and fails(request) else answer(request)

    return reply


@pytest.mark.parametrize("variants", [2, 3])
def test_killed_between_two_calls_for_ideas_a_run_with_variants_still_knows_what_is_missing(
    tmp_path: Path, variants: int
) -> None:
    settings = recipe(tmp_path, documents=6, chats=0, variants=variants, genres={"faq page": 1},
                      genres_per_subdomain=1, ideas_per_call=1)  # fmt: skip
    asked = []

    def dies(request: Request) -> object:
        asked.extend([1] * asks_for(request, "ideas"))
        return EngineError("gone") if len(asked) == 2 else one_subdomain(request)

    with open_run(settings, "generate", print) as run:
        with pytest.raises(EngineError):
            generated(run, FakeEngine(dies, max_in_flight=1))
        assert 0 < make_plan(settings, load_known(run.store)).num_unknown < 6
        generated(run, FakeEngine(one_subdomain))
        assert num_written(run) == 6


def refuses_care(request: Request) -> str:
    shown = "".join(message.content for message in request.messages)
    return "No." if asks_for(request, "assertions") and "care rule" in shown else model(request)


def forgets(request: Request) -> str:
    return structured(request, share=0.4) if asks_for(request, "assertions") else model(request)


@pytest.mark.parametrize("dies_after", [1, 2, 3, 4])
def test_killed_while_a_top_up_outlines_a_plain_run_goes_on(tmp_path: Path, dies_after: int) -> None:
    settings = recipe(tmp_path, outline_section_tokens=60)
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(forgets))
        before = ids(run)

        def dies(request: Request) -> object:
            return model(request) if len(dying.asked) <= dies_after else EngineError("gone")

        dying = FakeEngine(dies, max_in_flight=1)
        with pytest.raises(EngineError):
            generated(run, dying, top_up=True)
    seen = preview(settings)
    assert (seen.briefs.kept, seen.briefs.stale) == (len(before), 0)
    with open_run(settings, "generate", print, lambda store: refuse_stale(settings, store)) as run:
        generated(run, FakeEngine(model))
        assert before <= ids(run)
    with pytest.raises(RecipeError, match=r"generate\.temperature"), open_run(
        recipe(tmp_path, outline_section_tokens=60, temperature=0.3), "generate", print,
        lambda store: refuse_stale(recipe(tmp_path, outline_section_tokens=60, temperature=0.3), store),
    ):  # fmt: skip
        pass


@pytest.mark.parametrize("seed", range(4))
def test_one_top_up_after_another_moves_nothing_and_at_most_doubles_what_was_asked(tmp_path: Path, seed: int) -> None:
    settings = recipe(tmp_path, outline_section_tokens=60).model_copy(update={"seed": seed})

    def less(share: float) -> Callable[[Request], str]:
        return lambda request: structured(request, share) if asks_for(request, "assertions") else model(request)

    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(less(0.2)))
        for share in (0.3, 0.6, 1.0):
            before = {table: ids(run, table) for table in ("documents", "chats")}
            generated(run, FakeEngine(less(share)), top_up=True)
            assert all(before[table] <= ids(run, table) for table in before)
        assert 20 <= num_written(run) <= 40


def test_a_subdomain_named_twice_is_one_and_every_call_is_on_record_once(tmp_path: Path) -> None:
    def twice(request: Request) -> str:
        reply = json.loads(model(request)) if request.schema else {}
        if asks_for(request, "subdomains"):
            return json.dumps({"subdomains": [*reply["subdomains"], reply["subdomains"][0]]})
        return model(request)

    settings = recipe(tmp_path)
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(twice))
        (calls,) = run.store.rows("SELECT count(*) - count(DISTINCT call_id) AS doubled FROM calls")
        assert calls["doubled"] == 0
        before = ids(run)
        idle = FakeEngine(twice)
        generated(run, idle)
        assert idle.asked == []
        assert ids(run) == before


def test_two_subdomains_that_come_to_the_same_brief_have_one_document(tmp_path: Path) -> None:
    def same(request: Request) -> str:
        """Both domains have a subdomain of one name, with all clauses' numbers and the same ideas."""
        if asks_for(request, "domains"):
            return json.dumps({"domains": [{"name": "Conduct", "clauses": list(range(1, 13))}]})
        if asks_for(request, "subdomains"):
            names = [{"name": "All", "context": f"Part {part}.", "clauses": [1, 2, part]} for part in (3, 4)]
            return json.dumps({"subdomains": names})
        if asks_for(request, "assertions"):
            claim = {"assertion": "Marlow keeps it.", "explanation": "It does.", "label": "It", "clauses": [1]}
            return json.dumps({"assertions": [claim]})
        if asks_for(request, "ideas"):
            idea = {"title": "One", "idea": "A clerk asks Marlow about the tide.", "assertions": [1]}
            return json.dumps({"ideas": [idea]})
        return model(request)

    settings = recipe(tmp_path, documents=2, chats=0, genres={"faq page": 1}, genres_per_subdomain=1)
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(same))
        for table, column in (("documents", "doc_id"), ("briefs", "brief_id")):
            (row,) = run.store.rows(f"SELECT count(*) AS n, count(DISTINCT {column}) AS ids FROM {table}")
            assert row["n"] == row["ids"] == 1


@pytest.mark.parametrize("purpose", ["subdomains", "assertions", "ideas"])
def test_an_outlines_call_without_a_reply_is_made_again_by_the_next_run(tmp_path: Path, purpose: str) -> None:
    lone = once(lambda request: asks_for(request, purpose), model, CallFailed("timeout", "no reply within 300 s"))
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(lone))
        before = ids(run)
        again = FakeEngine(model)
        report = generated(run, again).report
        assert [request for request in again.asked if asks_for(request, purpose)]
        assert before <= ids(run)
        assert num_written(run) >= 20
        assert report.failed_fraction == 0
        idle = FakeEngine(model)
        generated(run, idle)
        assert idle.asked == []


def test_without_a_reply_about_its_domains_there_is_no_outline_and_the_next_run_asks_again(tmp_path: Path) -> None:
    lone = once(lambda request: asks_for(request, "domains"), model, CallFailed("timeout", "no reply within 300 s"))
    with open_run(recipe(tmp_path), "generate", print) as run:
        with pytest.raises(EngineError, match="run again to ask it again"):
            generated(run, FakeEngine(lone))
        assert num_written(run) == 0
        generated(run, FakeEngine(model))
        assert num_written(run) == 20
        assert {"domain": "conduct"} not in run.store.rows("SELECT DISTINCT domain FROM assertions")


def test_a_reply_that_repeats_ideas_is_not_mistaken_for_the_next_one(tmp_path: Path) -> None:
    """Every second call for ideas gives what is taken: the spare calls make up for two of them in each group."""
    calls = []

    def repeats(request: Request) -> str:
        if not asks_for(request, "ideas"):
            return one_subdomain(request)
        calls.append(request)
        taken = [line for line in request.messages[-1].content.splitlines() if line.startswith("- ")]
        if len(calls) == 2:
            return json.dumps({"ideas": [{"title": "x", "idea": taken[0][2:], "assertions": [1]}]})
        return model(request)

    settings = recipe(tmp_path, documents=9, chats=0, genres={"faq page": 1}, genres_per_subdomain=1)
    with open_run(settings, "generate", print) as run:
        report = generated(run, FakeEngine(repeats, max_in_flight=1)).report
        assert num_written(run) == 9
        assert report.failed_fraction == 0


def test_a_top_up_that_finds_no_idea_adds_no_seats(tmp_path: Path) -> None:
    from filters import curate_corpus

    settings = recipe(tmp_path, chats=0, ideas_per_call=1).model_copy(update={"curate": Recipe.model_validate(
        {"name": "x", "curate": {"filters": [{"length": {"min_words": 60}}]}}).curate})  # fmt: skip
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(model))
        curate_corpus(settings, run.store, _Quiet())
        silent = FakeEngine(lambda request: "no JSON" if asks_for(request, "ideas") else model(request))
        assert generated(run, silent, top_up=True).report.num_new_seats == 0
        assert num_written(run) == 20


class _Quiet:
    def start(self, stage: str, total: int) -> None: ...

    def grow(self, stage: str, num_more: int) -> None: ...

    def advance(self, stage: str, outcome: str) -> None: ...

    def describe(self, stage: str, text: str) -> None: ...

    def note(self, message: str) -> None: ...


def test_an_assertions_explanation_and_a_servers_options_are_part_of_what_is_asked(tmp_path: Path) -> None:
    def explained(why: str) -> Callable[[Request], str]:
        def reply(request: Request) -> str:
            whole = json.loads(model(request)) if request.schema else {}
            if asks_for(request, "assertions"):
                return json.dumps({"assertions": [{**each, "explanation": why} for each in whole["assertions"]]})
            return model(request)

        return reply

    seen = []
    for folder, why in (("one", "It is fair."), ("two", "It is wise.")):
        (tmp_path / folder).mkdir()
        with open_run(recipe(tmp_path / folder), "generate", print) as run:
            generated(run, FakeEngine(explained(why)))
            seen.append({str(row["id"]) for row in run.store.rows("SELECT assertion_id AS id FROM assertions")})
    assert not seen[0] & seen[1]

    server = {"kind": "openai", "model": "x", "base_url": "http://127.0.0.1:9/v1"}
    steps = [
        make_plan(recipe(tmp_path).model_copy(update={"engine": Recipe.model_validate(
            {"name": "x", "engine": {**server, "options": options}}).engine})).open_steps[0].item_id
        for options in ({}, {"reasoning_effort": "low"})
    ]  # fmt: skip
    assert steps[0] != steps[1]
