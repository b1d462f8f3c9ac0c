"""What the report shows besides: diversity, differences, scores, targets, what is out of date, two runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from fakes.rows import row
from hypothesis import given
from hypothesis import strategies as st

from corpus.inspect.diversity import measure_diversity
from corpus.inspect.look import Look
from corpus.inspect.report import render_report
from corpus.inspect.report_rows import scores
from corpus.inspect.report_texts import pairs, sample_documents
from corpus.inspect.sql import run_sql
from corpus.inspect.word_diff import MAX_WORDS, word_diff
from corpus.store import open_writer

WORDS = st.lists(st.sampled_from(["one", "two", "three", "four", "five", "six"]), max_size=60)


def test_measures_of_diversity_are_those_counted_by_hand() -> None:
    found = measure_diversity(["the cat sat here today", "The cat sat here, again!", "a dog"])
    assert found is not None
    assert (found.num_texts, found.num_words) == (3, 12)
    assert found.distinct_1 == 8 / 12
    assert found.distinct_2 == 6 / 9
    assert found.openings == (("the cat sat here", 2),)
    assert measure_diversity(["", "..."]) is None


def test_texts_that_repeat_compress_more_and_are_less_distinct() -> None:
    varied = measure_diversity([f"w{n} x{n * 7} y{n * 13} z{n * 31}" for n in range(200)])
    same = measure_diversity(["the same few words again"] * 200)
    assert varied is not None
    assert same is not None
    assert same.compression_ratio > 4 * varied.compression_ratio
    assert same.distinct_2 < 0.05 < varied.distinct_2


@given(WORDS, WORDS)
def test_a_difference_holds_every_word_that_differs(first: list[str], second: list[str]) -> None:
    pieces = word_diff(" ".join(first), " ".join(second))
    both = sum(len(piece.text.split()) for piece in pieces if piece.kind == "both")
    skipped = sum(int(piece.text.split()[1]) for piece in pieces if piece.kind == "skipped")
    for kind, words in (("first", first), ("second", second)):
        own = sum(len(piece.text.split()) for piece in pieces if piece.kind == kind)
        assert own + both + skipped == len(words)


def test_a_difference_of_long_texts_is_bounded() -> None:
    assert len(word_diff("a b " * 5 * MAX_WORDS, "b c " * 5 * MAX_WORDS)) < 3 * MAX_WORDS


def test_a_near_duplicate_is_shown_with_what_it_was_matched_with(run: Path) -> None:
    with Look(run) as look:
        [pair] = pairs(look)
    assert pair["jaccard"] == 0.86
    assert pair["members"] == 2


def test_scores_are_counted_by_what_their_filter_decided(run: Path) -> None:
    with Look(run) as look:
        [score] = [one for one in scores(look) if one["scorer"] == "length"]
        [counted] = look.rows(
            "SELECT count(*) FILTER (outcome = 'drop') AS dropped, count(*) AS rows FROM verdicts "
            "WHERE filter = 'length'"
        )
    assert (score["rows"], score["dropped"]) == (counted["rows"], counted["dropped"])


def test_samples_show_what_was_kept_and_what_was_not_with_their_verdicts(run: Path) -> None:
    with Look(run) as look:
        samples = sample_documents(look)
        kept = {one["doc_id"] for one in look.rows("SELECT doc_id FROM curated")}
    assert {one["is_curated"] for one in samples} == {True, False}
    assert all((one["doc_id"] in kept) == one["is_curated"] for one in samples)
    assert any("too short" in str(one["verdicts"]) for one in samples if not one["is_curated"])
    assert all(one["clauses"] and one["idea"] for one in samples if one["source"] is None)


def with_mix(run: Path, folder: Path, data_hash: str) -> Path:
    """A copy of the run with a recipe, and a manifest of the mix that its stage reads."""
    shutil.copytree(run, folder)
    (folder / "shards" / "docs").mkdir(parents=True)
    part = {"set": "generated", "genre": None, "target_share": 1.0, "target_tokens": 2500, "available_tokens": 2000,
            "tokens": 2000, "rows": 20}  # fmt: skip
    (folder / "shards" / "docs" / "manifest.json").write_text(json.dumps({"data_hash": data_hash, "parts": [part]}))
    (folder / "recipe.yaml").write_text(
        "arms: {base: [], midtrain: [midtrain]}\ntrain: {stages: {midtrain: {data: docs}}}\n"
    )
    with open_writer(folder) as store:
        train = store.writer("train")
        train.append({"stages": [row("stages", chain="midtrain", seed=0, stage="midtrain", data_hash="b2:then",
                                     checkpoint="c", stage_hash="stage-2")]})  # fmt: skip
        train.set_current("stages", {"midtrain/seed-0": "stage-2"})
    return folder


def test_an_arm_that_was_trained_on_another_mix_is_marked(run: Path, tmp_path: Path) -> None:
    for name, data_hash, is_current in (("same", "b2:then", True), ("other", "b2:now", False)):
        folder = with_mix(run, tmp_path / name, data_hash)
        arms = {one["arm"]: one["is_of_current_data"] for one in run_sql(folder, "arms").table.to_pylist()}
        assert arms == {"base": None, "midtrain": is_current}
        assert [one["is_of_current_data"] for one in run_sql(folder, "stages").table.to_pylist()] == [is_current]
        html = render_report(folder, [{"metric": "m", "arm": "midtrain", "value": 1.0, "low": 0.5, "high": 1.5}])
        assert ("another mix" in html) is not is_current


def test_a_mix_that_is_short_of_its_target_says_by_how_much(run: Path) -> None:
    parts = run_sql(run, "mix_against_target").table.to_pylist()
    assert {(part["short_tokens"], part["share"], part["target_share"]) for part in parts} == {(500, 1.0, 1.0)}


def test_rows_of_a_mix_that_are_no_longer_curated_are_counted(run: Path) -> None:
    rows = run_sql(run, "mix_contents").table.to_pylist()
    [counted] = run_sql(
        run,
        "SELECT count(*) AS n FROM mixes WHERE doc_id NOT IN (SELECT doc_id FROM curated) "
        "AND doc_id NOT IN (SELECT chat_id FROM curated_chats)",
    ).table.to_pylist()
    assert sum(one["no_longer_curated"] for one in rows) == counted["n"] > 0


def test_two_runs_stand_side_by_side(run: Path, empty_run: Path, tmp_path: Path) -> None:
    arms = [{"metric": "m", "arm": "base", "value": 1.5}]
    html = render_report(run, arms, (run, [{"metric": "m", "arm": "base", "value": 2.5}]))
    assert "Beside filled" in html
    for number, name in enumerate(("this run", "filled")):
        assert f'<i class="line series-{number}"></i>{name}</span>' in html
    assert ">1.5<" in html
    assert ">2.5<" in html
    assert "Where coverage differs most" not in html
    assert "Where coverage differs most" in render_report(run, arms, (empty_run, []))
    assert "Beside filled" in render_report(empty_run, [], (run, arms))


def test_the_report_says_what_was_kept_of_each_set_and_what_each_classifier_is_worth(run: Path) -> None:
    page = render_report(run, [])
    for name in ("tokens_by_set", "classifiers"):
        for one in run_sql(run, name).table.to_pylist():
            assert f">{one.get('set') or one['classifier']}</td>" in page
    assert "shuffled" in page
