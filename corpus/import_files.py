"""The rows of files that are imported, one after the other: JSON Lines, plain or compressed, and Parquet."""

from __future__ import annotations

import io
import itertools
import json
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.conversations import BadRow, Fields
from corpus.errors import DataError
from corpus.foreign import has_half_character
from corpus.inspect.visible import visible

BATCH_ROWS = 4_096
"""Rows that are in memory at a time, at most."""
BATCH_BYTES = 16 << 20
"""What rows in memory hold (bytes, uncompressed), as far as a Parquet file's footer tells; one row always fits."""
MAX_LINE_BYTES = 256 << 20
"""A longer line is no row (bytes): a file without line ends would be read into memory whole."""
EXCERPT_CHARS = 200
"""What is kept of a row that cannot be used (characters)."""
TAKES = "import takes .jsonl and .ndjson, also .gz and .zst of them, and .parquet"
_LINES = (".jsonl", ".ndjson")
_COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
_CONVERTIBLE = (".csv", ".tsv", ".json")
"""What DuckDB reads."""
_UNREADABLE = (pa.ArrowException, OSError, ValueError)
"""What PyArrow raises on files, and on values, that are damaged; UnicodeDecodeError is a ValueError."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxdict, _SHORT.maxlist, _SHORT.maxlevel = 8, 4, 3


class Line(NamedTuple):
    """One row of a file."""

    where: str
    """File and line (or row), both counted from 1."""
    fields: Fields | BadRow
    """What it holds, or why that cannot be read."""
    raw: bytes = b""
    """The beginning of a line that is no JSON object."""

    @property
    def excerpt(self) -> str:
        """The beginning of what stands there, with every unseen character escaped."""
        if isinstance(self.fields, BadRow):
            return visible(self.raw.decode("utf-8", "backslashreplace"), keep="")[:EXCERPT_CHARS]
        return visible(_SHORT.repr(dict(self.fields)), keep="")[:EXCERPT_CHARS]


def check_files(files: Sequence[Path]) -> None:
    """Refuse, before anything is read, what is no file to import.

    Raises:
        DataError: a file is not there, a folder, of another kind, or named twice.
    """
    seen: set[Path] = set()
    for file in files:
        if file.is_dir():
            raise DataError(f"{file} is a folder; name the files in it, such as {file}/*.jsonl ({TAKES})")
        if not file.is_file():
            what = "no file matches" if set("*?[") & set(str(file)) else "there is no file"
            raise DataError(f"{what} {file}; {TAKES}")
        kind = file.suffix if file.suffix not in _COMPRESSED else Path(file.stem).suffix
        if kind not in _LINES and file.suffix != ".parquet":
            how = f": COPY (FROM '{file.name}') TO '{file.stem}.parquet'" if file.suffix in _CONVERTIBLE else ""
            convert = f"convert it first, with DuckDB say{how}" if how else "convert it first"
            raise DataError(f"{file} ends in '{''.join(file.suffixes[-2:])}'; {TAKES}; {convert}")
        if has_half_character(file.name):  # how Python shows a byte that is not UTF-8
            raise DataError(
                f"the name of {str(file)!r} is not UTF-8, and each row keeps it as its source; rename the file"
            )
        if file.resolve() in seen:
            raise DataError(f"{file} is named twice, and each of its rows would be there twice; name it once")
        seen.add(file.resolve())


def read_lines(file: Path) -> Iterator[Line]:
    """The rows of a file, in order.

    Raises:
        DataError: the file does not read, or not to its end; the message names it.
    """
    if file.suffix == ".parquet":
        yield from (Line(f"{file.name}:{number}", fields) for number, fields in _parquet_rows(file))
    else:
        yield from _json_rows(file)


def _parquet_rows(file: Path) -> Iterator[tuple[int, Fields | BadRow]]:
    try:
        with pq.ParquetFile(file) as parquet:
            batches = parquet.iter_batches(batch_size=_batch_rows(parquet.metadata), use_threads=False)
            yield from enumerate(itertools.chain.from_iterable(map(_values, batches)), 1)
    except _UNREADABLE as error:
        raise DataError(f"{file} is not a whole Parquet file: {error}; make it anew, or leave it out") from None


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """How many rows fit into `BATCH_BYTES`, in the row group with the largest ones."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    largest = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1.0)
    return min(BATCH_ROWS, max(1, int(BATCH_BYTES / max(1.0, largest))))


def _values(batch: pa.RecordBatch) -> Iterator[Fields | BadRow]:
    """Python values of each row; where one of them has none (a date in year 20000, bytes in a text), row by row."""
    try:
        yield from batch.to_pylist(maps_as_pydicts="strict")
        return
    except (*_UNREADABLE, OverflowError, KeyError) as error:
        if batch.num_rows == 1:
            yield BadRow("a value that cannot be read", str(error))
            return
    for index in range(batch.num_rows):
        yield from _values(batch.slice(index, 1))


def _json_rows(file: Path) -> Iterator[Line]:
    try:
        with _opened(file) as stream:
            for number, data in enumerate(_split(stream), 1):
                if data.strip():
                    yield Line(f"{file.name}:{number}", _fields(data), data[:EXCERPT_CHARS].rstrip())
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{file} does not read to its end: {visible(str(error), keep='')}; make it anew, or leave it out"
        ) from None


def _opened(file: Path) -> io.BufferedReader:
    if file.suffix not in _COMPRESSED:
        return file.open("rb")
    stream = pa.CompressedInputStream(pa.OSFile(str(file)), _COMPRESSED[file.suffix])
    return io.BufferedReader(stream, 1 << 20)


def _split(stream: io.BufferedReader) -> Iterator[bytes]:
    """The lines of a file; of one that is too long, its beginning, one byte longer than a line may be."""
    while data := stream.readline(MAX_LINE_BYTES + 1):
        rest = data
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 1)
        yield data


def _fields(data: bytes) -> Fields | BadRow:
    if len(data) > MAX_LINE_BYTES:
        return BadRow(f"a line of more than {MAX_LINE_BYTES >> 20} MiB")
    try:
        fields = json.loads(data.decode("utf-8-sig"))  # files that were joined may have a mark in their midst
    except UnicodeDecodeError as error:
        return BadRow("not UTF-8", f"byte 0x{data[error.start]:02x} at position {error.start}")
    except (ValueError, RecursionError) as error:
        return BadRow("not JSON", str(error))
    return fields if isinstance(fields, dict) else BadRow("no JSON object", _SHORT.repr(fields)[:60])
