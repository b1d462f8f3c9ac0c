"""A run's rows: reading them from any process, writing them from one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from corpus.errors import StoreError
from corpus.store import parts, snapshot, views
from corpus.store.journal import Rows, Segment, read_segment, sync_folder
from corpus.store.lock import WriterLock
from corpus.store.records import check_rows, rows_table
from corpus.store.schema import TABLES, Room

SEAL_ROWS = 8_192
"""Rows after which a segment becomes a part: reading a journal costs a few ms per thousand rows."""
SEAL_BYTES = 32 << 20
"""Bytes after which a segment becomes a part."""


class Store:
    """The rows of one run. Open it with `open_reader` or `open_writer`."""

    def __init__(self, root: Path) -> None:
        """Look at the run in `root`, without a lock."""
        self.root = root
        self._views: views.Views | None = None

    def query(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> pa.Table:
        """Answer SQL of ours over the views, everything written so far included.

        Raises:
            CorruptFileError: a part or a segment does not read back: no room decides on half of the rows.
        """
        seen = self._look()
        self._views = self._views or views.Views()
        try:
            self._views.show(seen, sql)
            return views.run_query(self._views.connection, sql, parameters)
        except duckdb.Error as error:
            self._views = None  # half of its views may be of another moment
            raise self._explained(seen, error) from error

    def batches(
        self,
        sql: str,
        parameters: Sequence[object] | Mapping[str, object] = (),
        *,
        num_rows: int,
        wanted: pa.Table | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """`query` for an answer that is larger than memory: at most `num_rows` rows at a time.

        `wanted` is a table that the SQL may name so. It answers from the moment that the first batch is taken at,
        whatever is asked or written meanwhile.

        Raises:
            CorruptFileError: a part or a segment does not read back; batches before it may have been given.
        """
        seen = self._look()
        own = views.Views()
        try:
            own.show(seen, sql)
            if wanted is not None:
                own.connection.register("wanted", wanted)
            yield from views.run_in_batches(own.connection, sql, parameters, num_rows)
        except duckdb.Error as error:
            raise self._explained(seen, error) from error
        finally:
            own.close()

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[dict[str, object]]:
        """`query`, as one dictionary a row."""
        return list(self.query(sql, parameters).to_pylist())

    def _look(self) -> snapshot.Snapshot:
        seen = snapshot.take_snapshot(self.root)
        if seen.faults:
            raise seen.faults[0]
        return seen

    def _explained(self, seen: snapshot.Snapshot, error: duckdb.Error) -> Exception:
        """The part that does not read back where there is one; else the error itself."""
        corrupt = parts.corrupt_parts(path for paths in seen.parts.values() for path in paths)
        return parts.corrupt_error(corrupt[0], str(error)) if corrupt else error

    def has_pass(self, table: str, pass_hash: str) -> bool:
        """Whether the part of a whole pass is there: one that was moved away is made again."""
        return parts.pass_path(self.root, table, pass_hash).exists()

    def verify(self, table: str) -> None:
        """Compare every page of a table's parts with its checksum: once a process, for mixes come in families.

        Raises:
            CorruptFileError: one is not as it was written; the message names the part.
        """
        for path in snapshot.part_paths(self.root, table):
            parts.verify_once(path)

    def current(self, table: str) -> dict[str, str]:
        """Hashes of the current recipe for a table, by scope; empty before any were set."""
        return snapshot.read_current(self.root).get(table, {})


class WritingStore(Store):
    """The one store that writes. Rooms get at it through `writer`."""

    def __init__(self, root: Path, lock: WriterLock, on_note: Callable[[str], None]) -> None:
        """Make whole what a killed writer left: its segments become parts, its temporary files go.

        Raises:
            CorruptFileError: a part or segment does not read back; nothing was changed.
        """
        super().__init__(root)
        self._lock = lock
        self._segment: Segment | None = None
        self.is_changed = False
        """Whether a row or a current hash was written since it was opened."""
        faults = snapshot.take_snapshot(root).faults
        if faults:
            raise faults[0]
        parts.remove_temporaries(root)
        self._next_number = 1 + max(
            [0, *snapshot.segment_numbers(root)]
            + [int(path.stem) for table in TABLES for path in (root / table).glob("[0-9]*.parquet")]
        )
        for number in snapshot.segment_numbers(root):
            torn = read_segment(snapshot.segment_path(root, number)).torn_bytes
            if torn:
                on_note(
                    f"{snapshot.segment_path(root, number)} ends in {torn} bytes of an unfinished record, as a killed "
                    f"process leaves it; that one item is done again"
                )
            self._become_part(number)

    def writer(self, room: Room) -> Writer:
        """The pen of one room."""
        return Writer(self, room)

    def append(self, rows: Rows) -> None:
        """One atomic record; see `Writer.append`."""
        self.is_changed = True
        if self._segment is None:
            self._segment = Segment(snapshot.segment_path(self.root, self._take_number()))
        self._segment.append(rows)
        if self._segment.num_rows >= SEAL_ROWS or self._segment.num_bytes >= SEAL_BYTES:
            self.seal()

    def add_part(self, table: str, batches: Iterable[pa.RecordBatch], pass_hash: str | None) -> None:
        """One whole part; see `Writer.add_part` and `Writer.commit`."""
        self.is_changed = True
        schema = TABLES[table].schema
        if pass_hash is None:
            self.seal()  # numbers are filled in order: readers count on it
            parts.write_part(self.root / table / snapshot.part_name(self._take_number()), schema, batches)
            return
        path = parts.pass_path(self.root, table, pass_hash)
        if not path.exists():  # a pass is a function of its hash: what is there is already it
            parts.write_part(path, schema, batches)

    def set_current(self, table_or_room: str, hashes: Mapping[str, object]) -> None:
        """See `Writer.set_current` and `Writer.set_current_together`."""
        self.is_changed = True
        path = self.root / snapshot.CURRENT / f"{table_or_room}.json"
        parts.write_durably(path, json.dumps(hashes, indent=1, sort_keys=True).encode())

    def seal(self) -> None:
        """Turn the journal into a part now."""
        if self._segment is not None:
            segment, self._segment = self._segment, None
            segment.close()
            self._become_part(int(segment.path.stem))

    def close(self) -> None:
        """Seal, and let the next writer in."""
        try:
            self.seal()
        finally:
            self._lock.release()

    def _take_number(self) -> int:
        number = self._next_number
        self._next_number += 1
        return number

    def _become_part(self, number: int) -> None:
        """Segment N becomes part N of each of its tables. Killed half-way, the next writer does the rest."""
        path = snapshot.segment_path(self.root, number)
        by_table: dict[str, list[dict[str, object]]] = {}
        for record in read_segment(path).records:
            for table, rows in record.items():
                by_table.setdefault(table, []).extend(rows)
        for table, rows in by_table.items():
            part = self.root / table / snapshot.part_name(number)
            if not part.exists():
                made = rows_table(TABLES[table], rows)
                parts.write_part(part, made.schema, made.to_batches())
        path.unlink()
        sync_folder(path.parent)


class Writer:
    """The pen of one room: it writes that room's tables and no other."""

    def __init__(self, store: WritingStore, room: Room) -> None:
        """See `WritingStore.writer`."""
        self._store = store
        self._room = room

    def append(self, rows: Rows) -> None:
        """Write rows of one item, of one or more tables: all of them or none. Durable as the design promises.

        Raises:
            StoreError: the disk is full; every row before is kept.
        """
        for table, table_rows in rows.items():
            self._check_room(table)
            check_rows(TABLES[table], table_rows)
        self._store.append(rows)

    def add_part(self, table: str, rows: pa.Table | Iterable[pa.RecordBatch]) -> None:
        """Write many rows as one part: all of them or none. Batches, of the table's schema, are taken one at a time."""
        self._check_room(table)
        schema = TABLES[table].schema
        batches = iter(rows.select(schema.names).cast(schema).to_batches() if isinstance(rows, pa.Table) else rows)
        first = next(batches, None)
        if first is not None:
            self._store.add_part(table, itertools.chain([first], batches), None)

    def commit(self, table: str, pass_hash: str, rows: pa.Table | Iterable[pa.RecordBatch]) -> None:
        """Write the rows of a whole pass, which carry `pass_hash`. Plain views show them once it is current."""
        self._check_room(table)
        assert "pass_hash" in TABLES[table].schema.names, table
        batches = rows.cast(TABLES[table].schema).to_batches() if isinstance(rows, pa.Table) else rows
        self._store.add_part(table, batches, pass_hash)

    def set_current(self, table: str, hashes: Mapping[str, str]) -> None:
        """Say which hashes are of the current recipe, by scope: the plain view changes at one rename."""
        self._check_room(table)
        self._store.set_current(table, hashes)

    def set_current_together(self, hashes: Mapping[str, Mapping[str, str]]) -> None:
        """`set_current` of several tables: no reader sees one of them changed without the others.

        They are set together always, or never.
        """
        for table in hashes:
            self._check_room(table)
        self._store.set_current(self._room, hashes)

    def _check_room(self, table: str) -> None:
        assert self._room in TABLES[table].writers, f"{self._room} may not write {table}: {TABLES[table].writers} do"


def open_reader(root: Path) -> Store:
    """Open a run for reading, also while another process writes it.

    Raises:
        StoreError: there is no run in that folder.
    """
    if not (root / snapshot.JOURNAL).is_dir():
        raise StoreError(f"there is no run in {root}; make one with: specmill run RECIPE")
    return Store(root)


@contextmanager
def open_writer(root: Path, on_note: Callable[[str], None] = lambda _: None) -> Iterator[WritingStore]:
    """Open a run for writing, making its folder if need be; sealed and unlocked at the end, also after an error.

    Raises:
        StoreError: another process writes this run, or the disk takes nothing.
        CorruptFileError: a file of the run does not read back.
    """
    for folder in (snapshot.JOURNAL, snapshot.CURRENT, *TABLES):
        try:
            (root / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{root / folder} cannot be made: {error.strerror}; choose another place for the run"
            ) from error
    lock = WriterLock(root)
    try:
        store = WritingStore(root, lock, on_note)
    except BaseException:
        lock.release()
        raise
    try:
        yield store
    finally:
        store.close()
