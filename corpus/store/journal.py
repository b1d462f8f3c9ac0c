"""The journal: finished rows on their way into a part.

A segment is a file of records. A record is one item's rows, for all tables they go to, with length and checksum: it
is there whole or it is not there. Layout: magic (4 bytes), payload length and CRC-32 of the payload (both unsigned,
little-endian), payload (JSON, UTF-8).
"""

from __future__ import annotations

import errno
import json
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from corpus.errors import StoreError

MAGIC = b"\xa5SMJ"
HEADER = struct.Struct("<4sII")
SYNC_ROWS = 64
"""Rows that may wait for the disk at most: the design's promise."""
SYNC_SECONDS = 1.0
"""Time a row may wait for the disk at most: the design's promise."""

Rows = Mapping[str, Sequence[Mapping[str, object]]]


@dataclass
class Contents:
    """What reading a segment gave."""

    records: list[dict[str, list[dict[str, object]]]] = field(default_factory=list)
    torn_bytes: int = 0
    """Bytes after the last whole record: a record that a crash cut off, or one that is being written now."""
    corrupt_offset: int | None = None
    """Where a record does not check although whole records follow: the disk, or a hand, changed it."""


def encode(rows: Rows) -> bytes:
    """One record."""
    payload = json.dumps(rows, ensure_ascii=False, separators=(",", ":"), default=_plain).encode("utf-8")
    return HEADER.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a journal row cannot hold {value!r:.80}")


def read_segment(path: Path) -> Contents:
    """Every whole record of a segment; what lies between or behind them is told apart, never guessed at.

    Raises:
        FileNotFoundError: the segment has become a part meanwhile; look there.
    """
    data = path.read_bytes()
    contents = Contents()
    offset = 0
    while offset < len(data):
        payload = _payload_at(data, offset)
        if payload is None:
            following = _next_record(data, offset + 1)
            if following is None:
                contents.torn_bytes = len(data) - offset
                break
            if contents.corrupt_offset is None:
                contents.corrupt_offset = offset
            offset = following
            continue
        contents.records.append(json.loads(payload))
        offset += HEADER.size + len(payload)
    return contents


def _payload_at(data: bytes, offset: int) -> bytes | None:
    if len(data) - offset < HEADER.size:
        return None
    magic, length, checksum = HEADER.unpack_from(data, offset)
    start = offset + HEADER.size
    if magic != MAGIC or start + length > len(data):
        return None
    payload = data[start : start + length]
    return payload if zlib.crc32(payload) == checksum else None


def _next_record(data: bytes, offset: int) -> int | None:
    for candidate in _occurrences(data, MAGIC, offset):
        if _payload_at(data, candidate) is not None:
            return candidate
    return None


def _occurrences(data: bytes, pattern: bytes, offset: int) -> Iterator[int]:
    while (offset := data.find(pattern, offset)) != -1:
        yield offset
        offset += 1


class Segment:
    """The segment that is being written.

    A row that `append` returned for is in the kernel's hands; it is on the disk after `SYNC_ROWS` rows or
    `SYNC_SECONDS`, whichever comes first.
    """

    def __init__(self, path: Path) -> None:
        """Create the file; it must not be there yet."""
        self.path = path
        self.num_rows = 0
        self.num_bytes = 0
        self._unsynced_rows = 0
        self._sync_error: OSError | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise space_error(error, path) from error
        sync_folder(path.parent)
        self._syncer = threading.Thread(target=self._sync_in_time, name="journal-sync", daemon=True)
        self._syncer.start()

    def append(self, rows: Rows) -> None:
        """Write one record.

        Raises:
            StoreError: the disk is full, or does not take what was written before; nothing of this record stays.
        """
        record = encode(rows)
        with self._lock:
            if self._sync_error is not None:
                raise space_error(self._sync_error, self.path) from self._sync_error
            try:
                written = 0
                while written < len(record):
                    written += os.write(self._descriptor, record[written:])
            except OSError as error:
                # Half a record at the end would read as torn; the next append must not build on it.
                os.ftruncate(self._descriptor, self.num_bytes)
                raise space_error(error, self.path) from error
            self.num_bytes += len(record)
            added = sum(len(table_rows) for table_rows in rows.values())
            self.num_rows += added
            self._unsynced_rows += added
            if self._unsynced_rows >= SYNC_ROWS:
                self._sync()

    def close(self) -> None:
        """Bring everything to the disk and close."""
        self._closed.set()
        self._syncer.join()
        with self._lock:
            self._sync()
            os.close(self._descriptor)
        if self._sync_error is not None:
            raise space_error(self._sync_error, self.path) from self._sync_error

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
            self._unsynced_rows = 0
        except OSError as error:
            self._sync_error = error

    def _sync_in_time(self) -> None:
        next_sync = time.monotonic() + SYNC_SECONDS / 2
        while not self._closed.wait(max(0.0, next_sync - time.monotonic())):
            next_sync = time.monotonic() + SYNC_SECONDS / 2
            with self._lock:
                if self._unsynced_rows:
                    self._sync()


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries (a new name, a rename) to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def space_error(error: OSError, path: Path) -> StoreError:
    """The user's message for a disk that takes no more."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            f"no space left for {path} ({error.strerror}); free some space and run again: every finished row is kept"
        )
    return StoreError(
        f"{path} cannot be written: {error.strerror}; mend that and run again: every finished row is kept"
    )
