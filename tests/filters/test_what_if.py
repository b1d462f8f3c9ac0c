"""What another threshold would change: exactly what curating with it gives, and nothing is written."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from fakes.engine import FakeEngine
from fakes.rows import row
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import specmill
from corpus.errors import DataError, RecipeError
from corpus.store.schema import TABLES
from filters import curate_corpus, what_if

FILTERS = {
    "length": {"min_words": 40, "max_words": 120},
    "rules": {"max_duplicate_sentence_char_fraction": 0.3},
    "leaks": {},
    "helpful": {
        "positives": "SELECT doc_id FROM documents WHERE set = 'good'",
        "negatives": "SELECT doc_id FROM documents WHERE set = 'bad'",
        "buckets": 1000, "epochs": 2, "min_labels": 5, "learning_rate": 0.1,
    },
}  # fmt: skip


def fill(run, make_prose: Callable[..., str]) -> None:
    rng = random.Random(5)
    for n in range(24):
        text = make_prose(n, rng.randrange(20, 150, 10))
        sentences = text.split(". ")
        text += " " + ". ".join(sentences[: rng.randrange(len(sentences))])
        genre = "memo" if n % 3 else "tale"
        run.add_documents({f"d{n:02d}": text}, set="good" if n % 2 else "bad", genre=genre)
        if n % 4 == 0:  # a near copy of another length, in another genre
            run.add_documents({f"copy{n:02d}": f"{text} again"}, genre="letter")
    run.add_documents({"parent": make_prose(800), "child": make_prose(801)}, genre="memo")
    run.add_documents({"rewrite": make_prose(802)}, genre="memo", parent_id="parent")
    for n in range(6):
        answer = make_prose(900 + n, 10 * (n + 1))
        run.add_chats({f"chat{n}": [("user", f"Question {n}?"), ("assistant", answer)]}, question_kind="plain")


def recipe(run, **changed: dict[str, object]):
    filters = []
    for name, fixed in FILTERS.items():
        all_of_it = {**fixed, **changed.get(name, {})}
        filters.append({"classifier": {"name": name, **all_of_it}} if name == "helpful" else {name: all_of_it})
    return run.recipe(curate={"filters": filters, "unjudged": "drop"})


def curated(run) -> dict[str, tuple[set[object], int]]:
    found = {}
    for kind, view, key in (("documents", "curated", "doc_id"), ("chats", "curated_chats", "chat_id")):
        rows = run.store.rows(f"SELECT {key} AS id, num_tokens FROM {view}")
        found[kind] = ({each["id"] for each in rows}, sum(each["num_tokens"] for each in rows))
    return found


def verdicts(run) -> dict[tuple[object, object], object]:
    return {(each["filter"], each["doc_id"]): each["outcome"] for each in run.store.rows("SELECT * FROM verdicts")}


CHANGES = st.dictionaries(
    st.sampled_from(["length.min_words", "length.max_words", "length.min_answer_words", "helpful.min_probability",
                     "rules.max_duplicate_sentence_char_fraction", "rules.min_zlib_fraction"]),
    st.integers(0, 20), min_size=1, max_size=3,
)  # fmt: skip


REFUSED = {
    "length.min_words": "not of the form filter.setting=value",
    "min_words=3": "not of the form filter.setting=value",
    "lenght.min_words=3": "did you mean 'length'",
    "length.min_word=3": "did you mean 'min_words'",
    "length.min_words=-1": "greater than or equal to 0 (got -1)",
    "length.min_words=[": "not YAML",
    "helpful.epochs=3": "another epochs needs new scores",
    "helpful.positives=SELECT 1": "another positives needs new scores",
    "judge.engine=x": "has no filter 'judge'",
}


def value_of(key: str, step: int) -> float:
    return step / 20 if key.endswith(("fraction", "probability")) else max(1, step * 10)


def test_the_answer_is_what_curating_gives(run, make_prose) -> None:
    fill(run, make_prose)
    curate_corpus(recipe(run), run.store, run.progress)
    state: dict[str, dict[str, object]] = {}
    seen: Counter[str] = Counter()

    @settings(max_examples=5, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(CHANGES)
    def check(steps: dict[str, int]) -> None:
        """Each example goes on from the thresholds of the one before it."""
        values = {key: value_of(key, step) for key, step in steps.items()}
        report = what_if(recipe(run, **state), run.store, [f"{key}={value}" for key, value in values.items()])
        before, now = verdicts(run), curated(run)
        for key, value in values.items():
            name, _, setting = key.partition(".")
            state[name] = {**state.get(name, {}), setting: value}
        curate_corpus(recipe(run, **state), run.store, run.progress)
        after, then = verdicts(run), curated(run)
        assert {kind: (set(each.ids), each.num_tokens) for kind, each in report.now.items()} == now
        assert {kind: (set(each.ids), each.num_tokens) for kind, each in report.then.items()} == then
        flips = Counter((name, before[name, one], after[name, one]) for name, one in before)
        said: Counter[tuple[object, object, object]] = Counter()
        for (name, _, _, was, will), num in report.flips.items():
            said[name, was, will] += num
        assert said == Counter({each: num for each, num in flips.items() if each[1] != each[2]})
        seen.update(f"{was} -> {will}" for _, was, will in said)
        seen["curated"] += now != then

    check()
    assert seen["keep -> drop"] and seen["drop -> keep"] and seen["curated"]


def folder_hash(run) -> str:
    digest = hashlib.sha256()
    for path in sorted(run.store.root.rglob("*")):
        digest.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def test_nothing_is_written_and_no_text_is_scored(run, make_prose, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(run, make_prose)
    curate_corpus(recipe(run), run.store, run.progress)
    before, files = folder_hash(run), run.files()
    for name in ("form.length.Length", "form.rules.Rules", "signs.leaks.Leaks", "learned.classifier.Classifier"):
        monkeypatch.setattr(f"filters.{name}.score", lambda *_: 1 / 0)
    report = what_if(recipe(run), run.store, ["length.min_words=100", "helpful.min_probability=0.9"])
    assert len(report.then["documents"].ids) < len(report.now["documents"].ids)
    assert (folder_hash(run), run.files()) == (before, files)


def test_the_examples_are_those_nearest_the_line_on_both_sides(run, make_prose) -> None:
    fill(run, make_prose)
    curate_corpus(recipe(run), run.store, run.progress)
    report = what_if(recipe(run), run.store, ["length.min_words=75"])
    words = {each["doc_id"]: each["value"] for each in run.store.rows(
        "SELECT doc_id, value FROM scores WHERE scorer = 'length' AND name = 'words'")}  # fmt: skip
    below = sorted((value for value in words.values() if value < 75), reverse=True)[:3]
    above = sorted(value for value in words.values() if value >= 75)[:3]
    of_documents = [each for each in report.examples if each.kind == "documents"]
    assert [each.score for each in of_documents] == [*reversed(below), *above]
    assert all(words[each.id] == each.score for each in of_documents)
    assert {(each.now, each.then) for each in of_documents} == {("keep", "drop"), ("keep", "keep")}
    assert all(each.text and run.column(f"SELECT text FROM documents WHERE doc_id = '{each.id}'")[0].startswith(
        each.text[:20]) for each in of_documents)  # fmt: skip


def test_a_setting_without_a_line_shows_what_changes(run, make_prose) -> None:
    fill(run, make_prose)
    run.add_documents({"tag": make_prose(700, 60) + " <think>"}, genre="memo")
    curate_corpus(recipe(run), run.store, run.progress)
    report = what_if(recipe(run), run.store, ["leaks.rules=[echo]"])
    [example] = report.examples
    assert (example.id, example.score, example.now, example.then) == ("tag", None, "drop", "keep")
    assert dict(report.flips) == {("leaks", "documents", "memo", "drop", "keep"): 1}


def test_what_is_no_threshold_is_refused(run, make_prose) -> None:
    fill(run, make_prose)
    curate_corpus(recipe(run), run.store, run.progress)
    for change, message in REFUSED.items():
        with pytest.raises(RecipeError) as caught:
            what_if(recipe(run), run.store, [change])
        assert message in str(caught.value)


def test_a_run_that_is_not_curated_with_this_recipe_is_refused(run, make_prose) -> None:
    fill(run, make_prose)
    with pytest.raises(DataError, match="curated not yet"):
        what_if(recipe(run), run.store, ["length.min_words=3"])
    curate_corpus(recipe(run), run.store, run.progress)
    with pytest.raises(DataError, match="curated with other settings"):
        what_if(recipe(run, length={"max_words": 99}), run.store, ["length.min_words=3"])


def test_rows_that_the_judge_was_never_asked_about_are_counted(run, make_prose, monkeypatch) -> None:
    clauses = [row("clauses", clause_id="c", ordinal=0, path=[], kind="rule", split="train", text="T", pass_hash="p")]
    writer = run.store.writer("corpus")
    writer.commit("clauses", "p", pa.Table.from_pylist(clauses, schema=TABLES["clauses"].schema))
    writer.set_current("clauses", {"spec": "p"})
    for n in range(8):
        run.add_documents({f"d{n}": make_prose(n, 30 + 10 * n)}, genre="memo", clause_ids=["c"])
    keep = {"reason": "r", "faithful": True, "supported": True, "natural": True, "verdict": "keep"}
    engine = FakeEngine(lambda request: json.dumps(
        keep if len(request.messages[-1].content) % 2 else {**keep, "natural": False, "verdict": "drop"}))  # fmt: skip
    monkeypatch.setattr("filters.judges.judge.open_engine", lambda settings, seed: engine)

    def judged(min_words: int):
        return run.recipe(
            spec={"path": "spec.md", "model_name": "M", "provider_name": "P"},
            engines={"judge": {"kind": "openai", "model": "m", "base_url": "http://a/v1"}},
            curate={"filters": [{"length": {"min_words": min_words}},
                                {"judge": {"engine": "judge", "judged_twice_fraction": 0.0}}]},
        )  # fmt: skip

    curate_corpus(judged(70), run.store, run.progress)
    before = verdicts(run)
    looser = what_if(judged(70), run.store, ["length.min_words=45"])
    assert looser.num_to_ask == 2  # those of 50 and of 60 words
    assert looser.flips["judge", "documents", "memo", "not reached", "unjudged"] == 2
    stricter = what_if(judged(70), run.store, ["length.min_words=85"])
    assert stricter.num_to_ask == 0
    curate_corpus(judged(85), run.store, run.progress)
    assert {("documents", one) for one in run.column("SELECT doc_id FROM curated")} == {
        ("documents", one) for one in stricter.then["documents"].ids
    }
    assert before != verdicts(run)


def test_a_filter_that_compares_rows_is_not_guessed_at(run, make_prose, monkeypatch) -> None:
    fill(run, make_prose)
    rng = np.random.default_rng(0)
    monkeypatch.setattr("filters.meaning.similar.embedding_folder", lambda _: run.store.root)
    monkeypatch.setattr(
        "filters.meaning.similar_questions.embed_new", lambda texts, *_: rng.normal(size=(len(texts), 2))
    )
    given = run.recipe(curate={"filters": ["length", "similar_questions"]})
    curate_corpus(given, run.store, run.progress)
    assert what_if(given, run.store, ["length.min_words=60"]).now  # no chat is concerned
    assert what_if(given, run.store, ["similar_questions.min_cosine=0.5"]).changes[0].then == 0.5
    with pytest.raises(RecipeError, match="other chats would reach similar_questions"):
        what_if(given, run.store, ["length.min_answer_words=35"])
    with pytest.raises(RecipeError, match="another model needs new scores"):
        what_if(given, run.store, ["similar_questions.model=./other"])


def test_the_command_shows_it_and_trains_one_classifier(tmp_path) -> None:
    rng = random.Random(0)
    lines = [
        {"text": " ".join(rng.choices(["fine", "good", "kind"] if n % 2 else ["poor", "bad", "rude"], k=60)
                          + [f"w{rng.randrange(99)}" for _ in range(40)]),
         "genre": "memo" if n % 2 else "tale"}
        for n in range(60)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "recipe.yaml").write_text(
        f"name: r\nruns: {tmp_path}\ncurate:\n  duplicates: null\n  filters:\n    - length\n    - classifier:\n"
        "        name: helpful\n        buckets: 1000\n"
        "        positives: SELECT doc_id FROM documents WHERE genre = 'memo'\n"
        "        negatives: SELECT doc_id FROM documents WHERE genre = 'tale'\n"
    )

    def ask(*arguments):
        return CliRunner().invoke(specmill.app, list(arguments), env={"COLUMNS": "140"})

    file = str(tmp_path / "recipe.yaml")
    assert ask("import", file, str(tmp_path / "rows.jsonl"), "--as", "web").exit_code == 0
    trained = ask("curate", file, "--train-classifier", "helpful")
    assert trained.exit_code == 0, trained.output
    assert {"AUC", "shuffled"} <= set(trained.output.split()), "a heading of numbers stands in two lines"
    assert ask("curate", file).exit_code == 0
    shown = ask("curate", file, "--what-if", "length.min_words=101")
    assert shown.exit_code == 0, shown.output
    assert "keep -> drop" in shown.output
    assert isinstance(ask("curate", file, "--train-classifier", "helpfull").exception, RecipeError)
    assert "helpful" in ask("sql", file, "classifiers").output
    replayed = ask(
        "sql", file, "threshold_replay", "-p", "scorer=helpful", "-p", "name=probability", "-p", "at_least=0.5"
    )
    assert "curated_then" in cast("str", replayed.output)


def test_rows_that_no_judge_can_be_asked_about_are_kept_as_curation_keeps_them(run, make_prose, monkeypatch) -> None:
    engine = FakeEngine(lambda request: pytest.fail("an imported row has no clause to judge by"))
    monkeypatch.setattr("filters.judges.judge.open_engine", lambda settings, seed: engine)
    run.add_documents({"long": make_prose(1, 80), "short": make_prose(2, 50)})

    def judged(min_words: int):
        return run.recipe(
            spec={"path": "spec.md", "model_name": "M", "provider_name": "P"},
            engines={"judge": {"kind": "openai", "model": "m", "base_url": "http://a/v1"}},
            curate={"unjudged": "drop",
                    "filters": [{"length": {"min_words": min_words}}, {"judge": {"engine": "judge"}}]},
        )  # fmt: skip

    curate_corpus(judged(70), run.store, run.progress)
    looser = what_if(judged(70), run.store, ["length.min_words=40"])
    assert looser.num_to_ask == 0
    curate_corpus(judged(40), run.store, run.progress)
    assert looser.then["documents"].ids == set(run.column("SELECT doc_id FROM curated")) == {"long", "short"}


def test_the_examples_of_a_maximum_have_both_sides_of_a_line_that_many_stand_on(run, make_prose) -> None:
    run.add_documents({f"d{words}{n}": make_prose(n + 10 * words, words) for words in (9, 10, 11) for n in range(8)})
    any_length = run.recipe(curate={"filters": [{"length": {"min_words": 1}}]})
    curate_corpus(any_length, run.store, run.progress)
    report = what_if(any_length, run.store, ["length.max_words=10"])
    assert {one.score for one in report.examples} == {10.0, 11.0}
