from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.store.parts import write_durably
from corpus.store.schema import TABLES
from filters import curate_corpus
from filters.rows import read_texts
from filters.signs.leaks import Leaks

Prose = Callable[..., str]


def fill(run, make_prose: Prose) -> None:
    run.add_documents({f"d{index}": make_prose(index) for index in range(4)})
    run.add_documents(
        {"copy": make_prose(0), "short": "too few words", "leak": "Here is the document. " + make_prose(9)}
    )
    run.add_chats({"chat": [("user", "What now?"), ("assistant", "Wait for it.")]})


def test_curated_holds_what_every_filter_keeps_and_what_survives_its_cluster(run, make_prose: Prose) -> None:
    fill(run, make_prose)
    report = curate_corpus(run.recipe(), run.store, run.progress)
    survivor = "copy"  # of equal genre and clauses, the first id
    assert run.column("SELECT doc_id FROM curated ORDER BY 1") == [survivor, "d1", "d2", "d3"]
    assert run.column("SELECT chat_id FROM curated_chats") == ["chat"]
    assert report.num_rows == {"documents": 7, "chats": 1}
    assert report.num_kept == {"documents": 4, "chats": 1}
    assert report.num_duplicates == {"exact": 1}
    assert report.outcomes["length", "drop", "too short"] == 1
    assert report.outcomes["leaks", "drop", "planning"] == 1
    assert report.outcomes["rules", "keep", None] == 8


def test_curating_again_writes_nothing_but_what_is_current(run, make_prose: Prose) -> None:
    fill(run, make_prose)
    first = curate_corpus(run.recipe(), run.store, run.progress)
    before = run.files()
    again = curate_corpus(run.recipe(), run.store, run.progress)
    changed = {path for path, when in run.files().items() if before.get(path) != when}
    assert changed <= {"current/filters.json"}
    assert (again.num_scored, first.num_scored) == (0, 8)
    assert again.outcomes == first.outcomes


def test_only_new_rows_are_scored(run, make_prose: Prose) -> None:
    fill(run, make_prose)
    curate_corpus(run.recipe(), run.store, run.progress)
    run.add_documents({"new": make_prose(50)})
    assert curate_corpus(run.recipe(), run.store, run.progress).num_scored == 1
    assert "new" in run.column("SELECT doc_id FROM curated")


def test_a_moved_threshold_reads_no_text(run, make_prose: Prose, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(run, make_prose)
    curate_corpus(run.recipe(), run.store, run.progress)
    monkeypatch.setattr("filters.judging.stream_rows", None)
    recipe = run.recipe(curate={"filters": [{"length": {"min_words": 3}}, "rules", "leaks"]})
    report = curate_corpus(recipe, run.store, run.progress)
    assert report.num_scored == 0
    assert "short" in run.column("SELECT doc_id FROM curated")
    # and back again: the verdicts of before are still there
    curate_corpus(run.recipe(), run.store, run.progress)
    assert "short" not in run.column("SELECT doc_id FROM curated")


def test_a_scorers_new_version_scores_again(run, make_prose: Prose, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(run, make_prose)
    curate_corpus(run.recipe(), run.store, run.progress)
    monkeypatch.setattr(Leaks, "version", Leaks.version + 1)
    assert curate_corpus(run.recipe(), run.store, run.progress).num_scored == 8
    scored = run.store.rows("SELECT scorer, count(DISTINCT scorer_hash) AS num FROM all_scores GROUP BY ALL ORDER BY 1")
    assert scored == [{"scorer": "leaks", "num": 2}, {"scorer": "length", "num": 1}, {"scorer": "rules", "num": 1}]
    assert run.column("SELECT count(DISTINCT scorer_hash) FROM scores") == [3]


def test_a_kept_row_never_gives_way_to_a_dropped_one(run, make_prose: Prose) -> None:
    """`a` would survive `b`, but it is dropped itself."""
    run.add_documents({"a": "Here is the draft. " + make_prose(1, 300), "b": make_prose(1, 300)})
    curate_corpus(run.recipe(), run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == ["b"]
    keeping = run.recipe(curate={"filters": ["length"]})
    curate_corpus(keeping, run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == ["a"]


def test_duplicates_are_found_across_sets_but_not_between_documents_and_chats(run, make_prose: Prose) -> None:
    run.add_documents({"here": make_prose(1)})
    run.add_documents({"there": make_prose(1)}, set="books")
    run.add_chats({"chat": [("assistant", make_prose(1))]})
    curate_corpus(run.recipe(), run.store, run.progress)
    assert run.column("SELECT doc_id FROM duplicates ORDER BY 1") == ["here", "there"]


def test_chats_are_duplicates_by_all_their_turns(run, make_prose: Prose) -> None:
    answer = ("assistant", make_prose(1))
    run.add_chats(
        {"a": [("user", "Why?"), answer], "b": [("user", "Why?"), answer], "c": [("user", make_prose(2)), answer]}
    )
    curate_corpus(run.recipe(), run.store, run.progress)
    assert run.column("SELECT doc_id FROM duplicates ORDER BY 1") == ["a", "b"]


@pytest.mark.parametrize("named_by", ["both", "one", "nobody"])
def test_a_chat_and_its_twin_with_reasoning_both_stay(run, make_prose: Prose, named_by: str) -> None:
    """The negative control is that nobody says that they are twins: then one of the two goes."""
    question, answer = ("user", make_prose(1, 60)), make_prose(2, 120)
    thought = f"<think>{make_prose(3, 10)}</think>\n\n"
    run.add_chats({"plain": [question, ("assistant", answer)]}, twin_id=None if named_by == "nobody" else "thinking")
    run.add_chats(
        {"thinking": [question, ("assistant", thought + answer)]},
        reasoning=True,
        twin_id="plain" if named_by == "both" else None,
    )
    curate_corpus(run.recipe(), run.store, run.progress)
    assert len(run.column("SELECT chat_id FROM curated_chats")) == (1 if named_by == "nobody" else 2)


def test_without_duplicates_in_the_recipe_every_kept_row_is_curated(run, make_prose: Prose) -> None:
    fill(run, make_prose)
    curate_corpus(run.recipe(curate={"duplicates": None}), run.store, run.progress)
    assert {"d0", "copy"} <= set(run.column("SELECT doc_id FROM curated"))


def test_without_filters_every_row_is_kept(run) -> None:
    run.add_documents({"a": "x"})
    curate_corpus(run.recipe(curate={"filters": []}), run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == ["a"]


def test_a_run_without_rows_is_curated_too(run) -> None:
    report = curate_corpus(run.recipe(), run.store, run.progress)
    assert report.num_kept == {"documents": 0, "chats": 0}
    assert report.classifiers == {}


def test_what_was_cut_off_before_it_became_current_is_found_again(run, make_prose: Prose, monkeypatch) -> None:
    fill(run, make_prose)

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("corpus.store.store.Writer.set_current_together", cut_off)
        with pytest.raises(KeyboardInterrupt):
            curate_corpus(run.recipe(), run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == []
    before = run.files()
    report = curate_corpus(run.recipe(), run.store, run.progress)
    assert report.num_scored == 0
    new = {path for path in run.files() if path not in before and not path.startswith("recurring/")}
    assert new == {"current/filters.json"}
    assert report.num_kept == {"documents": 4, "chats": 1}


def test_the_prompts_words_come_with_the_row(run, make_prose: Prose) -> None:
    """A generated document that repeats its brief's idea is an echo, an imported one with the same text is not."""
    idea = "A night nurse writes to her team about the evening when the assistant would not guess a dose"
    brief: dict[str, object] = dict.fromkeys(TABLES["briefs"].schema.names)
    brief |= {"brief_id": "b", "kind": "document", "genre": "memo", "idea": idea, "clause_ids": [], "pass_hash": "p"}
    brief |= {"context_hash": "c"}
    writer = run.store.writer("corpus")
    writer.append({"briefs": [brief]})
    writer.set_current("briefs", {"briefs": "p"})
    written = {"set": "generated", "brief_id": "b"} | (
        {"context_hash": "c"} if "context_hash" in TABLES["documents"].schema.names else {}
    )
    run.add_documents({"ours": f"{idea}. {make_prose(1)}"}, **written)
    run.add_documents({"theirs": f"{idea}. {make_prose(2)}"})
    fixed = "Every paragraph is about Qwen and the principle. Every paragraph is about "
    run.add_documents({"prompt": f"{fixed} {make_prose(3)}"}, **written)
    curate_corpus(run.recipe(), run.store, run.progress)
    echo = {
        row["doc_id"]: row["value"] for row in run.store.rows("SELECT doc_id, value FROM scores WHERE name = 'echo'")
    }
    assert echo == {"ours": 18, "theirs": 0, "prompt": 4}


def test_a_document_whose_second_version_is_lost_is_judged_before_it_is_kept(run, make_prose: Prose) -> None:
    run.add_documents({"first": "too short"})
    run.store.seal()
    run.add_documents({"second": make_prose(1)}, parent_id="first")
    run.store.seal()
    curate_corpus(run.recipe(), run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == ["second"]
    assert run.column("SELECT doc_id FROM verdicts WHERE doc_id = 'first'") == []
    max((run.store.root / "documents").glob("*.parquet")).unlink()
    curate_corpus(run.recipe(), run.store, run.progress)
    assert run.column("SELECT outcome FROM verdicts WHERE doc_id = 'first' AND filter = 'length'") == ["drop"]
    assert run.column("SELECT doc_id FROM curated") == []


def test_a_reader_sees_the_verdicts_and_the_duplicates_of_one_curation(
    run, make_prose: Prose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`b` copies `a`. The second recipe keeps neither, so with its duplicates and old verdicts both would be there."""
    run.add_documents({"a": make_prose(1, 50), "b": make_prose(1, 50), "c": make_prose(3, 90)})
    curate_corpus(run.recipe(curate={"filters": [{"length": {"min_words": 10}}]}), run.store, run.progress)
    stricter = run.recipe(curate={"filters": [{"length": {"min_words": 70}}]})
    seen = []
    write = write_durably

    def look_around(path: Path, data: bytes) -> None:
        write(path, data)
        seen.append(tuple(run.column("SELECT doc_id FROM curated ORDER BY 1")))

    monkeypatch.setattr("corpus.store.parts.write_durably", look_around)
    curate_corpus(stricter, run.store, run.progress)
    assert seen
    assert set(seen) <= {("a", "c"), ("c",)}


def test_blocks_of_any_size_give_the_same_scores_and_verdicts(
    run, make_prose: Prose, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(run, make_prose)
    run.add_documents({f"more{index}": make_prose(index + 100) for index in range(9)})
    everything = "SELECT {} FROM all_{} ORDER BY ALL"
    made = {"scores": "doc_id, scorer, name, value, evidence", "verdicts": "doc_id, filter, outcome, reason"}
    curate_corpus(run.recipe(), run.store, run.progress)
    whole = {table: run.store.rows(everything.format(columns, table)) for table, columns in made.items()}
    for table in made:
        for part in (run.store.root / table).glob("*.parquet"):
            part.unlink()
    monkeypatch.setattr("filters.judging.BLOCK_ROWS", 4)
    monkeypatch.setattr("filters.judging.STREAMED_ROWS", 2)
    monkeypatch.setattr("filters.rows.STREAMED_ROWS", 2)
    curate_corpus(run.recipe(), run.store, run.progress)
    assert {table: run.store.rows(everything.format(columns, table)) for table, columns in made.items()} == whole
    assert len(list((run.store.root / "verdicts").glob("*.parquet"))) > 3


def test_a_stream_answers_from_its_beginning_while_rows_are_written(run, make_prose: Prose) -> None:
    run.add_documents({f"d{index}": make_prose(index) for index in range(5)})
    stream = run.store.batches("SELECT doc_id FROM documents ORDER BY 1", num_rows=2)
    found = next(stream).column(0).to_pylist()
    run.add_documents({"later": make_prose(50)})
    assert run.column("SELECT count(*) FROM documents") == [6]
    found += [row_id for batch in stream for row_id in batch.column(0).to_pylist()]
    assert found == [f"d{index}" for index in range(5)]


def test_a_chat_is_read_with_all_its_turns_and_in_blocks(run, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [("system", "be kind"), ("user", "one?"), ("assistant", "two"), ("user", "three?"), ("assistant", "four")]
    run.add_chats({f"c{number}": [*turns, ("user", str(number)), ("assistant", "five")] for number in range(5)})
    monkeypatch.setattr("filters.rows.READ_ROWS", 2)
    ids = pa.array(["c3", "c0"])
    found = {int(place): text for places, texts in read_texts(run.store, "chats", ids)
             for place, text in zip(places, texts.to_pylist(), strict=True)}  # fmt: skip
    asked = "be kind\n\none?\n\nthree?\n\n{}\n\ntwo\n\nfour\n\nfive"
    assert found == {0: asked.format(3), 1: asked.format(0)}
