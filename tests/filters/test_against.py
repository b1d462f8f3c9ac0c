"""Who survives besides the rarest: the curated rows of other runs, and what a score says is better."""

from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.errors import DataError, RecipeError, StoreError
from corpus.recipe import Recipe
from corpus.store import open_writer
from filters import curate_corpus
from filters.curate import check_curated

Prose = Callable[..., str]


def recipe_against(run, *others: object, **settings: object) -> Recipe:
    duplicates = {"against": [str(other) for other in others], **settings}
    return run.recipe(curate={"filters": ["length"], "duplicates": duplicates})


def make_other(run, root: Path, texts: dict[str, str]) -> Path:
    with open_writer(root) as store:
        other = type(run)(store)
        other.add_documents(texts)
        curate_corpus(other.recipe(curate={"filters": ["length"]}), store, other.progress)
    return root


def test_rows_give_way_to_the_curated_rows_of_another_run(run, tmp_path: Path, make_prose: Prose) -> None:
    short = "too short to be kept"
    other = make_other(run, tmp_path / "other", {"x": make_prose(1), "y": short, "same": make_prose(5)})
    run.add_documents({"a": make_prose(1), "b": make_prose(2), "short": short, "same": make_prose(5)})
    recipe = recipe_against(run, other)
    report = curate_corpus(recipe, run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == ["b"]
    assert run.column("SELECT survivor_id FROM duplicates ORDER BY doc_id") == ["other:x", "other:same"]
    assert report.num_duplicates == {"exact": 2}
    check_curated(recipe, run.store, "documents")
    before = run.files()
    curate_corpus(recipe, run.store, run.progress)
    assert {name for name, written in run.files().items() if before.get(name) != written} <= {"current/filters.json"}


def test_what_the_other_run_holds_is_part_of_the_pass(run, tmp_path: Path, make_prose: Prose) -> None:
    other = make_other(run, tmp_path / "other", {"x": make_prose(1)})
    run.add_documents({"a": make_prose(3)})
    recipe = recipe_against(run, other)
    curate_corpus(recipe, run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == ["a"]
    make_other(run, other, {"z": make_prose(3)})
    with pytest.raises(DataError, match="out of date"):
        check_curated(recipe, run.store, "documents")
    curate_corpus(recipe, run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == []


def test_a_folder_that_is_no_curated_run_is_refused(run, tmp_path: Path, make_prose: Prose) -> None:
    run.add_documents({"a": make_prose(1)})
    with pytest.raises(StoreError, match=r"there is no run in .*nowhere"):
        curate_corpus(recipe_against(run, tmp_path / "nowhere"), run.store, run.progress)
    with open_writer(tmp_path / "new"):
        pass
    with pytest.raises(DataError, match=r"new was never curated.*specmill curate"):
        curate_corpus(recipe_against(run, tmp_path / "new"), run.store, run.progress)
    with pytest.raises(RecipeError, match="names this run itself"):
        curate_corpus(recipe_against(run, run.store.root), run.store, run.progress)
    other = make_other(run, tmp_path / "other", {})
    again = make_other(run, tmp_path / "more" / "other", {})
    with pytest.raises(RecipeError, match="two runs called other"):
        curate_corpus(recipe_against(run, other, again), run.store, run.progress)


def test_a_run_to_be_held_against_that_is_not_there_is_told_before_any_text_is_read(
    run, make_prose: Prose, tmp_path: Path
) -> None:
    run.add_documents({"a": make_prose(1)})
    with pytest.raises(StoreError, match="there is no run in"):
        curate_corpus(run.recipe(curate={"duplicates": {"against": [str(tmp_path / "none")]}}), run.store, run.progress)
    assert run.column("SELECT doc_id FROM all_scores") == []


def test_a_score_decides_between_equally_rare_rows(run, make_prose: Prose) -> None:
    """The longer of two near-duplicates by `length.words`, though its id comes last."""
    words = make_prose(1, 300).split()
    run.add_documents({"a": " ".join(words[:290]), "b": " ".join(words)})
    curate_corpus(recipe_against(run), run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == ["a"]
    recipe = recipe_against(run, score="length.words")
    curate_corpus(recipe, run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == ["b"]
    check_curated(recipe, run.store, "documents")
    with pytest.raises(RecipeError, match=r"has no judge; there are: length"):
        curate_corpus(recipe_against(run, score="judge.natural"), run.store, run.progress)
