from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.recipe import Recipe
from corpus.store.schema import TABLES
from filters import curate_corpus, plan_mix
from filters.mixes.mix_plan import MixPlan

Prose = Callable[..., str]
SPEC = {"path": "spec.md", "model_name": "Marlow", "provider_name": "Tidewater"}


@pytest.fixture
def half_kept(run, make_prose: Prose):
    """40 briefs, 20 of a genre, of which half gave a document: memos of 80 tokens, fables of 40."""
    genres = ["internal memo", "fable"]
    briefs = [
        dict.fromkeys(TABLES["briefs"].schema.names)
        | {"brief_id": f"{genre} {i}", "kind": "document", "genre": genre, "clause_ids": [], "pass_hash": "b1"}
        for genre in genres
        for i in range(20)
    ]
    writer = run.store.writer("corpus")
    writer.commit("briefs", "b1", pa.Table.from_pylist(briefs, schema=TABLES["briefs"].schema))
    writer.set_current("briefs", {"all": "b1"})
    for genre, words in zip(genres, (80, 40), strict=True):
        for i in range(10):
            text = make_prose(i + words, words)
            run.add_documents({f"{genre}{i}": text}, genre=genre, set="generated", brief_id=f"{genre} {i}")
    return run


def plan(run, mix: dict[str, object], **sections: object) -> MixPlan:
    generate = {"documents": 40, "genres": {"internal memo": 1, "fable": 1}}
    mixes = {"docs": {"shortfall": "allow", **mix}}
    recipe: Recipe = run.recipe(
        curate={"filters": []}, mixes=mixes, seed=3, **{"spec": SPEC, "generate": generate, **sections}
    )
    curate_corpus(recipe, run.store, run.progress)
    return plan_mix(recipe, run.store, "docs")


def test_a_shortfall_says_how_many_documents_and_how_to_have_them(half_kept) -> None:
    found = plan(half_kept, {"tokens": 4000, "genres": {"internal memo": 0.5, "fable": 0.5}})
    fable, _ = found.shortfalls
    num_usable = fable.filled.num_available_rows  # less those that are held out
    assert fable.filled.missing_tokens == 2000 - 40 * num_usable
    assert fable.num_rows == fable.filled.missing_tokens / 40
    # Of two briefs, one is a fable; of 20 fables, `num_usable` may be used: so many more in all.
    more = -(-fable.num_rows * 20 * 2 // num_usable)
    assert f"about {fable.num_rows} more documents (estimated)" in fable.remedy
    assert f"of its 20 briefs a mix may use {num_usable}" in fable.remedy
    assert "specmill generate --top-up (up to 10)" in fable.remedy  # of a document that is held out there is no other
    assert num_usable < 10
    assert f"raise generate.documents from 40 to about {40 + more}" in fable.remedy


def test_repeats_fill_a_part_of_a_shortfall(half_kept) -> None:
    once, twice = (plan(half_kept, {"tokens": 4000, "repeats": repeats}).shortfalls[0] for repeats in (1, 2))
    assert twice.num_rows < once.num_rows / 2


def test_a_genre_that_is_nowhere_is_told_with_the_nearest(half_kept) -> None:
    [short] = plan(half_kept, {"tokens": 400, "genres": {"fable": 1, "internal mmo": 1}}).shortfalls
    assert short.remedy == "there is no genre 'internal mmo'; did you mean 'internal memo'?"


def test_a_genre_without_weight_is_told_to_get_one(half_kept) -> None:
    [short] = plan(half_kept, {"tokens": 400, "genres": {"fable": 1, "faq page": 1}}).shortfalls
    assert "generate.genres gives 'faq page' no weight" in short.remedy


def test_a_set_is_filled_by_importing(half_kept, make_prose: Prose) -> None:
    half_kept.add_documents({f"w{i}": make_prose(500 + i) for i in range(4)})
    [short] = plan(half_kept, {"tokens": 1200, "sets": {"web": 0.8, "generated": 0.2}}).shortfalls
    assert short.filled.cell.set == "web"
    of_web = f"import about {short.num_rows} more documents (estimated; of 4 a mix may use 4) as set 'web'"
    assert short.remedy == f"{of_web}: specmill import"
    half_kept.add_documents({f"x{i}": "too short" for i in range(4)})
    [short] = plan(half_kept, {"tokens": 1200, "sets": {"web": 0.8, "generated": 0.2}}).shortfalls
    assert f"import about {2 * short.num_rows} more documents (estimated; of 8 a mix may use 4)" in short.remedy


def test_nothing_is_imported_into_what_the_run_writes_itself(run, make_prose: Prose) -> None:
    run.add_documents({f"w{i}": make_prose(i) for i in range(4)})
    mixes = {"docs": {"tokens": 900, "sets": {"web": 0.5, "generated": 0.5}, "shortfall": "allow"}}
    recipe = run.recipe(mixes=mixes)
    curate_corpus(recipe, run.store, run.progress)
    short = {one.filled.cell.set: one.remedy for one in plan_mix(recipe, run.store, "docs").shortfalls}
    assert short["generated"].startswith("the recipe has no spec")


def test_what_is_enough_is_no_shortfall(half_kept) -> None:
    assert plan(half_kept, {"tokens": 400}).shortfalls == ()


def test_a_broken_genre_folder_does_not_keep_a_mix_from_being_planned(half_kept, tmp_path: Path) -> None:
    generate = {"genre_folder": tmp_path, "genres": {"fable": 1}}
    [short] = plan(half_kept, {"tokens": 400, "genres": {"fabel": 1}}, generate=generate).shortfalls
    assert "did you mean 'fable'" in short.remedy
