"""Parts: Parquet files that are whole or not there, and never change."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import CorruptFileError
from corpus.store.journal import space_error, sync_folder

TEMPORARY = ".tmp-"
ROW_GROUP_ROWS = 16_384
"""Rows of one row group: what a whole-corpus pass holds in memory at a time."""
_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError, KeyError)
"""What PyArrow raises on damaged files, a column's name that is no text among it."""


def write_part(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write a part: under a temporary name, to the disk, renamed, the folder to the disk.

    Raises:
        StoreError: the disk is full; nothing of the part stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        # The checksums let `corrupt_parts` find a page that the disk changed.
        with pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer:
            for batch in batches:
                writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)
        replace_durably(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise space_error(error, path) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_durably(temporary: Path, path: Path) -> None:
    """Bring a finished temporary file to the disk under its real name, in one step for every reader."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(path.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Write a small file so that it is the old one or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        temporary.write_bytes(data)
        replace_durably(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise space_error(error, path) from error


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed writer left half-written. Only the process that holds the lock may."""
    for temporary in folder.glob(f"*/{TEMPORARY}*"):
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink()


def columns_of(path: Path) -> frozenset[str]:
    """A part's columns, from its footer: cheap to read, and it finds every file that was cut short.

    Raises:
        CorruptFileError: it is not a whole Parquet file; the message names it.
    """
    try:
        return _columns(path, *_version(path))
    except _UNREADABLE as error:
        raise corrupt_error(path, str(error)) from error


def _version(path: Path) -> tuple[int, ...]:
    """What of a file changes when it is written: a part never is, unless something is wrong."""
    seen = path.stat()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


@lru_cache(maxsize=20_000)
def _columns(path: Path, *_version: int) -> frozenset[str]:
    return frozenset(pq.read_schema(path).names)


def verify_once(path: Path) -> None:
    """`verify_pages`, but not again in this process while the file stays as it is."""
    _verified(path, *_version(path))


@lru_cache(maxsize=20_000)
def _verified(path: Path, *_version: int) -> None:
    verify_pages(path)


def pass_path(root: Path, table: str, pass_hash: str) -> Path:
    """Where the part of a whole pass is."""
    return root / table / f"pass-{pass_hash.removeprefix('b2:')}.parquet"


def verify_pages(path: Path) -> None:
    """Read a part to its end, and compare each page with its checksum, which DuckDB does not do.

    Raises:
        CorruptFileError: it is not as it was written.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except _UNREADABLE as error:
        raise corrupt_error(path, str(error)) from error


def corrupt_parts(paths: Iterable[Path]) -> list[Path]:
    """The parts that PyArrow or DuckDB cannot read, or whose pages do not match their checksums.

    Reads everything: only asked for when a query failed.
    """
    return [path for path in paths if not _reads_back(path)]


def _reads_back(path: Path) -> bool:
    try:
        verify_pages(path)
        with duckdb.connect(":memory:") as connection:  # it is stricter with footers than PyArrow is
            for _ in connection.sql("FROM read_parquet(?)", params=[str(path)]).to_arrow_reader(ROW_GROUP_ROWS):
                pass
    except (CorruptFileError, duckdb.Error):
        return False
    return True


def corrupt_error(path: Path, reason: str) -> CorruptFileError:
    """The user's message for a file that does not read back."""
    return CorruptFileError(
        f"{path} does not read back ({reason.splitlines()[0][:120]}); everything else still reads. "
        f"Move that file out of the run: the rows it held are made again by the verb that made them"
    )
