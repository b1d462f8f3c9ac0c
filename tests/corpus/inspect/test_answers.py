"""How answers are written."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from corpus.errors import QueryError, StoreError
from corpus.inspect import answer_or_shell
from corpus.inspect.answers import SHOWN_ROWS, choose_format, show_answer, write_answer
from corpus.inspect.visible import visible

ANSWER = pa.table(
    {
        "text": ['two\nlines, "quoted"', "\x00\x1b[31mred [bold]x[/bold]"],
        "clauses": [["a", "b"], None],
        "share": [0.5, float("nan")],
        "total": pa.array([Decimal("12"), Decimal("1.5")]),
        "at": [datetime(2026, 3, 1, 9), None],
    }
)


def written(table: pa.Table, kind: str) -> bytes:
    stream = io.BytesIO()
    write_answer(table, stream, kind)
    return stream.getvalue()


def test_json_is_one_array_with_a_row_a_line_and_null_for_what_is_no_number() -> None:
    data = written(ANSWER, "json")
    rows = json.loads(data)
    assert rows[0] == {
        "text": "two\nlines, \"quoted\"", "clauses": ["a", "b"], "share": 0.5, "total": 12, "at": "2026-03-01T09:00:00",
    }  # fmt: skip
    assert (rows[1]["share"], rows[1]["total"]) == (None, 1.5)
    assert len(data.splitlines()) == 4
    assert json.loads(written(ANSWER.slice(0, 0), "json")) == []


def test_csv_reads_back() -> None:
    rows = list(csv.reader(io.StringIO(written(ANSWER, "csv").decode(), newline="")))
    assert rows[0] == ANSWER.column_names
    assert rows[1] == ['two\nlines, "quoted"', '["a", "b"]', "0.5", "12", "2026-03-01T09:00:00"]


def test_parquet_reads_back_from_a_stream_and_from_a_file(tmp_path: Path) -> None:
    assert pq.read_table(io.BytesIO(written(ANSWER, "parquet"))).column_names == ANSWER.column_names
    write_answer(ANSWER, tmp_path / "answer.parquet", "parquet")
    assert pq.read_table(tmp_path / "answer.parquet").num_rows == 2
    assert [path.name for path in tmp_path.iterdir()] == ["answer.parquet"]


def test_a_table_shows_control_characters_and_markup_as_text() -> None:
    shown = written(ANSWER, "table").decode()
    assert "\\x00\\x1b[31mred [bold]x[/bold]" in shown
    assert "\x1b" not in shown
    assert "\x00" not in shown


def test_a_terminal_gets_no_escape_sequence_of_the_data() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=120)
    with console.capture() as captured:
        console.print(show_answer(ANSWER))
    assert "\x1b[31m" not in captured.get()


def test_a_long_table_says_how_many_rows_it_leaves_out() -> None:
    shown = written(pa.table({"n": list(range(SHOWN_ROWS + 3))}), "table").decode()
    assert "3 not shown" in shown


def test_one_row_is_shown_whole_and_many_are_shortened() -> None:
    long = "word " * 200
    assert written(pa.table({"t": [long]}), "table").decode().count("word") == 200
    assert written(pa.table({"t": [long, long]}), "table").decode().count("word") < 200


@pytest.mark.parametrize(
    ("wanted", "output", "chosen"),
    [(None, None, "table"), (None, "a.csv", "csv"), (None, "a.PARQUET", "parquet"), ("json", "a.csv", "json")],
)
def test_the_format_is_what_is_asked_for_else_the_extension(
    wanted: str | None, output: str | None, chosen: str
) -> None:
    assert choose_format(wanted, Path(output) if output else None) == chosen


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(QueryError, match=r"a\.xlsx.*table, csv, json, parquet"):
        choose_format(None, Path("a.xlsx"))


def test_an_output_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_answer(ANSWER, tmp_path / "nowhere" / "a.csv", "csv")


@pytest.mark.parametrize("value", [b"\x00\xff", "plain", 3, None, [1, None], {"a": [None]}])
def test_every_kind_of_value_can_be_written(value: object) -> None:
    table = pa.table({"value": [value]})
    for kind in ("table", "csv", "json", "parquet"):
        assert written(table, kind)


def test_what_a_terminal_would_obey_is_spelled_out_and_letters_of_all_scripts_stay() -> None:
    assert visible("a\x07\x9b\u202e\ud800b\nc") == "a\\x07\\x9b\\u202e\\ud800b\nc"
    assert visible("نمونه‌ای, 日本語, e\u0301, 👩‍🔬") == "نمونه‌ای, 日本語, e\u0301, 👩‍🔬"


def test_an_answer_is_never_written_into_the_run(run: Path, tmp_path: Path) -> None:
    [part, *_] = (run / "documents").glob("*.parquet")
    before = part.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(run)
    for output in (part, run / "new.csv", link / "documents" / part.name):
        with pytest.raises(QueryError, match="is in the run"):
            answer_or_shell(run, "SELECT doc_id FROM documents", None, output)
    assert part.read_bytes() == before
    answer_or_shell(run, "SELECT doc_id FROM documents", None, tmp_path / "beside.csv")
    assert (tmp_path / "beside.csv").exists()
