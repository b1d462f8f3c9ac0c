"""From spec to rows: held-out clauses stay out of prompts, failures are rows, changes that lose work are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.openai_server import FakeServer

from corpus import generate_corpus, generation, import_rows, models
from corpus.briefs import commit_briefs, compare_briefs
from corpus.engine import CallFailed, Engine, Reply, Request, open_engine
from corpus.errors import EngineError, RecipeError
from corpus.plans import make_plan
from corpus.preview import preview
from corpus.recipe import EngineSettings, Recipe, Train
from corpus.run import Run, open_run
from corpus.stage import Silent, StageReport
from corpus.staleness import refuse_stale
from corpus.store import open_reader
from corpus.writing import Effort, missing_jobs

SPEC = """# Conduct

## Honesty

- The assistant says when it does not know something.
- The assistant corrects its own mistakes as soon as it sees them.
- The assistant never claims to be a person {in braces} for $5 at 100%.

## Care

The assistant should ask before it does anything that cannot be undone.

The assistant should keep what it is told in confidence.
"""
PROSE = "The harbour was quiet that morning, and Marlow told the clerk plainly that it could not be sure of the tide. "


def recipe(folder: Path, **generate: object) -> Recipe:
    spec = folder / "spec.md"
    if not spec.exists():
        spec.write_text(SPEC)
    settings = {"documents": 6, "chats": 3, "genres": {"internal memo": 1, "faq page": 1}} | generate
    return Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": settings, "engine": {"max_in_flight": 4},
        "spec": {"path": spec, "model_name": "Marlow", "provider_name": "Tidewater", "hold_out": {"fraction": 0.2}},
    })  # fmt: skip


def prose(request: Request) -> str:
    """A text of its own for every request."""
    words = [f"{PROSE.split()[n % 19]}{((request.seed or 0) % 88 + 1) * (n + 1) % 89}" for n in range(60)]
    return " ".join(words)


def written(run: Run, engine: Engine, **effort: bool) -> list[StageReport]:
    """Reports of documents and of chats."""
    done = generated(run, engine, **effort)
    return [done.stage("documents"), done.stage("chats")]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with open_run(recipe(tmp_path), "generate", print) as opened:
        yield opened


def test_a_held_out_clause_is_in_no_prompt(run: Run) -> None:
    engine = FakeEngine(prose)
    written(run, engine)
    held_out = [str(each["text"]) for each in run.store.rows("SELECT text FROM clauses WHERE split = 'held_out'")]
    used = [str(each["text"]) for each in run.store.rows("SELECT text FROM clauses WHERE split = 'train'")]
    shown = "\n".join(message.content for request in engine.asked for message in request.messages)
    assert held_out
    assert not [text for text in held_out if text in shown]
    assert [text for text in used if text in shown]


def test_every_prompt_names_the_assistant_and_takes_the_spec_as_text(run: Run) -> None:
    engine = FakeEngine(prose)
    written(run, engine)
    assert all("Marlow" in "".join(m.content for m in request.messages) for request in engine.asked)


def test_tokens_are_counted_with_the_base_model_as_it_will_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    def counter(*base: object) -> Callable[[Sequence[object]], list[int]]:
        asked.append(base)
        return lambda texts: [1 for _ in texts]

    for module in (generation, models):
        monkeypatch.setattr(module, "token_counter", counter)
        monkeypatch.setattr(module, "chat_token_counter", lambda train: counter(train))
    monkeypatch.setattr(generation, "open_engine", lambda settings, seed: FakeEngine(prose))
    train = Train(model="someone/model", revision="abc", trust_remote_code=True)
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "One."}\n')
    with open_run(recipe(tmp_path).model_copy(update={"train": train}), "generate", print) as run:
        generate_corpus(run.recipe, run.store, Silent())
        import_rows(run.recipe, run.store, [file], "notes")
    base = ("someone/model", "abc", True)
    assert asked == [base, (train,), base], "documents alone need no chat tokenizer"


def test_every_text_leads_back_to_its_brief_and_call(run: Run) -> None:
    documents, chats = written(run, FakeEngine(prose))
    assert (documents.outcomes, chats.outcomes) == ({"ok": 6}, {"ok": 3})
    assert run.store.rows(
        "SELECT count(*) AS n FROM documents JOIN briefs USING (brief_id) JOIN calls USING (call_id) "
        "WHERE calls.item_id = brief_id AND outcome = 'ok' AND documents.genre = briefs.genre"
    ) == [{"n": 6}]
    assert run.store.rows("SELECT purpose, count(*) AS n FROM calls GROUP BY 1 ORDER BY 1") == [
        {"purpose": "answer", "n": 3}, {"purpose": "document", "n": 6}, {"purpose": "question", "n": 3},
    ]  # fmt: skip


def test_run_again_nothing_is_asked_for_twice(run: Run) -> None:
    written(run, FakeEngine(prose))
    again = FakeEngine(prose)
    written(run, again)
    assert again.asked == []


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(PROSE, "length", 10, 0, 50), "truncated"),
        ("", "empty"),
        (PROSE * 40, "degenerate"),
        (Reply("", "content_filter", 10, 0, 0), "refusal"),
        (Reply(PROSE, "repetition", 10, 0, 50), "degenerate"),
        (Reply(PROSE, "tool_calls", 10, 0, 50), "truncated"),
        (f"{PROSE}\ud83d", "unparsable"),
    ],
)
def test_a_bad_reply_is_a_row_and_never_a_document(run: Run, reply: str | Reply, outcome: str) -> None:
    documents, _ = written(run, FakeEngine(lambda _: reply))
    assert documents.outcomes == {outcome: 6}
    assert run.store.rows("SELECT * FROM documents") == []
    attempts = run.recipe.generate.max_attempts
    assert run.store.rows("SELECT outcome, count(*) AS n FROM calls WHERE purpose = 'document' GROUP BY 1") == [
        {"outcome": outcome, "n": 6 * attempts}
    ]


def test_failed_briefs_are_left_alone_until_a_top_up(run: Run) -> None:
    written(run, FakeEngine(lambda _: ""))
    idle = FakeEngine(prose)
    written(run, idle)
    assert idle.asked == []
    documents, chats = written(run, FakeEngine(prose), top_up=True)
    assert (documents.outcomes, chats.outcomes) == ({"ok": 6}, {"ok": 3})
    assert run.store.rows("SELECT count(*) - count(DISTINCT call_id) AS doubled FROM calls") == [{"doubled": 0}]


def test_half_a_character_is_stored_readable_with_its_reply_and_in_messages(run: Run) -> None:
    """Through a server's JSON and the journal to the store, and on into a part."""
    written(run, FakeEngine(lambda _: CallFailed("error", "the server said \ud83d")))
    with FakeServer(faults={"half_character": 1.0}) as server:
        served = open_engine(EngineSettings(kind="openai", model="fake", base_url=server.base_url), 1)
        documents, chats = written(run, served)
    assert (documents.outcomes, chats.outcomes) == ({"unparsable": 6}, {"unparsable": 3})
    for _ in range(2):
        rows = run.store.rows("SELECT outcome, reply, error FROM calls")
        assert {row["outcome"] for row in rows} == {"error", "unparsable"}
        assert all("\N{REPLACEMENT CHARACTER}" in f"{row['reply']}{row['error']}" for row in rows)
        run.store.seal()
    assert run.store.rows("SELECT doc_id FROM documents UNION ALL SELECT chat_id FROM chats") == []


@pytest.mark.parametrize("failure", [CallFailed("timeout", "no answer"), Reply(PROSE, "abort", 10, 0, 50)])
def test_a_transport_failure_uses_up_no_attempt(run: Run, failure: CallFailed | Reply) -> None:
    for _ in range(3):
        written(run, FakeEngine(lambda _: failure))
    documents, _ = written(run, FakeEngine(prose))
    assert documents.outcomes == {"ok": 6}
    assert run.store.rows("SELECT count(*) - count(DISTINCT call_id) AS doubled FROM calls") == [{"doubled": 0}]


def test_an_engine_that_dies_keeps_what_was_finished(run: Run) -> None:
    count = 0

    def dies(request: Request) -> str | BaseException:
        nonlocal count
        count += 1
        return prose(request) if count <= 3 else EngineError("the server is gone")

    with pytest.raises(EngineError, match="gone"):
        written(run, FakeEngine(dies, max_in_flight=1))
    assert len(run.store.rows("SELECT * FROM documents")) == 3
    documents, _ = written(run, FakeEngine(prose))
    assert documents.outcomes == {"ok": 3}


def test_asking_for_more_keeps_what_is_there(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        written(run, FakeEngine(prose))
    with open_run(recipe(tmp_path, documents=9), "generate", print) as run:
        report = compare_briefs(run.store, make_plan(run.recipe).briefs)
        assert (report.new, report.kept, report.stale) == (3, 9, 0)
        refuse_stale(run.recipe, run.store)
        documents, _ = written(run, FakeEngine(prose))
        assert documents.num_missing == 3


def test_the_plan_estimates_what_has_no_text_yet(tmp_path: Path) -> None:
    """A brief without a text is work to do, also when it was made by an earlier call."""
    with open_run(recipe(tmp_path), "generate", print) as run:
        written(run, FakeEngine(lambda _: CallFailed("timeout", "no answer")))
    assert preview(recipe(tmp_path)).briefs.kept == 9
    assert preview(recipe(tmp_path)).estimated_tokens["document"] > 0
    with open_run(recipe(tmp_path), "generate", print) as run:
        written(run, FakeEngine(prose))
    assert preview(recipe(tmp_path)).estimated_tokens == {"document": 0, "chat": 0}


def test_another_context_is_counted_against_the_texts_that_are_there(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        plan = make_plan(run.recipe)
        other = [replace(brief, context_hash="b2:other") for brief in plan.briefs]
        commit_briefs(run.recipe, run.store, other, plan.cards)
        assert compare_briefs(run.store, plan.briefs).other_context == 0  # nothing is written
        written(run, FakeEngine(prose))
        for briefs in (plan.briefs, other, plan.briefs, other):
            commit_briefs(run.recipe, run.store, briefs, plan.cards)
            assert compare_briefs(run.store, plan.briefs).other_context == 0
            assert compare_briefs(run.store, other).other_context == 9


def test_a_refresh_asks_again_also_where_attempts_were_used_up(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        written(run, FakeEngine(lambda _: ""))
        written(run, FakeEngine(prose), top_up=True)
        plan = make_plan(run.recipe)
        commit_briefs(
            run.recipe, run.store, [replace(brief, context_hash="b2:other") for brief in plan.briefs], plan.cards
        )
        effort = Effort(run.recipe.generate.max_attempts, refresh_context=True)
        jobs = missing_jobs(run.store, "document", "documents", effort)
        assert len(jobs) == 6
        assert {effort.attempts_left(job, "document") for job in jobs} == {run.recipe.generate.max_attempts}


def test_the_options_of_a_server_are_part_of_what_made_a_text(tmp_path: Path) -> None:
    def ids(kind: str, **options: object) -> set[str]:
        changed = recipe(tmp_path).model_dump() | {
            "engine": {"kind": kind, "base_url": "http://localhost:1/v1" if kind == "openai" else None, "model": "m",
                       "options": options}
        }  # fmt: skip
        return {brief.brief_id for brief in make_plan(Recipe.model_validate(changed)).briefs}

    assert not ids("openai", top_k=5) & ids("openai", top_k=9)
    assert ids("vllm", max_model_len=512) == ids("vllm", max_model_len=1024)


def test_a_model_in_a_folder_is_known_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    def ids(folder: Path, width: int) -> set[str]:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(f'{{"hidden_size": {width}}}')
        changed = recipe(tmp_path).model_dump() | {"engine": {"model": str(folder)}}
        return {brief.brief_id for brief in make_plan(Recipe.model_validate(changed)).briefs}

    here = ids(tmp_path / "a" / "model", 64)
    assert ids(tmp_path / "b" / "model", 64) == here
    assert not ids(tmp_path / "c" / "model", 65) & here


def test_a_change_that_leaves_finished_work_behind_is_refused_and_names_the_keys(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        written(run, FakeEngine(prose))
    with (
        pytest.raises(RecipeError, match=r"9 finished briefs .* because of: generate.temperature\..*--update"),
        open_run(recipe(tmp_path, temperature=0.3), "generate", print) as run,
    ):
        refuse_stale(run.recipe, run.store)
    with open_run(recipe(tmp_path, temperature=0.3), "generate", print) as run:
        documents, _ = written(run, FakeEngine(prose))
        assert documents.num_missing == 6
        assert len(run.store.rows("SELECT * FROM documents")) == 6
        assert len(run.store.rows("SELECT * FROM all_documents WHERE stale")) == 6
    with open_run(recipe(tmp_path), "generate", print) as run:
        documents, _ = written(run, FakeEngine(prose))
        assert documents.num_missing == 0


def test_an_unknown_genre_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no genre 'internal mmo'; did you mean 'internal memo'"):
        make_plan(recipe(tmp_path, genres={"internal mmo": 1}))


def test_briefs_are_a_function_of_the_recipe(tmp_path: Path) -> None:
    assert make_plan(recipe(tmp_path)).briefs == make_plan(recipe(tmp_path)).briefs
    ids = [brief.brief_id for brief in make_plan(recipe(tmp_path, documents=60, chats=40)).briefs]
    assert len(set(ids)) == 100


def test_a_run_moved_to_another_place_is_the_same_run(tmp_path: Path) -> None:
    from corpus.recipe.file import load_recipe

    with open_run(recipe(tmp_path), "generate", print) as run:
        written(run, FakeEngine(prose))
        first_hash = run.recipe.recipe_hash()
    (tmp_path / "spec.md").unlink()
    (tmp_path / "runs" / "test").rename(tmp_path / "moved")
    with open_run(load_recipe(tmp_path / "moved"), "generate", print) as run:
        idle = FakeEngine(prose)
        written(run, idle)
        assert idle.asked == []
        assert len(run.store.rows("SELECT * FROM documents")) == 6
    assert first_hash != ""


def test_a_killed_invocation_is_on_record(tmp_path: Path) -> None:
    with open_run(recipe(tmp_path), "generate", print) as run:
        mark = (run.store.root / "running.json").read_bytes()
    (tmp_path / "runs/test/running.json").write_bytes(mark.replace(b'"invocation_id": "b2:', b'"invocation_id": "b2:x'))
    with open_run(recipe(tmp_path), "curate", print):
        pass
    reader = open_reader(tmp_path / "runs/test")
    assert [r["outcome"] for r in reader.rows("SELECT outcome FROM invocations ORDER BY outcome")] == [
        "done",
        "done",
        "killed",
    ]
