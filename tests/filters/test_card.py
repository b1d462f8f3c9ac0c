from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from corpus.recipe import Recipe
from corpus.store.schema import TABLES
from filters import build_mix, curate_corpus
from filters.mixes.card import plain
from filters.mixes.shards import shard_schema

Prose = Callable[..., str]
NASTY = "Honesty | <script>alert(1)</script>\n\n# Not a heading [x](http://e.vil) `code` \x1b[2J"


def arrow_type(feature: dict[str, object]) -> pa.DataType:
    """The Arrow type of a feature as `datasets` spells it."""
    if "list" in feature:
        return pa.list_(pa.struct([(inner["name"], arrow_type(inner)) for inner in feature["list"]]))
    return {"string": pa.string(), "int64": pa.int64()}[str(feature["dtype"])]


def card(folder: Path) -> tuple[dict[str, object], str]:
    _, head, body = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), body


def built(run, recipe: Recipe, name: str = "docs") -> Path:
    curate_corpus(recipe, run.store, run.progress)
    return build_mix(recipe, run.store, name, run.progress).folder


def add_generated(run, make_prose: Prose) -> None:
    """Documents of two briefs by a named model, of a clause whose heading is hostile."""
    clause = dict.fromkeys(TABLES["clauses"].schema.names)
    clause |= {"clause_id": "b2:c", "path": [NASTY], "ordinal": 0, "split": "train", "text": "x", "pass_hash": "c1"}
    brief = dict.fromkeys(TABLES["briefs"].schema.names)
    brief |= {"kind": "document", "clause_ids": ["b2:c"], "prompt_hash": "b2:prompt", "model": "a/model@1"}
    writer = run.store.writer("corpus")
    writer.commit("clauses", "c1", pa.Table.from_pylist([clause], schema=TABLES["clauses"].schema))
    rows = [brief | {"brief_id": f"brief{i}", "pass_hash": "b1"} for i in range(6)]
    writer.commit("briefs", "b1", pa.Table.from_pylist(rows, schema=TABLES["briefs"].schema))
    for table in ("clauses", "briefs"):
        writer.set_current(table, {"all": table[0] + "1"})
    for i in range(6):
        run.add_documents(
            {f"g{i}": make_prose(i)}, set="generated", genre=NASTY, brief_id=f"brief{i}", clause_ids=["b2:c"]
        )


def test_the_head_of_the_card_says_the_columns_as_the_shards_have_them(run, make_prose: Prose) -> None:
    run.add_documents({f"d{i}": make_prose(i) for i in range(20)}, genre="memo")
    run.add_chats({f"c{i}": [("user", f"Q {i}?"), ("assistant", make_prose(50 + i))] for i in range(5)})
    recipe = run.recipe(curate={"filters": []}, mixes={"docs": {"license": "cc-by-4.0"}, "sft": {"kind": "chats"}})
    for name, kind in (("docs", "documents"), ("sft", "chats")):
        folder = built(run, recipe, name)
        head, _ = card(folder)
        info = head["dataset_info"]
        schema = pa.schema([(one["name"], arrow_type(one)) for one in info["features"]])
        assert schema == shard_schema(kind)
        [config] = head["configs"]
        assert config["config_name"] == info["config_name"]
        [split] = config["data_files"]
        files = [folder / file for file in split["path"]]
        for file in files:
            read = pq.read_schema(file)
            types = [str(one).replace("element", "item") for one in read.types]  # Parquet's own name for it
            assert (read.names, types) == (schema.names, [str(one) for one in schema.types])
        rows = [row for file in files for row in pq.read_table(file).to_pylist()]
        texts = [row.get("text") or "".join(turn["content"] for turn in row["messages"]) for row in rows]
        assert info["splits"] == [
            {"name": "train", "num_examples": len(rows), "num_bytes": sum(len(text.encode()) for text in texts)}
        ]
        assert head["size_categories"] == ["n<1K"]
        assert head["license"] == ("cc-by-4.0" if name == "docs" else "unknown")
        assert "synthetic" not in head["tags"]  # nothing here was generated


def test_the_card_says_what_made_it_and_what_it_holds(run, make_prose: Prose) -> None:
    add_generated(run, make_prose)
    run.add_documents({f"w{i}": make_prose(100 + i) for i in range(4)}, genre="memo")
    run.add_documents({"short": "Too short."})
    recipe = run.recipe(curate={"filters": ["length"]}, mixes={"docs": {}}, seed=3)
    folder = built(run, recipe)
    head, body = card(folder)
    held = run.column("SELECT doc_id FROM mixes")
    num_generated = sum(str(doc_id).startswith("g") for doc_id in held)
    assert head["tags"] == ["synthetic", "specmill"]
    assert f"| {plain('a/model@1')} | {num_generated} |" in body
    assert f"| imported | {len(held) - num_generated} |" in body
    assert recipe.recipe_hash().removeprefix("b2:") in body
    assert "b2:prompt" in body
    assert "| length | drop | 1 |" in body
    assert f"| web | {len(held) - num_generated} |" in body
    assert "`unknown`, as the recipe says (`mixes.docs.license`)" in body


def test_what_models_and_specs_wrote_is_shown_and_obeyed_nowhere(run, make_prose: Prose) -> None:
    add_generated(run, make_prose)
    _, body = card(built(run, run.recipe(curate={"filters": []}, mixes={"docs": {}})))
    assert "Not a heading" in body
    assert "\x1b" not in body
    assert "<script>" not in body
    assert re.search(r"(?<!\\)(\]\(|`code`)|(?<!\\):/", body) is None
    for line in body.splitlines():
        assert not line.lstrip().startswith("# Not")
        if line.startswith("|"):  # no cell is broken in two
            assert line.replace("\\|", "").count("|") in (3, 4, 5, 6)


def test_a_card_that_was_edited_is_written_again(run, make_prose: Prose) -> None:
    run.add_documents({f"d{i}": make_prose(i) for i in range(5)})
    recipe = run.recipe(curate={"filters": []}, mixes={"docs": {}})
    folder = built(run, recipe)
    before = (folder / "README.md").read_text()
    (folder / "README.md").write_text("Mine.")
    assert build_mix(recipe, run.store, "docs", run.progress).is_new
    assert (folder / "README.md").read_text() == before


def test_another_licence_is_another_card_of_the_same_data(run, make_prose: Prose) -> None:
    run.add_documents({f"d{i}": make_prose(i) for i in range(5)})
    recipe = run.recipe(curate={"filters": []}, mixes={"docs": {}})
    folder = built(run, recipe)
    first = build_mix(recipe, run.store, "docs", run.progress)
    licensed = run.recipe(curate={"filters": []}, mixes={"docs": {"license": "mit"}})
    again = build_mix(licensed, run.store, "docs", run.progress)
    assert (again.is_new, again.data_hash) == (True, first.data_hash)
    assert card(folder)[0]["license"] == "mit"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<b>", r"\<b\>"),
        ("[x](y)", r"\[x\](y)"),
        ("`x`", r"\`x\`"),
        ("a_b*c~d", r"a\_b\*c\~d"),
        ("&lt;", r"\&lt;"),
        ("http://x.y www.x.y a@b.c", r"http\://x.y www\.x.y a\@b.c"),
        ("a\\b", r"a\\b"),
        ("one\n\n# two", r"one \# two"),
        ("plain-text: 1.5", "plain-text: 1.5"),
    ],
)
def test_marks_of_markdown_are_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown
