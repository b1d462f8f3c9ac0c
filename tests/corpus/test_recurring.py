"""What recurs is counted; waves are told what recurs before them, and the list is made once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.openai_server import hashed
from hypothesis import given
from hypothesis import strategies as st

from corpus.engine import Request
from corpus.errors import EngineError
from corpus.recipe import Recipe
from corpus.recurring import count_recurring
from corpus.run import Run, open_run
from corpus.stage import Silent
from filters import curate_corpus

SPEC = "\n".join(f"- The assistant keeps rule {number} whatever happens." for number in range(5))


def recipe(folder: Path, **generate: object) -> Recipe:
    (folder / "spec.md").write_text(SPEC)
    settings = {"documents": 12, "chats": 2, "avoid_recurring": True, "wave_documents": 4} | generate
    return Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": settings, "engine": {"max_in_flight": 3},
        "spec": {"path": folder / "spec.md", "model_name": "Marlow", "hold_out": {"fraction": 0.0}},
    })  # fmt: skip


def habit(request: Request) -> str:
    """Every text opens in the same words and is about the same woman."""
    own = " ".join(f"tide{hashed(request.seed, n) % 9973}" for n in range(40))
    return f"It was a quiet morning when she came. In the hall Maya Patel met Marlow. {own}."


def found(texts: list[str]) -> dict[tuple[str, str], int]:
    return {(each.kind, each.text): each.num_documents for each in count_recurring(lambda: texts, ["Marlow"])}


def test_names_openings_and_phrases_are_counted_by_document() -> None:
    texts = [f"The old clerk went home. There he met Anna Berg and Anna Berg met him {n}." for n in range(4)]
    counted = found(texts)
    assert counted["name", "Anna Berg"] == 4
    assert counted["opening", "the old clerk went home"] == 4
    assert any(kind == "phrase" for kind, _ in counted)


def test_the_assistants_own_name_and_the_first_word_of_a_sentence_are_no_recurring_names() -> None:
    texts = [f"We asked. Marlow said no. Nobody saw Marlow go {n}." for n in range(5)]
    assert not [text for kind, text in found(texts) if kind == "name"]


def test_a_name_is_whole_whatever_letters_it_goes_on_with_and_capitals_alone_are_none() -> None:
    texts = [f"They asked ChatGPT and José McBride of the EU {n}." for n in range(5)]
    names = {each.text for each in count_recurring(lambda: texts, ["ChatGPT"]) if each.kind == "name"}
    assert names == {"José McBride"}


def test_what_stands_in_few_documents_does_not_recur() -> None:
    texts = [f"Word{n} alone stands in {n} number {n} text {n} here." for n in range(50)]
    assert found([*texts, "Here Anna went.", "Here Anna came."]) == {}


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=14).map(" ".join), max_size=12))
def test_openings_agree_with_counting_by_hand(texts: list[str]) -> None:
    openings = Counter(" ".join(text.split()[:5]) for text in texts if len(text.split()) >= 5)
    assert {text: n for (kind, text), n in found(texts).items() if kind == "opening"} == {
        text: n for text, n in openings.items() if n >= 3
    }


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=30).map(" ".join), max_size=14))
def test_every_phrase_that_recurs_is_found_but_for_overlaps(texts: list[str]) -> None:
    """Counted by hand: each recurring phrase is listed, or shares four words with one that is, no rarer than it."""
    by_hand: Counter[str] = Counter()
    for text in texts:
        words = text.split()[5:]
        by_hand.update({" ".join(words[at : at + 5]) for at in range(len(words) - 4)})
    listed = {text: n for (kind, text), n in found(texts).items() if kind == "phrase"}
    assert all(by_hand[text] == n >= 3 for text, n in listed.items())
    for text, n in by_hand.items():
        parts = {text.rpartition(" ")[0], text.partition(" ")[2]}
        near = [
            other for other in listed if parts & {other.rpartition(" ")[0], other.partition(" ")[2]} or other == text
        ]
        assert n < 3 or any(listed[other] >= n for other in near)


def asked_in_waves(run: Run, engine: FakeEngine) -> list[str]:
    generated(run, engine)
    prompts = [request.messages[-1].content for request in engine.asked]
    return [prompt for prompt in prompts if "Write this document" in prompt]


def test_later_waves_are_told_what_recurs_and_the_first_is_not(tmp_path: Path) -> None:
    engine = FakeEngine(habit)
    with open_run(recipe(tmp_path), "generate", print) as run:
        prompts = asked_in_waves(run, engine)
        curate_corpus(run.recipe, run.store, Silent())
        names = [
            run.store.rows(f"SELECT count(*) AS n FROM {table} WHERE kind = 'name'") for table in ("worn", "recurring")
        ]
    assert [("Maya Patel" in prompt) for prompt in prompts] == [False] * 4 + [True] * 8
    assert names == [[{"n": 2}], [{"n": 1}]], "one list for each of two waves, and the count of the whole"


def test_without_waves_nothing_is_avoided_but_it_is_counted(tmp_path: Path) -> None:
    engine = FakeEngine(habit)
    with open_run(recipe(tmp_path, avoid_recurring=False), "generate", print) as run:
        prompts = asked_in_waves(run, engine)
        curate_corpus(run.recipe, run.store, Silent())
        rows = run.store.rows("SELECT text, num_documents FROM recurring WHERE kind = 'name'")
    assert not [prompt for prompt in prompts if "Maya" in prompt]
    assert rows == [{"text": "Maya Patel", "num_documents": 12}]


@pytest.mark.parametrize("dies_after", [5, 11])
def test_a_run_that_died_gives_the_later_waves_the_same_lists(tmp_path: Path, dies_after: int) -> None:
    def ids(run: Run) -> list[dict[str, object]]:
        return run.store.rows("SELECT doc_id, context_hash FROM documents ORDER BY doc_id")

    def dies(request: Request) -> str | BaseException:
        return habit(request) if len(dying.asked) <= dies_after else EngineError("gone")

    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    with open_run(recipe(tmp_path / "whole"), "generate", print) as run:
        generated(run, FakeEngine(habit))
        expected = ids(run)
    dying = FakeEngine(dies, max_in_flight=1)
    with open_run(recipe(tmp_path / "parts"), "generate", print) as run:
        with pytest.raises(EngineError):
            generated(run, dying)
        generated(run, FakeEngine(habit))
        assert ids(run) == expected


def test_a_list_that_was_used_stays_when_its_documents_change(tmp_path: Path) -> None:
    """A document of the first wave that fails, and is had later, makes nothing of the second one stale."""
    lost: list[str] = []

    def fails_once(request: Request) -> str:
        text = request.messages[-1].content
        if "Write this document" in text and (not lost or text in lost):
            lost.append(text)
            return ""
        return habit(request)

    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(fails_once))
        before = run.store.rows("SELECT doc_id FROM documents ORDER BY doc_id")
        generated(run, FakeEngine(habit), top_up=True)
        after = run.store.rows("SELECT doc_id FROM documents ORDER BY doc_id")
        assert run.store.rows("SELECT count(*) AS n FROM all_documents WHERE stale") == [{"n": 0}]
    assert len(before) == 11
    assert len(after) == 12
    assert all(row in after for row in before)


def test_asking_for_more_adds_waves_and_keeps_the_lists(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(habit))
        before = run.store.rows("SELECT doc_id FROM documents")
    more = FakeEngine(habit)
    with open_run(recipe(tmp_path, documents=20), "generate", print) as run:
        assert len(asked_in_waves(run, more)) == 8
        after = run.store.rows("SELECT doc_id FROM documents")
    assert all(row in after for row in before)


def test_chats_are_written_once_whatever_the_waves_and_also_without_documents(tmp_path: Path) -> None:
    """Six waves, and each attempt at a chat is made in one of them."""

    def refuses(request: Request) -> str:
        return habit(request) if "Write this document" in request.messages[-1].content else ""

    engine = FakeEngine(refuses)
    with open_run(recipe(tmp_path, chats=2, max_attempts=2), "generate", print) as run:
        generated(run, engine)
        tries = run.store.rows("SELECT count(*) AS n FROM calls WHERE purpose = 'question' GROUP BY item_id")
        assert [row["n"] for row in tries] == [2, 2]
        generated(run, FakeEngine(refuses), top_up=True)
        tries = run.store.rows("SELECT count(*) AS n FROM calls WHERE purpose = 'question' GROUP BY item_id")
        assert [row["n"] for row in tries] == [4, 4]
    (tmp_path / "none").mkdir()
    with open_run(recipe(tmp_path / "none", documents=0, chats=3), "generate", print) as run:
        generated(run, FakeEngine(habit))
        assert run.store.rows("SELECT count(*) AS n FROM chats") == [{"n": 3}]


def test_what_recurs_is_counted_once_in_a_document_that_was_written_anew(tmp_path: Path) -> None:
    def rewrites(request: Request) -> str:
        text = habit(request)
        return f"<critique>Fine.</critique><document>{text}</document>" if "critique" in str(request.messages) else text

    with open_run(recipe(tmp_path, rewrite=True), "generate", print) as run:
        generated(run, FakeEngine(rewrites))
        (most,) = run.store.rows("SELECT max(num_documents) AS n FROM worn")
        (written,) = run.store.rows("SELECT count(*) AS n FROM documents WHERE parent_id IS NULL")
        assert 0 < int(str(most["n"])) < int(str(written["n"]))
