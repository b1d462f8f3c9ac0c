"""What differs between a dropped row and the one that it gave way to."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from corpus.inspect.difference import changes_between
from corpus.inspect.trace import Trace, trace
from corpus.inspect.trace_tree import render
from corpus.store import open_writer
from corpus.store.schema import TABLES

LONG = [f"w{number}" for number in range(400)]
HOSTILE = "\x1b[31m [bold]loud[/bold] <b>"


def table_row(table: str, **values: object) -> dict[str, object]:
    return dict.fromkeys(TABLES[table].schema.names) | values


def make_run(root: Path, texts: dict[str, str], survivor: str = "b2:bbbbbbbb", matched: str = "b2:bbbbbbbb") -> None:
    """`b2:aaaaaaaa` gave way to `survivor`."""
    with open_writer(root) as store:
        rows = [table_row("documents", doc_id=doc_id, set="web", text=text) for doc_id, text in texts.items()]
        store.writer("corpus").append({"documents": rows})
        lost = table_row(
            "duplicates", doc_id="b2:aaaaaaaa", cluster_id="b2:cccccccc", survivor_id=survivor, matched_id=matched,
            kind="near", band=3, estimated_jaccard=0.9, jaccard=0.91, pass_hash="p",
        )  # fmt: skip
        schema = TABLES["duplicates"].schema
        store.writer("filters").commit("duplicates", "p", pa.Table.from_pylist([lost], schema=schema))
        store.writer("filters").set_current("duplicates", {"documents": "p"})


def drawn(found: Trace) -> str:
    console = Console(file=io.StringIO(), width=160)
    with console.capture() as captured:
        console.print(render(found))
    return captured.get()


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_changes_lead_from_one_text_to_the_other(these: list[str], those: list[str]) -> None:
    """Taken in order: what is removed stands in the one, what is added in the other, all else in both."""
    changes = changes_between(" ".join(these), "\n".join(those))
    num_removed = sum(len(change.removed.split()) for change in changes)
    num_added = sum(len(change.added.split()) for change in changes)
    assert len(these) - num_removed == len(those) - num_added >= 0
    assert (changes == []) == (these == those)
    kept = list(these)
    for change in changes:
        for word in change.removed.split():
            assert word in kept
            kept.remove(word)
    for change in changes:
        kept += change.added.split()
    assert sorted(kept) == sorted(those)


def test_a_trace_shows_what_differs_with_a_few_words_around(tmp_path: Path) -> None:
    edited = [*LONG[:200], HOSTILE, *LONG[201:300], *LONG[301:]]
    make_run(tmp_path / "run", {"b2:aaaaaaaa": " ".join(LONG), "b2:bbbbbbbb": " ".join(edited)})
    shown = drawn(trace(tmp_path / "run", "aaaaaaaa"))
    assert "differs from matched and survivor b2:bbbbbbbb" in shown
    assert "2 places differ" in shown
    assert "… w194 w195 w196 w197 w198 w199 [-w200-]" in shown
    assert r"{+\x1b[31m [bold]loud[/bold] <b>+}" in shown
    assert "w299 [-w300-] w301" in shown
    assert "jaccard 0.91" in shown
    assert "band 3" in shown
    assert "\x1b" not in shown


def test_a_survivor_shows_no_difference(tmp_path: Path) -> None:
    make_run(tmp_path / "run", {"b2:aaaaaaaa": "one two", "b2:bbbbbbbb": "one"})
    assert trace(tmp_path / "run", "bbbbbbbb").differences == []


def test_the_matched_row_and_the_survivor_are_both_held_against_it(tmp_path: Path) -> None:
    texts = {"b2:aaaaaaaa": "one two", "b2:bbbbbbbb": "one three", "b2:dddddddd": "two two"}
    make_run(tmp_path / "run", texts, matched="b2:dddddddd")
    shown = drawn(trace(tmp_path / "run", "aaaaaaaa"))
    assert shown.index("differs from matched b2:dddddddd") < shown.index("differs from survivor b2:bbbbbbbb")
    assert "{+three+}" in shown


def test_a_row_of_another_run_is_read_there(tmp_path: Path) -> None:
    make_run(tmp_path / "old", {"b2:eeeeeeee": "one four"})
    make_run(tmp_path / "run", {"b2:aaaaaaaa": "one two"}, survivor="old:b2:eeeeeeee", matched="old:b2:eeeeeeee")
    assert "its text is not there" in drawn(trace(tmp_path / "run", "aaaaaaaa"))  # no recipe says where it is
    recipe = {"name": "run", "curate": {"duplicates": {"against": [str(tmp_path / "old")]}}}
    (tmp_path / "run" / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert "[-two-] {+four+}" in drawn(trace(tmp_path / "run", "aaaaaaaa"))


def test_long_texts_that_share_nothing_are_one_change() -> None:
    [change] = changes_between(" ".join(LONG * 20), " ".join(["x"] * 8000))
    assert change.removed.startswith("w0 w1")
