"""Documents with a plan in the reply, and documents that are written anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.openai_server import hashed
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus.engine import Reply, Request
from corpus.errors import EngineError
from corpus.preview import preview
from corpus.recipe import Generate, Recipe
from corpus.run import open_run
from corpus.stage import Silent
from corpus.writing import Tagged
from filters import curate_corpus

SPEC = "\n".join(f"- The assistant keeps rule {number} whatever happens." for number in range(5))


def recipe(folder: Path, **generate: object) -> Recipe:
    (folder / "spec.md").write_text(SPEC)
    settings = {"documents": 6, "chats": 0, "max_attempts": 2} | generate
    return Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": settings, "engine": {"max_in_flight": 3},
        "spec": {"path": folder / "spec.md", "model_name": "Marlow", "hold_out": {"fraction": 0.0}},
        "curate": {"filters": ["length"]},
    })  # fmt: skip


def prose(request: Request) -> str:
    return " ".join(f"tide{hashed(request.seed, n) % 9973}" for n in range(60))


def test_the_plan_is_asked_for_and_never_in_the_text(tmp_path: Path) -> None:
    engine = FakeEngine(lambda request: f"<plan>SECRET</plan>\n<document>\n{prose(request)}\n</document>")
    with open_run(recipe(tmp_path, plan=True), "generate", print) as run:
        generated(run, engine)
        texts = [str(row["text"]) for row in run.store.rows("SELECT text FROM documents")]
    assert len(texts) == 6
    assert not [text for text in texts if "SECRET" in text or "<" in text]
    assert all("<plan>" in request.messages[-1].content for request in engine.asked)


def test_without_a_plan_the_reply_is_the_text(tmp_path: Path) -> None:
    engine = FakeEngine(prose)
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, engine)
        assert run.store.rows("SELECT count(*) AS n FROM documents") == [{"n": 6}]
    assert not any("<plan>" in request.messages[-1].content for request in engine.asked)


def test_a_quoting_small_models_sentence_is_asked_for_with_its_end(tmp_path: Path) -> None:
    engine = FakeEngine(prose)
    with open_run(recipe(tmp_path, small_model=True, small_model_quotes=True), "generate", print) as run:
        generated(run, engine)
    assert engine.asked and all(request.keeps_stop and ". " in request.stop for request in engine.asked)


@pytest.mark.parametrize(
    "reply",
    [
        "{prose}",
        "<plan>p</plan>{prose}",
        "<plan>p</plan><document>{prose}",
        "<plan>p <document>{prose}</document>",
        "<document>{prose}</document>",
        "<document>{prose}</document><plan>p</plan>",
        "<plan>p</plan><document></document>",
        "<plan>p</plan><document>{prose}</document> And a remark.",
        "<plan>p</plan><document>{prose}<plan>q</plan></document>",
        "Sure! <plan>p</plan><document>{prose}</document>",
    ],
)
def test_a_tag_that_is_missing_or_open_is_a_failed_call_and_no_document(tmp_path: Path, reply: str) -> None:
    engine = FakeEngine(lambda request: reply.format(prose=prose(request)))
    with open_run(recipe(tmp_path, plan=True), "generate", print) as run:
        generated(run, engine)
        assert run.store.rows("SELECT * FROM documents") == []
        rows = run.store.rows(
            "SELECT outcome, count(*) AS n, bool_and(error IS NOT NULL) AS told FROM calls GROUP BY 1"
        )
    assert rows == [{"outcome": "unparsable", "n": 12, "told": True}]


BAD_TEXTS = {
    "refusal": "I'm sorry, but I can't help with that request.",
    "degenerate": "The door is open and it stays open. " * 30,
    "unparsable": "<think>First I weigh it.</think> The clerk told the truth.",
}


@pytest.mark.parametrize("outcome", BAD_TEXTS)
def test_a_bad_text_between_the_tags_of_a_plan_is_no_document(tmp_path: Path, outcome: str) -> None:
    bad = f"<document>{BAD_TEXTS[outcome]}</document>"
    engine = FakeEngine(lambda request: f"<plan>{prose(request)} {prose(request)[::-1]}</plan>\n{bad}")
    with open_run(recipe(tmp_path, plan=True), "generate", print) as run:
        generated(run, engine)
        assert run.store.rows("SELECT * FROM documents") == []
        rows = run.store.rows("SELECT outcome, count(*) AS n FROM calls GROUP BY 1")
    assert rows == [{"outcome": outcome, "n": 12}]


@pytest.mark.parametrize("outcome", BAD_TEXTS)
def test_a_bad_second_version_is_none_and_the_first_one_stays(tmp_path: Path, outcome: str) -> None:
    def bad(request: Request) -> str:
        if "The draft:" in request.messages[-1].content:
            return f"<critique>{prose(request)}</critique><document>{BAD_TEXTS[outcome]}</document>"
        return prose(request)

    with open_run(recipe(tmp_path, rewrite=True), "generate", print) as run:
        report = generated(run, FakeEngine(bad))
        assert run.store.rows("SELECT count(*) AS n, count(parent_id) AS second FROM documents") == [
            {"n": 6, "second": 0}
        ]
    assert report.stage("rewrites").outcomes == {outcome: 6}


@pytest.mark.parametrize(
    "reply", ["<think>It goes on. {prose}", "<think>Done.</think> {prose}", "Done.</think> {prose}"]
)
def test_reasoning_is_never_in_a_document(tmp_path: Path, reply: str) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(lambda request: reply.format(prose=prose(request))))
        assert run.store.rows("SELECT * FROM documents") == []
        rows = run.store.rows("SELECT outcome, count(*) AS n FROM calls GROUP BY 1")
    assert rows == [{"outcome": "unparsable", "n": 12}]


@given(st.text(), st.text(), st.text())
def test_what_is_read_from_tags_is_what_stood_between_them(first: str, second: str, around: str) -> None:
    tagged = Tagged("plan", "document")
    reply = f"<plan>{first}</plan>\n<document>{second}</document>"
    if tagged.problem(reply) is None:
        assert tagged.parts(reply) == (first.strip(), second.strip())
    else:
        assert not first.strip() or not second.strip() or "plan>" in first + second or "document>" in first + second
    if around.strip():
        assert tagged.problem(f"{around.strip()}{reply}") is not None


def two_versions(request: Request) -> str:
    """A first text, or a critique and the second one."""
    if "The draft:" in request.messages[-1].content:
        return f"<critique>Too tidy.</critique><document>SECOND {prose(request)}</document>"
    return f"FIRST {prose(request)}"


def test_a_rewrite_keeps_both_versions_linked_and_trains_on_the_second(tmp_path: Path) -> None:
    from fakes.generating import Said

    from filters import curate_corpus

    engine = FakeEngine(two_versions)
    with open_run(recipe(tmp_path, rewrite=True), "generate", print) as run:
        report = generated(run, engine)
        curate_corpus(run.recipe, run.store, Said())
        pairs = run.store.rows(
            "SELECT first.text AS first, second.text AS second, first.brief_id = second.brief_id AS same_brief "
            "FROM documents second JOIN documents first ON first.doc_id = second.parent_id"
        )
        curated = run.store.rows("SELECT text FROM curated")
    assert len(pairs) == len(curated) == 6
    assert all(str(pair["first"]).startswith("FIRST") and pair["same_brief"] for pair in pairs)
    assert all(str(row["text"]).startswith("SECOND") for row in curated)
    assert report.stage("rewrites").outcomes == {"ok": 6}
    drafts = [request for request in engine.asked if "The draft:" in request.messages[-1].content]
    assert all("FIRST" in request.messages[-1].content for request in drafts)


def test_a_rewrite_that_fails_leaves_the_first_version_to_train_on(tmp_path: Path) -> None:
    from fakes.generating import Said

    from filters import curate_corpus

    def no_tags(request: Request) -> str | Reply:
        return "No tags." if "The draft:" in request.messages[-1].content else prose(request)

    with open_run(recipe(tmp_path, rewrite=True), "generate", print) as run:
        assert generated(run, FakeEngine(no_tags)).stage("rewrites").outcomes == {"unparsable": 6}
        curate_corpus(run.recipe, run.store, Said())
        assert run.store.rows("SELECT count(*) AS n FROM curated") == [{"n": 6}]
        idle = FakeEngine(two_versions)
        generated(run, idle)
        assert idle.asked == []
        generated(run, FakeEngine(two_versions), top_up=True)
        curate_corpus(run.recipe, run.store, Said())
        assert run.store.rows("SELECT count(*) AS n FROM curated WHERE text LIKE 'SECOND%'") == [{"n": 6}]


def test_a_run_that_died_between_the_versions_writes_the_second_ones_only(tmp_path: Path) -> None:
    def dies(request: Request) -> str | BaseException:
        is_draft = "The draft:" in request.messages[-1].content
        return EngineError("gone") if is_draft and len(engine.asked) > 6 else two_versions(request)

    engine = FakeEngine(dies, max_in_flight=1)
    with open_run(recipe(tmp_path, rewrite=True), "generate", print) as run:
        with pytest.raises(EngineError):
            generated(run, engine)
        (before,) = run.store.rows("SELECT count(*) AS n FROM documents")
        again = FakeEngine(two_versions)
        generated(run, again)
        (after,) = run.store.rows(
            "SELECT count(*) AS n, count(parent_id) AS second, count(DISTINCT doc_id) AS ids FROM documents"
        )
    assert after == {"n": 12, "second": 6, "ids": 12}
    assert len(again.asked) == 12 - int(str(before["n"]))


@pytest.mark.parametrize("key", ["plan", "rewrite", "reasoning"])
def test_what_small_models_cannot_do_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="keeps to no tags"):
        Generate.model_validate({"small_model": True, key: True})


def test_a_prompt_shows_the_section_around_the_clause_as_far_as_it_fits(tmp_path: Path) -> None:
    def shown(tokens: int) -> list[str]:
        engine = FakeEngine(prose)
        settings = recipe(tmp_path, excerpt_tokens=tokens).model_copy(update={"name": f"shows-{tokens}"})
        with open_run(settings, "generate", print) as run:
            generated(run, engine)
        return [request.messages[0].content for request in engine.asked]

    assert all(f"rule {number} " in system for system in shown(1500) for number in range(5))
    assert not any("rule" in system.split("Where a reason")[0] for system in shown(0))
    systems = shown(1400)
    assert len(set(systems)) == 1, "all clauses of a section share their prefix"


def test_a_document_and_its_second_version_are_no_duplicates_of_one_another(tmp_path: Path) -> None:
    """A rewrite keeps what was good: near its draft, it stands for it, and neither is dropped for the other."""

    def nearly_the_same(request: Request) -> str:
        shown = request.messages[-1].content
        drafts = [line for line in shown.splitlines() if line.startswith("tide")]
        return f"<critique>Fine.</critique><document>{drafts[0]} indeed</document>" if drafts else prose(request)

    settings = recipe(tmp_path, rewrite=True)
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(nearly_the_same))
        curate_corpus(settings, run.store, Silent())
        rows = run.store.rows("SELECT count(*) AS n, count(parent_id) AS rewritten FROM curated")
        assert rows == [{"n": 6, "rewritten": 6}]
        assert run.store.rows("SELECT count(*) AS n FROM documents") == [{"n": 12}]
        assert run.store.rows("SELECT count(*) AS n FROM duplicates") == [{"n": 0}]


def test_a_renumbered_rule_keeps_its_briefs_but_for_their_context(tmp_path: Path) -> None:
    """Its label is no part of its identity, but prompts show it, and the table of clauses has it."""
    numbered = "\n".join(f"SP{number}. The assistant keeps promise {number}." for number in (1, 2, 3))
    settings = recipe(tmp_path, excerpt_tokens=0)
    (tmp_path / "spec.md").write_text(numbered)
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(prose))
    (tmp_path / "spec.md").write_text(numbered.replace("SP", "GP"))
    assert preview(settings).briefs.other_context == 6
    with open_run(settings, "generate", print) as run:
        idle = FakeEngine(prose)
        generated(run, idle)
        assert idle.asked == []
        labels = run.store.rows("SELECT label FROM clauses ORDER BY ordinal")
        assert [row["label"] for row in labels] == ["GP1", "GP2", "GP3"]
        generated(run, FakeEngine(prose), refresh_context=True)
        assert run.store.rows("SELECT count(*) AS n FROM documents") == [{"n": 6}]
