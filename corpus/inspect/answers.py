"""Writes the answer of a query: as a table to look at, as CSV, JSON or Parquet to go on with."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import QueryError, StoreError
from corpus.inspect.visible import shortened, visible

if TYPE_CHECKING:
    from rich.console import Group

Format = Literal["table", "csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
SHOWN_ROWS = 200
"""Rows of a table to look at; what is left out is said below it."""
SHOWN_CHARS = 240
"""Characters of one cell of a table with more than one row."""
_BATCH_ROWS = 4_096


def choose_format(wanted: str | None, output: Path | None) -> Format:
    """The format asked for, else that of the output's extension, else a table.

    Raises:
        QueryError: a format or an extension that is not known.
    """
    name = wanted or (output.suffix.removeprefix(".").lower() if output else "table")
    for known in FORMATS:
        if name == known:
            return known
    where = f"--format {wanted}" if wanted else f"the extension of {output}"
    raise QueryError(f"{where} is none of {', '.join(FORMATS)}; say it with --format, or name the file so")


def write_answer(table: pa.Table, target: Path | BinaryIO, kind: Format, width: int = 120) -> None:
    """Write an answer.

    CSV and JSON hold numbers as numbers, lists and structs as JSON, bytes as base64; JSON has one row a line inside
    one array, and null for what is not a finite number.

    Args:
        table: the rows.
        target: a file, which is replaced in one step, or a binary stream such as stdout's buffer.
        kind: how.
        width: columns of the `table` format.

    Raises:
        StoreError: the file cannot be written.
    """
    if isinstance(target, Path):
        temporary = target.with_name(f".tmp-{os.getpid()}-{target.name}")
        try:
            with temporary.open("wb") as stream:
                write_answer(table, stream, kind, width)
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(f"{target} cannot be written: {error.strerror}; choose another place") from error
    elif kind == "parquet":
        # Parquet needs a place to seek in, which a pipe is not.
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd")
        target.write(buffer.getvalue())
    elif kind == "csv":
        _write_csv(table, target)
    elif kind == "json":
        _write_json(table, target)
    else:
        target.write(_as_text(table, width).encode())


def _write_csv(table: pa.Table, target: BinaryIO) -> None:
    text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in _rows(table):
        writer.writerow(
            [json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value for value in row]
        )
    text.detach()


def _write_json(table: pa.Table, target: BinaryIO) -> None:
    separator = "[\n"
    for row in _rows(table):
        line = json.dumps(dict(zip(table.column_names, row, strict=True)), ensure_ascii=False)
        target.write(f"{separator}{line}".encode())
        separator = ",\n"
    target.write(b"[]\n" if table.num_rows == 0 else b"\n]\n")


def _rows(table: pa.Table) -> Iterator[tuple[object, ...]]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        columns = [[plain(value) for value in _values(column)] for column in batch.columns]
        yield from zip(*columns, strict=True)


def _values(column: pa.Array) -> list[object]:
    """A column's values; of times that Python has none for (infinity, the year 20000), what DuckDB would print."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return list(column.cast(pa.string()).to_pylist())


def plain(value: object) -> object:
    """A value of Arrow's as JSON's: the nearest that JSON has."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, pa.MonthDayNano):
        return f"{value.months} months {value.days} days {value.nanoseconds / 1e9} seconds"
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)  # a UUID, say


def show_answer(table: pa.Table) -> Group:
    """An answer as a table to look at: at most `SHOWN_ROWS` rows, control characters escaped, no text as markup."""
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable()
    for field in table.schema:
        is_number = any(test(field.type) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal))
        shown.add_column(Text(visible(field.name)), justify="right" if is_number else "left", overflow="fold")
    num_chars = SHOWN_CHARS if table.num_rows > 1 else sys.maxsize  # one row is asked for to be read whole
    for row in _rows(table.slice(0, SHOWN_ROWS)):
        shown.add_row(*(Text(shortened(visible(_cell(value)), num_chars)) for value in row))
    left_out = table.num_rows - SHOWN_ROWS
    if left_out <= 0:
        return Group(shown)
    return Group(shown, Text(f"{table.num_rows} rows; {left_out} not shown: --format csv, json or parquet has all"))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _as_text(table: pa.Table, width: int) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(show_answer(table))
    return captured.get()
