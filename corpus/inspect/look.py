"""One look at a run: its views as they are at one moment, without what does not read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from corpus.errors import CorruptFileError, StoreError
from corpus.store import views
from corpus.store.parts import corrupt_error, corrupt_parts
from corpus.store.snapshot import JOURNAL, take_snapshot

Row = dict[str, object]
_MAY_BE_A_FILE = (duckdb.IOException, duckdb.InvalidInputException, duckdb.InternalException)
"""What DuckDB raised, besides a bare `Error`, on parts with flipped bytes."""


class Look:
    """The views of a run at one moment. Also while another process writes it: nothing is locked, nothing waits."""

    def __init__(self, root: Path, *, sandboxed: bool = False, sql: str = "", is_ours: bool = False) -> None:
        """Take the look.

        Args:
            root: the run's folder.
            sandboxed: closes every door but reading the run's own files: for SQL that is not ours.
            sql: with `sandboxed`, the statement it is taken for: what that reads is made ready before the doors close.

            is_ours: whether that statement reads only what it names in lower case, as those of ours do.

        Raises:
            StoreError: there is no run in that folder.
        """
        if not (root / JOURNAL).is_dir():
            raise StoreError(f"there is no run in {root}; make one with: specmill run RECIPE")
        self.root = root
        self._sandboxed = sandboxed
        self._sql = sql
        self._is_ours = is_ours
        self._snapshot = take_snapshot(root)
        self.faults: list[CorruptFileError] = list(self._snapshot.faults)
        """Files that do not read back: their rows are missing in every answer."""
        try:
            self.connection = self._connect()
        except duckdb.Error as error:
            self._leave_out_corrupt(error, is_ours=True)

    def table(self, query: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> pa.Table:
        """Answer one statement; a part that does not read back is left out and becomes a fault.

        Raises:
            duckdb.Error: the query itself is at fault.
        """
        values = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
        while True:
            try:
                if not self._sandboxed:
                    self._views.show(self._snapshot, query)
                return self.connection.sql(query, params=values).to_arrow_table()
            except duckdb.Error as error:
                self._leave_out_corrupt(error, is_ours=self._is_ours or not self._sandboxed)

    def rows(self, query: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        """`table`, as one dictionary a row."""
        return list(self.table(query, parameters).to_pylist())

    def _connect(self) -> duckdb.DuckDBPyConnection:
        self._views = views.Views()
        if self._sandboxed:
            self._views.show(self._snapshot, self._sql, others=not self._is_ours)
            views.lock_down(self._views.connection, self.root)
        return self._views.connection

    def _leave_out_corrupt(self, error: duckdb.Error, *, is_ours: bool) -> None:
        """Take the corrupt parts out of the look, or raise `error` again if every part reads back."""
        # Reading every part costs; in SQL that is not ours, a name that is not there, say, is no fault of a file.
        suspicious = is_ours or type(error) is duckdb.Error or isinstance(error, _MAY_BE_A_FILE)
        paths = [path for paths in self._snapshot.parts.values() for path in paths] if suspicious else []
        corrupt = set(corrupt_parts(paths))
        if not corrupt:
            raise error
        self.faults += [corrupt_error(path, str(error)) for path in sorted(corrupt)]
        self._snapshot.parts = {
            table: [path for path in paths if path not in corrupt] for table, paths in self._snapshot.parts.items()
        }
        self.connection = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()
