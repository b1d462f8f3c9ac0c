"""Chats: questions that give nothing away, answers with their reasoning and without, preferences without reasons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.openai_server import hashed

import prompts
from corpus.bare_preference import problem_with
from corpus.chats import names_the_spec
from corpus.engine import Reply, Request
from corpus.errors import RecipeError
from corpus.inspect.sql import run_sql
from corpus.plans import make_plan
from corpus.preferences import KINDS, Pair, load_pairs
from corpus.recipe import Recipe
from corpus.run import open_run

SPEC = "\n".join(f"- The assistant keeps rule {number} whatever happens." for number in range(5))
PAIRS = [{"liked": "rye bread", "disliked": "white bread"}, {"liked": "tea", "disliked": "coffee"}]


def recipe(folder: Path, **generate: object) -> Recipe:
    (folder / "spec.md").write_text(SPEC)
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, PAIRS)))
    settings = {"documents": 0, "chats": 6, "max_attempts": 2} | generate
    return Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": settings, "engine": {"max_in_flight": 3},
        "spec": {"path": folder / "spec.md", "model_name": "Marlow", "hold_out": {"fraction": 0.0}},
    })  # fmt: skip


def prose(request: Request) -> str:
    return " ".join(f"tide{hashed(request.seed, n) % 9973}" for n in range(20))


def asks(request: Request) -> bool:
    return "Write only the message" in request.messages[-1].content


def reasons(request: Request) -> str:
    return prose(request) if asks(request) else f"<think>\nHIDDEN {prose(request)}\n</think>\n\nPLAIN {prose(request)}"


def test_chats_have_every_kind_of_question_and_each_another_person(tmp_path: Path) -> None:
    engine = FakeEngine(prose)
    with open_run(recipe(tmp_path, chats=24), "generate", print) as run:
        generated(run, engine)
        kinds = run.store.rows("SELECT question_kind, count(*) AS n FROM chats GROUP BY 1")
        people = run.store.rows("SELECT count(DISTINCT idea) AS n FROM briefs")
    assert {str(row["question_kind"]): row["n"] for row in kinds} == dict.fromkeys(prompts.question_kinds(), 4)
    assert int(str(people[0]["n"])) >= 16
    questions = [request.messages[-1].content for request in engine.asked if asks(request)]
    assert all(any(topic in question for topic in prompts.topics()) for question in questions)


def test_an_answer_with_reasoning_is_two_chats_that_know_each_other(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path, reasoning=True), "generate", print) as run:
        generated(run, FakeEngine(reasons))
        rows = run.store.rows("SELECT chat_id, twin_id, reasoning, messages FROM chats")
        assert run.store.rows("SELECT count(*) AS n FROM calls WHERE purpose = 'answer'") == [{"n": 6}]
    twins = {str(row["chat_id"]): row for row in rows}
    assert len(twins) == 12
    for row in rows:
        twin = twins[str(row["twin_id"])]
        assert (twin["twin_id"], twin["reasoning"]) == (row["chat_id"], not row["reasoning"])
        question, answer = row["messages"]
        assert question == twin["messages"][0]
        text = answer["content"]
        assert ("HIDDEN" in text) is row["reasoning"] is text.startswith("<think>\n")
        assert text.endswith(twin["messages"][1]["content"].rpartition("\n\n")[2])


@pytest.mark.parametrize(
    "answer",
    [
        "<think>It goes on and on",
        "<think>Thought.</think>",
        "No reasoning at all.",
        "Well. <think>Thought.</think> Answer.",
        "<think>One.</think> Answer. <think>Two.</think>",
        "<think></think> Answer.",
    ],
)
def test_reasoning_that_is_cut_off_or_missing_is_never_a_row(tmp_path: Path, answer: str) -> None:
    engine = FakeEngine(lambda request: prose(request) if asks(request) else answer)
    with open_run(recipe(tmp_path, reasoning=True), "generate", print) as run:
        generated(run, engine)
        assert run.store.rows("SELECT * FROM chats") == []
        rows = run.store.rows("SELECT DISTINCT outcome FROM calls WHERE purpose = 'answer'")
    assert rows == [{"outcome": "unparsable"}]


@pytest.mark.parametrize("block", ["<think>It goes on", "<think>Thought.</think> ", "Thought.</think> "])
@pytest.mark.parametrize("purpose", ["question", "answer"])
@pytest.mark.parametrize("kind", ["chats", "preferences"])
def test_reasoning_that_was_not_asked_for_is_never_a_row(tmp_path: Path, block: str, purpose: str, kind: str) -> None:
    def reasoned(request: Request) -> str:
        text = prefers(request) if kind == "preferences" else prose(request)
        return f"{block} {text}" if asks(request) is (purpose == "question") else text

    settings = {"chats": 0, "preference_pairs": tmp_path / "pairs.jsonl", kind: 4}
    with open_run(recipe(tmp_path, **settings), "generate", print) as run:
        generated(run, FakeEngine(reasoned))
        assert run.store.rows("SELECT * FROM chats") == []
        rows = run.store.rows("SELECT DISTINCT outcome FROM calls WHERE purpose = ?", [purpose])
    assert rows == [{"outcome": "unparsable"}]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("<think>Thought.</think><thinking>Again.</thinking> The answer.", "unparsable"),
        ("<think>{prose}</think>" + "The door is open and it stays open. " * 30, "degenerate"),
        ("<think>" + "I weigh it and weigh it once more. " * 30 + "</think>{prose}", "degenerate"),
    ],
)
def test_neither_part_of_a_reasoned_answer_may_loop_or_reason_on(tmp_path: Path, answer: str, outcome: str) -> None:
    def reasoned(request: Request) -> str:
        long = " ".join(f"tide{hashed(request.seed, n) % 9973}" for n in range(300))
        return prose(request) if asks(request) else answer.format(prose=long)

    with open_run(recipe(tmp_path, reasoning=True), "generate", print) as run:
        generated(run, FakeEngine(reasoned))
        assert run.store.rows("SELECT * FROM chats") == []
        rows = run.store.rows("SELECT DISTINCT outcome FROM calls WHERE purpose = 'answer'")
    assert rows == [{"outcome": outcome}]


def test_reasoning_that_meets_the_limit_is_truncated(tmp_path: Path) -> None:
    cut = Reply("<think>It goes on", "length", 10, 0, 900)
    with open_run(recipe(tmp_path, reasoning=True), "generate", print) as run:
        generated(run, FakeEngine(lambda request: prose(request) if asks(request) else cut))
        assert run.store.rows("SELECT * FROM chats") == []
        rows = run.store.rows("SELECT DISTINCT outcome FROM calls WHERE purpose = 'answer'")
    assert rows == [{"outcome": "truncated"}]


def test_the_limit_of_reasoning_comes_on_top_of_the_answers(tmp_path: Path) -> None:
    engine = FakeEngine(reasons)
    settings = recipe(tmp_path, reasoning=True, chat_max_tokens=100, reasoning_max_tokens=50)
    with open_run(settings, "generate", print) as run:
        generated(run, engine)
    assert {request.max_tokens for request in engine.asked if asks(request)} == {100}
    assert {request.max_tokens for request in engine.asked if not asks(request)} == {150}


@pytest.mark.parametrize("stance", ["values", "rules"])
def test_reasoning_follows_the_stance(tmp_path: Path, stance: str) -> None:
    engine = FakeEngine(reasons)
    with open_run(recipe(tmp_path, reasoning=True, stance=stance), "generate", print) as run:
        generated(run, engine)
    systems = [request.messages[0].content for request in engine.asked if not asks(request)]
    assert all(("looks up a policy" in system) is (stance == "values") for system in systems)
    assert all(("which rule applies" in system) is (stance == "rules") for system in systems)


@pytest.mark.parametrize(
    ("question", "is_refused"),
    [
        ("What does your constitution say about this?", True),
        ("Is that against the Model Spec?", True),
        ("Do your guidelines allow it?", True),
        ("Which specification should the screws have?", False),
        ("The constitution of my country says otherwise; what now?", False),
        ("Our club has rules about lending; may I lend the boat?", False),
        ("My doctor says my constitution is weak. What should I eat?", False),
        ("Should I tell her the truth in principle?", False),
    ],
)
def test_a_question_that_names_the_spec_is_asked_for_again(question: str, is_refused: bool) -> None:
    assert (names_the_spec(question) is not None) is is_refused


def prefers(request: Request) -> str:
    if asks(request):
        return prose(request)
    liked = next(pair["liked"] for pair in PAIRS if f"prefer {pair['liked']}" in request.messages[0].content)
    return f"I would take the {liked}."


def test_preferences_are_stated_without_a_reason_and_both_ways_round(tmp_path: Path) -> None:
    engine = FakeEngine(prefers)
    settings = recipe(tmp_path, chats=0, preferences=30, preference_pairs=tmp_path / "pairs.jsonl")
    with open_run(settings, "generate", print) as run:
        generated(run, engine)
        rows = run.store.rows("SELECT kind, count(*) AS n FROM chats JOIN briefs USING (brief_id) GROUP BY 1")
        kinds = run.store.rows("SELECT DISTINCT question_kind FROM chats")
    assert rows == [{"kind": "preference", "n": 30}]
    assert {str(row["question_kind"]) for row in kinds} == set(KINDS)
    questions = [request.messages[-1].content for request in engine.asked if asks(request)]
    first = sum(f"{pair['liked']}, and {pair['disliked']}" in question for pair in PAIRS for question in questions)
    assert 5 <= first <= 25


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("I would take the rye bread.", None),
        ("Rye bread, please.", None),
        ("I would take the white bread.", "does not name"),
        ("Rye bread, because it keeps longer.", "states a reason"),
        ("Rye bread, since you ask me to choose.", "states a reason"),
        ("Rye bread " + "again " * 80, "has 82 words"),
    ],
)
def test_what_is_no_bare_preference_is_thrown_away(answer: str, problem: str | None) -> None:
    found = problem_with(answer, Pair("rye bread", "white bread"))
    assert found is None if problem is None else problem in str(found)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2"),
        ('{"liked": "tea"}', "line 2"),
        ('{"liked": "tea", "disliked": 3}', "line 2"),
        ('{"liked": "Tea", "disliked": "tea"}', "prefers 'Tea' to 'tea'"),
        ('{"liked": "tea \\ud83d", "disliked": "coffee"}', "line 2 holds half of a surrogate pair"),
        pytest.param("[" * 100_000, "line 2", id="nested without end"),
    ],
)
def test_a_broken_pair_names_its_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(f"{json.dumps(PAIRS[0])}\n{line}\n")
    with pytest.raises(RecipeError, match=said):
        load_pairs(tmp_path / "pairs.jsonl")


def test_pairs_read_with_a_mark_at_the_front_and_odd_ends_of_lines(tmp_path: Path) -> None:
    lines = ['{"liked": "tea", "disliked": "coffee\u2028or cocoa"}', "", '{"liked": "rye", "disliked": "oats\x85"}']
    (tmp_path / "pairs.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert load_pairs(tmp_path / "pairs.jsonl") == [Pair("tea", "coffee\u2028or cocoa"), Pair("rye", "oats")]


def test_pairs_that_are_not_there_are_told_before_a_run_is_made(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        make_plan(recipe(tmp_path, preferences=3, preference_pairs=tmp_path / "none.jsonl"))


def test_clauses_whose_chats_are_refused_for_ever_are_starved_and_say_why(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(lambda request: "I'm sorry, but I can't help with that."))
    rows = run_sql(run.store.root, "starved_clauses").table.to_pylist()
    assert {(row["kind"], row["written"]) for row in rows} == {("chat", 0)}
    assert sum(row["briefs"] for row in rows) == 6
    assert all(row["calls"].startswith("refusal: ") for row in rows)


def test_a_small_model_is_told_how_each_kind_of_message_ends(tmp_path: Path) -> None:
    engine = FakeEngine(lambda request: f"{request.opening} {prose(request)}." if request.opening else prose(request))
    with open_run(recipe(tmp_path, small_model=True, chats=6), "generate", print) as run:
        generated(run, engine)
    asked = "\n".join(request.messages[-1].content for request in engine.asked)
    assert all(ending in asked for ending in prompts.question_endings().values())
