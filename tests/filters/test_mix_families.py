import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.errors import RecipeError
from corpus.held_out import is_held_out_document
from corpus.recipe import Recipe
from corpus.store import open_reader
from corpus.store.schema import TABLES
from filters import build_mix, curate_corpus, plan_mix
from filters.mixes.mix_plan import MixPlan

Prose = Callable[..., str]
UNFILTERED = {"filters": []}
CLAUSES = [("b2:t", "Truth"), ("b2:d", "Doubt"), ("b2:c", "Care")]


@pytest.fixture
def filled(run, make_prose: Prose):
    """A run of three genres, each about three clauses, in texts of unlike lengths."""
    rows = [
        {**dict.fromkeys(TABLES["clauses"].schema.names), "clause_id": clause_id, "ordinal": number, "text": heading}
        | {"path": ["Honesty" if heading != "Care" else "Kindness", heading], "pass_hash": "c1", "split": "train"}
        for number, (clause_id, heading) in enumerate(CLAUSES)
    ]
    run.store.writer("corpus").commit("clauses", "c1", pa.Table.from_pylist(rows, schema=TABLES["clauses"].schema))
    run.store.writer("corpus").set_current("clauses", {"all": "c1"})
    for genre, num in (("memo", 60), ("blog", 30), ("faq", 15)):
        for number, (clause_id, _) in enumerate(CLAUSES):
            texts = {
                f"{genre}{clause_id}{i}": make_prose(hash((genre, number, i)) % 10**6, 60 + 7 * (i % 6))
                for i in range(num // 3)
            }
            run.add_documents(texts, genre=genre, clause_ids=[clause_id])
    return run


def curated(run, recipe: Recipe) -> Recipe:
    curate_corpus(recipe, run.store, run.progress)
    return recipe


def family(run, mix: dict[str, object]) -> dict[str, MixPlan]:
    recipe = curated(run, run.recipe(curate=UNFILTERED, mixes={"docs": mix}, seed=3))
    return {name: plan_mix(recipe, run.store, name) for name in recipe.every_mix()}


def longest(run) -> int:
    return run.column("SELECT max(num_tokens) FROM documents")[0]


def test_mixes_without_one_genre_each_are_of_one_size_and_hold_none_of_it(filled) -> None:
    plans = family(filled, {"ablate": {"genres": ["memo", "blog", "faq"]}})
    assert list(plans) == ["docs", "docs-without-memo", "docs-without-blog", "docs-without-faq"]
    [budget] = {plan.budget for plan in plans.values()}
    for name, plan in plans.items():
        genres = {pick.source.genre for pick in plan.picks}
        assert genres == {"memo", "blog", "faq"} - {name.removeprefix("docs-without-")}
        assert abs(plan.num_tokens - budget) <= longest(filled) / 2
    # The largest that each can have: without memos, all that is left.
    smallest = plans["docs-without-memo"]
    assert budget == smallest.num_tokens == sum(filled.available_tokens for filled in smallest.cells)


def test_the_members_hold_the_same_rows_as_far_as_they_can(filled) -> None:
    plans = family(filled, {"tokens": 2000, "ablate": {"genres": ["faq"]}})
    whole = [pick.source.id for pick in plans["docs"].picks]
    without = [pick.source.id for pick in plans["docs-without-faq"].picks]
    kept = [row_id for row_id in whole if not row_id.startswith("faq")]
    assert 0 < len(kept) < len(whole)
    assert without[: len(kept)] == kept


def test_shares_of_what_is_left_grow_in_proportion(filled) -> None:
    plans = family(
        filled, {"tokens": 1200, "genres": {"memo": 2, "blog": 1, "faq": 1}, "ablate": {"genres": "each"}}
    )  # fmt: skip
    assert {cell.cell.label: float(cell.cell.share) for cell in plans["docs-without-memo"].cells} == {
        "blog": 0.5, "faq": 0.5,
    }  # fmt: skip
    for plan in plans.values():
        assert plan.budget == 1200
        assert abs(plan.num_tokens - 1200) <= len(plan.cells) * longest(filled) / 2


def test_a_section_that_is_left_out_takes_all_its_clauses_and_their_shares_with_it(filled) -> None:
    plans = family(
        filled, {"clauses": {"Honesty": 2, "Truth": 1, "Care": 1}, "ablate": {"clauses": ["Honesty", "Care"]}}
    )  # fmt: skip
    names = {name: {clause for pick in plan.picks for clause in pick.source.clause_ids} for name, plan in plans.items()}
    assert names == {
        "docs": {"b2:t", "b2:d", "b2:c"}, "docs-without-honesty": {"b2:c"}, "docs-without-care": {"b2:t", "b2:d"},
    }  # fmt: skip
    assert [cell.cell.clause for cell in plans["docs-without-honesty"].cells] == ["Care"]
    assert len({plan.budget for plan in plans.values()}) == 1


def test_a_size_that_not_every_member_can_have_is_refused_with_the_one_that_all_can(filled) -> None:
    mix = {"tokens": 5000, "ablate": {"genres": ["memo"]}}
    with pytest.raises(RecipeError, match=r"docs-without-memo: at most [\d,]+ tokens\nLower the budget to"):
        family(filled, mix)
    plans = family(filled, {**mix, "shortfall": "allow"})
    [budget] = {plan.budget for plan in plans.values()}
    assert budget == sum(cell.available_tokens for cell in plans["docs-without-memo"].cells) < 5000
    assert f"each gets {budget:,}" in plans["docs"].notes[0]


def test_a_family_with_a_part_of_nothing_says_which(filled) -> None:
    mix = {"genres": {"memo": 1, "essay": 1}, "ablate": {"genres": ["memo"]}, "shortfall": "allow"}
    with pytest.raises(RecipeError, match="docs: no rows of essay\n  docs-without-memo: no rows of essay"):
        family(filled, mix)


@pytest.mark.parametrize(
    ("axis", "name", "meant"), [("genres", "memmo", "memo"), ("sets", "wep", "web"), ("genres", "faqs", "faq")]
)
def test_leaving_out_what_nothing_ever_was_of_is_refused(filled, axis: str, name: str, meant: str) -> None:
    """It would be the whole mix under another name."""
    for mix in ({"ablate": {axis: [name]}}, {"leave_out": {axis: [name]}}):
        with pytest.raises(RecipeError, match=f"there is no {axis[:-1]} '{name}' to leave out; did you mean '{meant}'"):
            family(filled, {"tokens": 500, **mix})


def test_leaving_out_what_nothing_curated_is_of_is_told(filled) -> None:
    plans = family(filled, {"tokens": 500, "ablate": {"genres": ["fable"]}})
    assert "leaves out 'fable' of genres, and no row is of it" in plans["docs-without-fable"].notes[0]


def test_rows_of_no_genre_are_told_where_genres_divide_all_there_is(filled, make_prose) -> None:
    filled.add_documents({"plain": make_prose(9000)}, set="notes")
    by_genre = family(filled, {"tokens": 500, "power": {"genres": 0.5}})["docs"]
    assert "1 rows (80 tokens, of notes) have no genre and are in no part of it" in by_genre.notes[-1]
    by_set = family(filled, {"tokens": 500, "power": {"genres": 0.5, "sets": 1}})["docs"]
    assert not any("no genre" in note for note in by_set.notes)


def test_a_clause_that_the_run_has_not_is_refused_with_the_nearest(filled) -> None:
    with pytest.raises(RecipeError, match="no clause or section is named 'Honesti'; did you mean 'Honesty'"):
        family(filled, {"clauses": {"Honesti": 1}})


def test_members_are_written_and_train_finds_them_by_name(filled) -> None:
    from train.shards import find_mix

    recipe = curated(filled, filled.recipe(curate=UNFILTERED, mixes={"docs": {"ablate": {"genres": ["memo"]}}}))
    for name in recipe.every_mix():
        report = build_mix(recipe, filled.store, name, filled.progress)
        assert find_mix(recipe, filled.store.root, name).data_hash == report.data_hash
    assert filled.column("SELECT DISTINCT mix FROM mixes ORDER BY 1") == ["docs", "docs-without-memo"]
    rows = pq.read_table(filled.store.root / "shards" / "docs-without-memo" / "00000.parquet")
    assert "memo" not in rows.column("genre").to_pylist()


def test_a_plan_needs_no_lock_and_writes_nothing(filled) -> None:
    recipe = curated(filled, filled.recipe(curate=UNFILTERED, mixes={"docs": {"genres": {"memo": 1, "blog": 1}}}))
    before = filled.files()
    plan = plan_mix(recipe, open_reader(filled.store.root), "docs")  # while the fixture holds the writer's lock
    assert filled.files() == before
    [(title, rows), (_, short)] = plan.tables()
    assert title == "mix docs: target against actual"
    assert [(row["part"], row["target share"]) for row in rows] == [("blog", 0.5), ("memo", 0.5), ("all", 1.0)]
    assert short == []
    report = build_mix(recipe, filled.store, "docs", filled.progress)
    assert report.plan.tables() == plan.tables()


def test_the_query_shows_each_part_as_the_plan_had_it(filled) -> None:
    from corpus.inspect.sql import run_sql

    mixes = {"docs": {"tokens": 900, "genres": {"memo": 2, "blog": 1}}}
    recipe = curated(filled, filled.recipe(curate=UNFILTERED, mixes=mixes))
    plan = build_mix(recipe, filled.store, "docs", filled.progress).plan
    rows = run_sql(filled.store.root, "mix_against_target").table.to_pylist()
    assert [(row["genre"], row["target_tokens"], row["tokens"], row["unique_tokens"]) for row in rows] == [
        (cell.cell.genre, cell.target_tokens, cell.num_tokens, cell.num_tokens) for cell in plan.cells
    ]
    assert [row["target_share"] for row in rows] == [0.3333, 0.6667]


def test_near_copies_count_once_where_curation_left_them_in(run, make_prose: Prose) -> None:
    texts = {f"d{i}": make_prose(i) for i in range(8)}
    run.add_documents(texts)
    run.add_documents({f"copy{i}": texts["d0"] + " One more." for i in range(3)})
    mixes = {"all": {"repeats": 2, "tokens": 9000, "shortfall": "allow"}}
    alike = ["d0", "copy0", "copy1", "copy2"]
    # Where one of them is held out, all are.
    seed = next(seed for seed in range(99) if not any(is_held_out_document(seed, row_id) for row_id in alike))
    recipe = curated(run, run.recipe(curate={"filters": [], "duplicates": None}, mixes=mixes, seed=seed))
    plan = plan_mix(recipe, run.store, "all")
    ids = {pick.source.id for pick in plan.picks}
    lengths = {row_id: 82 if row_id.startswith("copy") else 80 for row_id in ids}
    of_cluster = [lengths.pop(row_id) for row_id in alike]
    assert plan.unique_tokens == sum(lengths.values()) + max(of_cluster)
    assert plan.distinct_tokens == sum(lengths.values()) + sum(of_cluster)
    assert plan.num_tokens == 2 * plan.distinct_tokens
    without = run.recipe(curate=UNFILTERED, mixes=mixes, seed=seed)
    curated(run, without)
    plan = plan_mix(without, run.store, "all")
    assert plan.unique_tokens == plan.distinct_tokens  # the copies gave way


def test_the_manifest_has_every_hash(filled) -> None:
    recipe = curated(filled, filled.recipe(curate={"filters": ["length"]}, mixes={"docs": {}}))
    report = build_mix(recipe, filled.store, "docs", filled.progress)
    manifest = json.loads((report.folder / "manifest.json").read_bytes())
    assert manifest["recipe_hash"] == recipe.recipe_hash()
    assert manifest["clauses_hash"] == {"all": "c1"}
    for key, table in (("filter_hashes", "verdicts"), ("scorer_hashes", "scores"), ("duplicates_hash", "duplicates")):
        assert manifest[key] == filled.store.current(table) != {}
    assert manifest["tokenizer_hash"].startswith("b2:")
    assert manifest["unique_tokens"] == report.plan.unique_tokens
