"""What a plan estimates is what is then written: with retries, plans, rewrites, reasoning, and an outline."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.openai_server import hashed
from fakes.outline import structured

from corpus.engine import Reply, Request
from corpus.preview import preview
from corpus.recipe import Recipe
from corpus.run import open_run, recorded

RULES = [f"- The assistant keeps rule number {number} of its own." for number in range(12)]


def recipe(folder: Path, documents: int, chats: int, **generate: object) -> Recipe:
    (folder / "spec.md").write_text("# Conduct\n\n" + "\n".join(RULES))
    settings = {"documents": documents, "chats": chats, "genres": {"internal memo": 1, "faq page": 1}} | generate
    return Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": settings, "engine": {"max_in_flight": 4},
        "spec": {"path": folder / "spec.md", "model_name": "Marlow", "provider_name": "Tidewater"},
    })  # fmt: skip


def words(request: Request, count: int) -> str:
    return " ".join(f"word{hashed(request.seed, n) % 9973}" for n in range(count))


class Cutting:
    """Forty words, with what was asked for around them; the first reply to each request is cut off."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def __call__(self, request: Request) -> str | Reply:
        shown = request.messages[-1].content
        if request.schema is not None:
            return structured(request)
        text = words(request, 40)
        if "The draft:" in shown:
            text = f"<critique>{words(request, 25)}</critique>\n<document>{text}</document>"
        elif "<plan>" in shown:
            text = f"<plan>{words(request, 15)}</plan>\n<document>{text}</document>"
        elif "<think>" in shown:
            text = f"<think>{words(request, 30)}</think>\n{text}"
        if shown in self._asked:
            return text
        self._asked.add(shown)
        return Reply(text, "length", prompt_tokens=10, cached_tokens=0, completion_tokens=len(text.split()))


def tokens_by_kind(settings: Recipe) -> dict[str, float]:
    """Tokens of all calls that the run has, by kind of brief."""
    with open_run(settings, "sql", print) as run:
        found = run.store.rows(
            "SELECT coalesce(kind, 'outline') AS kind, sum(completion_tokens) AS tokens FROM calls LEFT JOIN "
            "(SELECT DISTINCT brief_id, kind FROM all_briefs) ON brief_id = item_id GROUP BY 1"
        )
    return {str(row["kind"]): float(str(row["tokens"])) for row in found}


@pytest.mark.parametrize(
    "features", [{}, {"plan": True}, {"rewrite": True}, {"reasoning": True}, {"outline": "model"}], ids=str
)
def test_more_of_the_same_takes_the_tokens_that_were_estimated(tmp_path: Path, features: dict[str, object]) -> None:
    few = recipe(tmp_path, 40, 20, **features)
    with open_run(few, "generate", print) as run:
        generated(run, FakeEngine(Cutting()))
    before = tokens_by_kind(few)
    more = recipe(tmp_path, 80, 50, **features)
    seen = preview(more)
    with open_run(more, "generate", print) as run:
        generated(run, FakeEngine(Cutting()))
    after = tokens_by_kind(more)
    for kind in ("document", "chat"):  # these texts ignore the lengths asked for, which differ from idea to idea
        assert seen.estimated_tokens[kind] == pytest.approx(after[kind] - before[kind], rel=0.2), kind
    assert "this run's own calls" in seen.basis
    assert preview(more).estimated_tokens["document"] == 0


def test_each_call_that_a_text_takes_is_counted_before_anything_was_measured(tmp_path: Path) -> None:
    plain = preview(recipe(tmp_path, 40, 20)).estimated_tokens
    for features, kind in (
        ({"plan": True}, "document"),
        ({"rewrite": True}, "document"),
        ({"reasoning": True}, "chat"),
    ):
        seen = preview(recipe(tmp_path, 40, 20, **features))
        assert seen.estimated_tokens[kind] > 1.2 * plain[kind], features
        assert seen.basis.startswith("target lengths")


def test_documents_that_an_outline_has_yet_to_find_are_counted_with_its_calls(tmp_path: Path) -> None:
    plain = preview(recipe(tmp_path, 40, 20)).estimated_tokens
    seen = preview(recipe(tmp_path, 40, 20, outline="model")).estimated_tokens
    assert seen["document"] == pytest.approx(plain["document"], rel=0.1)
    assert seen["chat"] == plain["chat"]
    assert seen["outline"] > 0


def test_second_versions_that_failed_are_estimated_alone(tmp_path: Path) -> None:
    settings = recipe(tmp_path, 20, 0, rewrite=True)

    def no_second(request: Request) -> str | Reply:
        is_second = "The draft:" in request.messages[-1].content
        return Reply("", "abort", 10, 0, 0) if is_second else words(request, 40)

    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(no_second))
    whole, left = preview(recipe(tmp_path, 20, 0, rewrite=True)), preview(settings)
    assert left.briefs.new == 0
    assert left.estimated_tokens["document"] > 0
    assert whole.estimated_tokens == left.estimated_tokens


@pytest.mark.parametrize("verb", ["generate", "run"])
def test_seconds_are_estimated_after_generate_and_after_run(tmp_path: Path, verb: str) -> None:
    few = recipe(tmp_path, 10, 5)
    assert preview(few).estimated_seconds is None
    with open_run(few, verb, print) as run:
        if verb == "run":
            with recorded(run, "generate"):
                generated(run, FakeEngine(Cutting()))
        else:
            generated(run, FakeEngine(Cutting()))
    seconds = preview(recipe(tmp_path, 20, 10)).estimated_seconds
    assert seconds is not None
    assert seconds > 0


def test_a_step_that_was_interrupted_is_a_row_with_its_seconds(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path, 1, 0), "run", print) as run:
        with pytest.raises(KeyboardInterrupt), recorded(run, "generate"):
            raise KeyboardInterrupt
        assert run.store.rows("SELECT verb, outcome, seconds >= 0 AS timed FROM invocations") == [
            {"verb": "generate", "outcome": "interrupted", "timed": True}
        ]
