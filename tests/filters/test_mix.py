import json
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.errors import CorruptFileError, DataError, RecipeError
from corpus.held_out import is_held_out_document
from corpus.recipe import Recipe
from corpus.store import parts
from corpus.store.identity import file_id
from filters import build_mix, curate_corpus
from filters.mixes import shards

Prose = Callable[..., str]
UNFILTERED = {"filters": []}


def curated(run, recipe: Recipe) -> Recipe:
    curate_corpus(recipe, run.store, run.progress)
    return recipe


@pytest.fixture
def recipe(run, make_prose: Prose) -> Recipe:
    run.add_documents({f"m{index}": make_prose(index) for index in range(40)}, genre="memo")
    run.add_documents({f"b{index}": make_prose(100 + index) for index in range(40)}, genre="blog")
    mixes = {"docs": {"tokens": 1600, "genres": {"memo": 0.75, "blog": 0.25}}}
    return curated(run, run.recipe(curate=UNFILTERED, mixes=mixes))


def written(run, mix: str = "docs") -> pa.Table:
    folder = run.store.root / "shards" / mix
    manifest = json.loads((folder / "manifest.json").read_bytes())
    return pa.concat_tables([pq.read_table(folder / shard["file"]) for shard in manifest["shards"]])


def test_the_mix_has_its_shares_and_says_so(run, recipe: Recipe) -> None:
    report = build_mix(recipe, run.store, "docs", run.progress)
    rows = written(run)
    tokens = {genre: 0 for genre in ("memo", "blog")}
    for row in rows.to_pylist():
        tokens[row["genre"]] += row["num_tokens"]
    assert tokens == {"memo": 1200, "blog": 400}
    plan = report.plan
    assert (plan.num_tokens, len(plan.picks), plan.num_distinct_rows, plan.unique_tokens) == (1600, 20, 20, 1600)
    [(_, shares), _] = plan.tables()
    assert [(share["part"], share["share"], share["target share"]) for share in shares] == [
        ("blog", 0.25, 0.25), ("memo", 0.75, 0.75), ("all", 1.0, 1.0),
    ]  # fmt: skip


def test_shards_hold_the_texts_in_the_order_of_the_table(run, recipe: Recipe) -> None:
    build_mix(recipe, run.store, "docs", run.progress)
    rows = written(run)
    assert rows.schema.names == ["position", "doc_id", "repeat", "text", "num_tokens", "genre", "set"]
    assert rows.column("position").to_pylist() == list(range(20))
    text = {row["doc_id"]: row["text"] for row in run.store.rows("SELECT doc_id, text FROM documents")}
    assert rows.column("text").to_pylist() == [text[row_id] for row_id in rows.column("doc_id").to_pylist()]
    table = run.store.rows("SELECT position, doc_id, repeat, num_tokens FROM mixes ORDER BY position")
    assert rows.select(["position", "doc_id", "repeat", "num_tokens"]).to_pylist() == table


def test_the_manifest_names_every_shard_with_its_hash(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 4000)
    report = build_mix(recipe, run.store, "docs", run.progress)
    manifest = json.loads((report.folder / "manifest.json").read_bytes())
    assert len(manifest["shards"]) > 2
    for shard in manifest["shards"]:
        path = report.folder / shard["file"]
        assert shard["hash"] == file_id(path)
        assert shard["rows"] == pq.read_metadata(path).num_rows
    assert sum(shard["tokens"] for shard in manifest["shards"]) == manifest["num_tokens"] == 1600
    assert manifest["data_hash"] == report.data_hash
    assert manifest["recipe_hash"] == recipe.recipe_hash()
    assert written(run).column("position").to_pylist() == list(range(20))
    shard_of = run.store.rows("SELECT shard, count(*) AS rows FROM mixes GROUP BY shard ORDER BY shard")
    assert shard_of == [{"shard": shard["file"], "rows": shard["rows"]} for shard in manifest["shards"]]


def test_the_data_hash_does_not_depend_on_how_rows_are_cut_into_shards(
    run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build_mix(recipe, run.store, "docs", run.progress)
    (whole.folder / "manifest.json").unlink()
    monkeypatch.setattr(shards, "SHARD_BYTES", 4000)
    assert build_mix(recipe, run.store, "docs", run.progress).data_hash == whole.data_hash


def test_the_same_mix_again_writes_nothing(run, recipe: Recipe) -> None:
    first = build_mix(recipe, run.store, "docs", run.progress)
    before = run.files()
    again = build_mix(recipe, run.store, "docs", run.progress)
    assert run.files() == before
    assert (first.is_new, again.is_new) == (True, False)
    assert again.data_hash == first.data_hash


@pytest.mark.parametrize("damage", ["cut", "gone", "manifest", "torn manifest"])
def test_a_damaged_shard_is_made_again_as_it_was(run, recipe: Recipe, damage: str) -> None:
    first = build_mix(recipe, run.store, "docs", run.progress)
    shard = first.folder / "00000.parquet"
    whole = shard.read_bytes()
    if damage == "cut":
        shard.write_bytes(whole[:-1])
    elif damage == "torn manifest":
        (first.folder / "manifest.json").write_bytes((first.folder / "manifest.json").read_bytes()[:40])
    else:
        (shard if damage == "gone" else first.folder / "manifest.json").unlink()
    again = build_mix(recipe, run.store, "docs", run.progress)
    assert again.is_new
    assert again.data_hash == first.data_hash
    assert shard.read_bytes() == whole


def test_while_shards_are_written_there_is_no_manifest(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    build_mix(recipe, run.store, "docs", run.progress)
    larger = recipe.model_copy(update={"mixes": {"docs": recipe.mixes["docs"].model_copy(update={"tokens": 2000})}})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shards, "write_part", killed)
        with pytest.raises(KeyboardInterrupt):
            build_mix(larger, run.store, "docs", run.progress)
    assert not (run.store.root / "shards" / "docs" / "manifest.json").exists()
    assert build_mix(larger, run.store, "docs", run.progress).plan.num_tokens == 2000


def test_a_smaller_mix_leaves_no_shard_of_the_larger(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 4000)
    build_mix(recipe, run.store, "docs", run.progress)
    smaller = recipe.model_copy(update={"mixes": {"docs": recipe.mixes["docs"].model_copy(update={"tokens": 400})}})
    report = build_mix(smaller, run.store, "docs", run.progress)
    assert [path.name for path in report.folder.glob("*.parquet")] == ["00000.parquet"]
    assert run.column("SELECT count(*) FROM mixes") == [len(report.plan.picks)]
    assert run.column("SELECT count(*) FROM all_mixes") == [20 + len(report.plan.picks)]


def test_no_held_out_document_is_in_a_mix_and_the_report_counts_them(run, make_prose: Prose) -> None:
    run.add_documents({f"d{index}": make_prose(index) for index in range(60)})
    recipe = curated(run, run.recipe(curate=UNFILTERED, mixes={"all": {}}, seed=3))
    held_out = {f"d{index}" for index in range(60) if is_held_out_document(3, f"d{index}")}
    assert held_out
    report = build_mix(recipe, run.store, "all", run.progress)
    assert set(written(run, "all").column("doc_id").to_pylist()) == {f"d{index}" for index in range(60)} - held_out
    assert report.plan.num_held_out == len(held_out)
    manifest = json.loads((report.folder / "manifest.json").read_bytes())
    assert (manifest["seed"], manifest["hold_out"]) == (3, {"documents_one_in": 10, "clauses_fraction": None})


def test_only_curated_rows_are_mixed(run, make_prose: Prose) -> None:
    run.add_documents({"m0": make_prose(0), "copy": make_prose(0), "short": "too short"})
    recipe = curated(run, run.recipe(mixes={"all": {}}, seed=3))
    build_mix(recipe, run.store, "all", run.progress)
    assert written(run, "all").column("doc_id").to_pylist() == ["copy"]


def test_chats_are_mixed_by_set_with_their_messages(run, make_prose: Prose) -> None:
    for name, start in (("generated", 0), ("instructions", 100)):
        chats = {
            f"{name}{index}": [("user", f"Question {start + index}?"), ("assistant", make_prose(start + index, 38))]
            for index in range(10 if start else 5)
        }
        run.add_chats(chats, set=name)
    mixes = {"sft": {"kind": "chats", "sets": {"generated": 0.5, "instructions": 0.5}}}
    recipe = curated(run, run.recipe(curate=UNFILTERED, mixes=mixes))
    build_mix(recipe, run.store, "sft", run.progress)
    rows = written(run, "sft")
    assert rows.schema.names == ["position", "doc_id", "repeat", "messages", "num_tokens", "set"]
    assert sorted(rows.column("set").to_pylist()) == ["generated"] * 5 + ["instructions"] * 5
    first = rows.to_pylist()[0]
    assert [message["role"] for message in first["messages"]] == ["user", "assistant"]


def test_repeats_fill_a_budget_larger_than_the_corpus(run, make_prose: Prose) -> None:
    run.add_documents({f"d{index}": make_prose(index) for index in range(5)})
    mixes = {"twice": {"tokens": 480, "repeats": 2, "shortfall": "allow"}}
    recipe = curated(run, run.recipe(curate=UNFILTERED, mixes=mixes, seed=3))
    report = build_mix(recipe, run.store, "twice", run.progress)
    assert len(report.plan.picks) == 6
    assert report.plan.num_distinct_rows == 5 - report.plan.num_held_out
    assert {row["repeat"] for row in written(run, "twice").to_pylist()} == {0, 1}


def test_a_shortfall_is_refused_with_what_is_short(run, recipe: Recipe) -> None:
    mix = recipe.mixes["docs"].model_copy(update={"tokens": 100_000, "genres": {"memo": 0.5, "essay": 0.5}})
    with pytest.raises(RecipeError) as caught:
        build_mix(recipe.model_copy(update={"mixes": {"docs": mix}}), run.store, "docs", run.progress)
    message = str(caught.value)
    assert "essay: wanted 50,000 tokens (50.0%), there are 0" in message
    assert "memo: wanted 50,000 tokens (50.0%), there are" in message
    assert "shortfall: allow" in message
    assert "there is no genre 'essay'; there are: blog, memo" in message
    assert not (run.store.root / "shards").exists()


def test_a_shortfall_that_is_allowed_takes_what_there_is_and_says_so(run, recipe: Recipe) -> None:
    mix = recipe.mixes["docs"].model_copy(update={"tokens": 100_000, "shortfall": "allow"})
    report = build_mix(recipe.model_copy(update={"mixes": {"docs": mix}}), run.store, "docs", run.progress)
    assert report.plan.num_distinct_rows == 80 - report.plan.num_held_out
    assert "takes what there is" in run.progress.notes[-1]


def test_an_empty_mix_is_refused(run) -> None:
    recipe = curated(run, run.recipe(mixes={"docs": {"shortfall": "allow"}}))
    with pytest.raises(RecipeError, match="would be empty"):
        build_mix(recipe, run.store, "docs", run.progress)


def test_an_unknown_mix_is_named_with_the_nearest(run, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="did you mean 'docs'"):
        build_mix(recipe, run.store, "dosc", run.progress)


def test_rows_that_are_not_curated_stop_the_mix(run, recipe: Recipe, make_prose: Prose) -> None:
    run.add_documents({"new": make_prose(999)})
    with pytest.raises(DataError, match="run: specmill curate"):
        build_mix(recipe, run.store, "docs", run.progress)


def test_mixes_that_the_recipe_no_longer_has_leave_the_plain_view(run, make_prose: Prose) -> None:
    run.add_documents({f"d{index}": make_prose(index) for index in range(9)})
    both = curated(run, run.recipe(curate=UNFILTERED, mixes={"a": {}, "b": {}}))
    for name in both.mixes:
        build_mix(both, run.store, name, run.progress)
    assert run.column("SELECT DISTINCT mix FROM mixes ORDER BY 1") == ["a", "b"]
    one = run.recipe(curate=UNFILTERED, mixes={"b": {"tokens": 300}})
    build_mix(one, run.store, "b", run.progress)
    assert run.column("SELECT DISTINCT mix FROM mixes") == ["b"]


@pytest.mark.parametrize("table", ["mixes", "mix_parts", "duplicates", "recurring"])
def test_a_pass_that_was_moved_away_is_made_again(run, recipe: Recipe, make_prose: Prose, table: str) -> None:
    """As the message about a part that does not read back tells the user to do."""
    run.add_documents({f"again{i}": make_prose(7000) for i in range(2)}, genre="memo")
    recipe = curated(run, run.recipe(mixes=recipe.model_dump()["mixes"]))
    build_mix(recipe, run.store, "docs", run.progress)
    before = {name: run.store.query(f"FROM {name} ORDER BY ALL") for name in ("curated", table)}
    moved = list((run.store.root / table).glob("pass-*.parquet"))
    assert moved
    for path in moved:
        path.unlink()
    if table == "duplicates":
        with pytest.raises(DataError, match=r"duplicates among the documents .* are out of date"):
            build_mix(recipe, run.store, "docs", run.progress)
    curate_corpus(recipe, run.store, run.progress)
    build_mix(recipe, run.store, "docs", run.progress)
    assert all(run.store.query(f"FROM {name} ORDER BY ALL").equals(rows) for name, rows in before.items())


def test_a_bit_that_the_disk_changed_in_a_text_never_reaches_a_shard(run, recipe: Recipe) -> None:
    run.store.seal()
    whole_texts = set(run.column("SELECT text FROM documents"))
    part = max((run.store.root / "documents").glob("*.parquet"), key=lambda path: path.stat().st_size)
    whole = part.read_bytes()
    kinds: Counter[str] = Counter()
    for place in range(4, len(whole), max(1, len(whole) // 40)):
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            curate_corpus(recipe, run.store, run.progress)
            build_mix(recipe, run.store, "docs", run.progress)
            kinds["made"] += 1
            assert set(written(run)["text"].to_pylist()) <= whole_texts
        except CorruptFileError as error:
            kinds["refused"] += 1
            assert part.name in str(error)
        for path in (run.store.root / "shards").rglob("*.*"):
            path.unlink()
    assert kinds["refused"] > 20


def test_the_mixes_of_a_family_read_every_page_once(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    verify = parts.verify_pages
    monkeypatch.setattr(parts, "verify_pages", lambda path: (seen.append(path.name), verify(path)))
    run.store.seal()
    ablated = run.recipe(curate=UNFILTERED, mixes={"docs": {"tokens": 800, "ablate": {"genres": ["memo", "blog"]}}})
    for name in ablated.every_mix():
        build_mix(ablated, run.store, name, run.progress)
    assert sorted(seen) == sorted(path.name for path in (run.store.root / "documents").glob("*.parquet"))
