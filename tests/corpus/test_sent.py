"""The prompts of a row, made again."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.openai_server import hashed
from fakes.rows import row

import corpus
from corpus.engine import Request
from corpus.errors import QueryError
from corpus.recipe import Recipe
from corpus.run import open_run
from corpus.sent import sent_prompts

SPEC = "\n".join(f"- The assistant keeps rule {number} whatever happens." for number in range(5))


def recipe(folder: Path, **generate: object) -> Recipe:
    (folder / "spec.md").write_text(SPEC)
    return Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": {"documents": 4, "chats": 4} | generate,
        "spec": {"path": folder / "spec.md", "model_name": "Marlow", "hold_out": {"fraction": 0.0}},
    })  # fmt: skip


def prose(request: Request) -> str:
    if "coffee" in "".join(message.content for message in request.messages):
        return "I would rather have tea than coffee."
    text = " ".join(f"tide{hashed(request.seed, n) % 9973}" for n in range(50))
    if "<critique>" in request.messages[-1].content:
        return f"<critique>better</critique><document>{text}</document>"
    return text


@pytest.mark.parametrize("more", [{}, {"rewrite": True}, {"preferences": 3}])
def test_what_is_shown_is_what_was_sent(tmp_path: Path, more: dict[str, object]) -> None:
    if "preferences" in more:
        (tmp_path / "pairs.jsonl").write_text('{"liked": "tea", "disliked": "coffee"}')
        more = more | {"preference_pairs": tmp_path / "pairs.jsonl"}
    made = recipe(tmp_path, **more)
    engine = FakeEngine(prose)
    with open_run(made, "generate", print) as run:
        generated(run, engine)
        sent = {request.messages for request in engine.asked}
        ids = run.store.rows("SELECT doc_id AS id FROM documents UNION ALL SELECT chat_id FROM chats")
        assert len(ids) == 8 + len(run.store.rows("SELECT 1 FROM briefs WHERE kind = 'preference'")) + 4 * (
            "rewrite" in more
        )
        for one in ids:
            prompts = sent_prompts(made, run.store, str(one["id"]))
            assert prompts
            for title, messages in prompts:
                assert messages in sent, title
        chat = str(run.store.rows("SELECT chat_id FROM chats ORDER BY 1")[0]["chat_id"])
        assert [title for title, _ in sent_prompts(made, run.store, chat[:12])] == ["question", "answer"]


def test_what_was_imported_or_is_of_another_recipe_is_said(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    with open_run(made, "generate", print) as run:
        generated(run, FakeEngine(prose))
        rows = [
            row("documents", doc_id="b2:1111111", source="essays.jsonl:3", text="A text."),
            row("documents", doc_id="b2:2222222", brief_id="b2:gone", text="A text."),
        ]
        run.store.writer("corpus").append({"documents": rows})
        with pytest.raises(QueryError, match=r"imported from essays\.jsonl:3"):
            sent_prompts(made, run.store, "1111111")
        with pytest.raises(QueryError, match="not of the current recipe"):
            sent_prompts(made, run.store, "2222222")
        with pytest.raises(QueryError, match="no document and no chat"):
            sent_prompts(made, run.store, "b2:3333333")


def test_the_door_reads_the_recipe_that_the_run_keeps(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        generated(run, FakeEngine(prose))
        doc_id = str(run.store.rows("SELECT doc_id FROM documents ORDER BY 1")[0]["doc_id"])
        [(title, messages)] = corpus.sent_prompts(run.store.root, doc_id)
    assert title == "document"
    assert messages[-1].role == "user"
