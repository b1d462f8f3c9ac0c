"""The report: one file, made of rows alone."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.inspect import write_report
from corpus.inspect.charts import Bin, Line, bin_width, histogram, line_chart, ticks, whiskers
from corpus.inspect.report import render_report
from corpus.inspect.report_rows import MOST_CLAUSES
from corpus.store import open_writer
from corpus.store.identity import content_id
from corpus.store.schema import TABLES

ARMS = [
    {"metric": "preference", "arm": "base", "value": -0.2, "low": -0.5, "high": 0.1, "n": 72},
    {"metric": "preference", "arm": "<b>mid</b>", "value": 0.4, "low": 0.1, "high": 0.7, "n": 72},
    {"metric": "bits", "arm": "base", "value": None, "low": None, "high": None, "n": 0},
]
VOID = {"meta"}


class Page(HTMLParser):
    """Elements, attributes and text of a page, checked to be balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.open

    def handle_data(self, data: str) -> None:
        self.words += f" {data}"


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return render_report(run, ARMS)


def test_every_section_is_there_and_every_element_is_closed(html: str) -> None:
    page = Page(html)
    assert page.open == []
    for title in (
        "Funnel",
        "Calls",
        "Coverage",
        "Curation",
        "Mixes",
        "Training",
        "Arms",
        "Answers",
        "Samples",
        "Invocations",
    ):
        assert f" {title} " in page.words
    assert page.tags.count("polyline") == 4, "learned, held out, and that of two genres"
    assert page.tags.count("section") == 14


def test_it_needs_no_network_and_no_script(html: str) -> None:
    page = Page(html)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not {name for name, _ in page.attributes if name in ("src", "srcset", "action", "onclick", "onload")}
    assert {value for name, value in page.attributes if name == "href" and not str(value).startswith("#")} == set()
    assert "url(" not in html
    assert "@import" not in html


def test_text_of_models_is_text(html: str) -> None:
    page = Page(html)
    assert "<script>alert" not in html
    assert (
        "<script>alert('x')</script> {{ 7 * 7 }} [bold red]loud[/bold red] \\x1b[31mred\\x00 \\u202eright" in page.words
    )
    assert "cut <b>off" in page.words
    assert "<b>mid</b>" in page.words
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", html)


def test_what_decided_a_reading_is_marked_in_the_answer(html: str) -> None:
    assert "Reply 1 of base: &lt;b&gt;<mark>I act</mark>&lt;/b&gt;." in html


def test_headings_of_a_hostile_spec_are_text(tmp_path: Path) -> None:
    """A spec is written by others too."""
    root = tmp_path / "<i>run"
    hostile = '{{ config }} "><script>x</script>'
    row = {name: None for name, _ in TABLES["clauses"].columns} | {
        "clause_id": content_id("clause", 1), "ordinal": 0, "path": [hostile], "label": hostile, "kind": "rule",
        "split": "train", "text": hostile, "pass_hash": "p",
    }  # fmt: skip
    brief = {name: None for name, _ in TABLES["briefs"].columns} | {
        "brief_id": content_id("brief", 1), "kind": "document", "clause_ids": [row["clause_id"]], "genre": hostile,
        "model": hostile, "pass_hash": "p",
    }  # fmt: skip
    with open_writer(root) as store:
        writer = store.writer("corpus")
        for table, made in (("clauses", row), ("briefs", brief)):
            writer.commit(table, "p", pa.Table.from_pylist([made], schema=TABLES[table].schema))
            writer.set_current(table, {"all": "p"})
    page = Page(render_report(root, []))
    assert "script" not in page.tags
    assert page.words.count(hostile) >= 3
    assert "<i>run" in page.words


def test_the_same_rows_give_the_same_bytes(run: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "one" / "run", tmp_path / "two" / "run"
    for copy in (first, second):
        shutil.copytree(run, copy)
    pages = [write_report(copy, ARMS).read_bytes() for copy in (first, second, first)]
    assert pages[0] == pages[1] == pages[2]
    assert [path.name for path in first.glob("*.html")] == ["report.html"]
    assert not list(first.glob(".tmp-*"))


def test_a_run_without_rows_has_a_report_that_says_so(empty_run: Path) -> None:
    page = Page(render_report(empty_run, []))
    assert page.open == []
    for words in (
        "No calls.",
        "No documents.",
        "No verdicts.",
        "No mixes.",
        "Nothing was trained.",
        "Nothing was measured.",
    ):
        assert words in page.words


def test_numbers_are_those_of_the_rows(html: str) -> None:
    words = " ".join(Page(html).words.split())
    assert "12 clauses, 2 held out" in words
    assert "37 documents" in words
    assert "906.3 s of work in 3 invocations" in words
    assert "2026-03-01 09:00" in words


def test_a_file_that_does_not_read_back_is_named_without_this_machines_path(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    part = next((root / "chats").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-10])
    html = render_report(root, [])
    assert f"Rows are missing in this report: chats/{part.name}" in html
    assert str(tmp_path) not in html


def test_of_many_clauses_the_least_covered_are_shown(tmp_path: Path) -> None:
    clauses = [
        {name: None for name, _ in TABLES["clauses"].columns}
        | {"clause_id": content_id("clause", number), "ordinal": number, "path": [f"heading {number}"], "kind": "rule",
           "split": "train", "text": "text", "pass_hash": "p"}
        for number in range(MOST_CLAUSES + 5)
    ]  # fmt: skip
    brief = {name: None for name, _ in TABLES["briefs"].columns} | {
        "brief_id": "b2:1", "kind": "document", "clause_ids": [clauses[0]["clause_id"]], "genre": "memo",
        "pass_hash": "p",
    }  # fmt: skip
    with open_writer(tmp_path / "run") as store:
        writer = store.writer("corpus")
        for table, rows in (("clauses", clauses), ("briefs", [brief])):
            writer.commit(table, "p", pa.Table.from_pylist(rows, schema=TABLES[table].schema))
            writer.set_current(table, {"all": "p"})
    words = Page(render_report(tmp_path / "run", [])).words
    assert f"The {MOST_CLAUSES} of {MOST_CLAUSES + 5} clauses with the fewest" in words


def test_bars_of_a_histogram_are_as_high_as_their_counts() -> None:
    chart = histogram([Bin(0, (10, 0)), Bin(100, (5, 5)), Bin(200, (0, 5))], 100, ("a", "b"))
    heights = [float(box.height) for box in chart.boxes]
    assert heights == [heights[0], heights[0] / 2, heights[0] / 2, heights[0] / 2]
    assert chart.boxes[2].title == "100 to 199: 5 b"


@pytest.mark.parametrize(("largest", "width"), [(1, 1), (23, 1), (24, 2), (480, 50), (99_999, 5_000)])
def test_bins_are_of_round_width_and_not_too_many(largest: int, width: int) -> None:
    assert bin_width(largest, 24) == width
    assert largest // width < 24


def test_ticks_are_round_and_in_range() -> None:
    assert ticks(0, 1, 5) == [0, 0.5, 1] or ticks(0, 1, 5) == [0, 0.25, 0.5, 0.75, 1.0]
    assert ticks(3.0, 3.0, 5) == [3.0]
    assert all(1.7 <= tick <= 3.1 for tick in ticks(1.7, 3.1, 5))


def test_a_flat_curve_of_one_update_can_be_drawn() -> None:
    [curve] = line_chart([Line("seed 0", [(1.0, 2.5)], 0)], cut_peaks=True).curves
    [mark] = curve.marks
    assert curve.points == f"{mark.x},{mark.y}", "a line of one point alone is not seen"


def test_whiskers_keep_order_and_show_zero_only_in_sight() -> None:
    [whisker] = whiskers([(-1.0, 0.0, 3.0)])
    assert float(whisker.low) < float(whisker.value) < float(whisker.high)
    assert whisker.zero == whisker.value
    assert whiskers([(5.0, 6.0, 7.0)])[0].zero is None
