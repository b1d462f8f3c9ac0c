"""How much an outline gives: as many texts as are wanted, no call that shows too much, and no brief twice."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.outlined import asks_for, ids, model, num_written, one_subdomain, recipe

from corpus.assertions import Assertion, Subdomain
from corpus.compose import Composer
from corpus.errors import RecipeError
from corpus.plans import make_plan
from corpus.run import open_run


@pytest.mark.parametrize("variants", [1, 2, 3, 7])
def test_variants_count_towards_the_documents_and_asking_for_more_only_adds(tmp_path: Path, variants: int) -> None:
    with open_run(recipe(tmp_path, documents=10, chats=0, variants=variants), "generate", print) as run:
        generated(run, FakeEngine(model))
        before = ids(run)
        assert num_written(run) == 10
    with open_run(recipe(tmp_path, documents=17, chats=0, variants=variants), "generate", print) as run:
        generated(run, FakeEngine(model))
        assert num_written(run) == 17
        assert before < ids(run)


def test_documents_for_which_no_idea_is_to_be_had_are_failures(tmp_path: Path) -> None:
    settings = recipe(tmp_path, documents=50, chats=5)
    with open_run(settings, "generate", print) as run:
        silent = FakeEngine(lambda request: "no JSON" if asks_for(request, "ideas") else model(request))
        report = generated(run, silent).report
        assert (report.num_without_idea, report.num_failed) == (50, 0)
        assert report.failed_fraction == 50 / 55
        assert generated(run, FakeEngine(model)).report.failed_fraction == 50 / 55, "also when nothing is left to ask"


def test_the_ideas_that_a_call_shows_as_taken_are_bounded(tmp_path: Path) -> None:
    settings = recipe(tmp_path, documents=90, chats=0, genres={"faq page": 1}, genres_per_subdomain=1)
    with open_run(settings, "generate", print) as run:
        engine = FakeEngine(one_subdomain)
        generated(run, engine)
        shown = [request.messages[-1].content.count("\n- ") for request in engine.asked if asks_for(request, "ideas")]
        assert max(shown) == 60
        assert num_written(run) == 90


@pytest.mark.parametrize(("num_assertions", "num_topics"), [(12, 2), (24, 12), (5, 3), (4, 6), (3, 0), (1, 1)])
def test_chats_of_a_subdomain_take_every_assertion_with_every_topic_once(
    tmp_path: Path, num_assertions: int, num_topics: int
) -> None:
    settings = recipe(tmp_path)
    plan = make_plan(settings)
    clause = plan.usable[0]
    assertions = [Assertion(f"b2:{n}", (clause.clause_id,), f"It keeps {n}.", "", "") for n in range(num_assertions)]
    topics = [f"I have topic {n} on my mind." for n in range(num_topics)]
    part = Subdomain("b2:key", (0,), "Conduct", "All", "", (clause,), assertions, ["faq page"], topics)
    plan.outline.subdomains.append(part)
    shown = plan.shown.__class__(plan.usable, [("Conduct", "All", each) for each in assertions], 0)
    composer = Composer(settings, plan.cards, shown)
    total = num_assertions * max(1, num_topics)
    made = [composer.subdomain_chat(part, "direct", n, n, 0) for n in range(2 * total)]
    assert len({(brief.assertion_ids, brief.idea) for brief in made[:total]}) == total
    assert len({brief.brief_id for brief in made}) == 2 * total
    assert math.lcm(num_assertions, max(1, num_topics)) <= total


def test_only_preferences_need_no_outline(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"liked": "tea", "disliked": "coffee"}')
    settings = recipe(tmp_path, documents=0, chats=0, preferences=2, preference_pairs=tmp_path / "pairs.jsonl")
    with open_run(settings, "generate", print) as run:
        engine = FakeEngine(lambda request: "I would rather have tea than coffee.")
        generated(run, engine)
        assert not [request for request in engine.asked if request.schema]


@pytest.mark.parametrize(
    ("more", "what"),
    [({"rewrite": True}, "a rewrite"), ({}, "a document of the outline")],
)
def test_what_cannot_fit_is_told_before_the_first_document(tmp_path: Path, more: dict[str, object], what: str) -> None:
    """The outline's own prompts fit; those that come after it are counted as soon as it is there."""
    settings = recipe(tmp_path, chats=0, max_tokens=900, outline_max_tokens=10, excerpt_tokens=0, **more)
    engine = FakeEngine(one_subdomain)
    engine.context_tokens = 2400 if more else 1000
    with open_run(settings, "generate", print) as run:
        with pytest.raises(RecipeError, match="exceed the context"):
            generated(run, engine)
        assert not run.store.rows("SELECT 1 FROM calls WHERE purpose IN ('document', 'rewrite')"), what
