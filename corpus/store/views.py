"""The views of a run over its parts and its journal: typed from the first moment, also with no rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from corpus.store.records import rows_table
from corpus.store.schema import TABLES, Table
from corpus.store.snapshot import Snapshot

_WORD = re.compile(r"\w+")
_CURATED = {"curated": ("documents", "doc_id"), "curated_chats": ("chats", "chat_id")}
"""The views of what curation keeps: of which table, and its key."""

_STALE_BY_BRIEF = """
    brief_id IS NOT NULL AND (
        NOT EXISTS (FROM briefs WHERE briefs.brief_id = rows.brief_id)
        OR (
            NOT EXISTS (
                FROM briefs WHERE briefs.brief_id = rows.brief_id AND briefs.context_hash = rows.context_hash
            )
            AND EXISTS (FROM refreshed WHERE refreshed.brief_id = rows.brief_id)
        )
    )
"""
_REFRESHED = ", refreshed AS (SELECT brief_id FROM rows JOIN briefs USING (brief_id, context_hash))"

_NOT_REWRITTEN = "AND doc_id NOT IN (SELECT parent_id FROM documents WHERE parent_id IS NOT NULL)"
"""Of two versions of a document only the second is one to train on."""


class Views:
    """A DuckDB in memory with `TABLE`, `all_TABLE`, `curated` and `curated_chats` of one run; nothing is locked yet.

    Rooms ask often, and a connection costs 10 ms, a view some more: both are kept, and of the views only those are
    made anew whose rows or current hashes have changed.
    """

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:")
        self._made: dict[str, object] = {}
        """What each view was made of."""

    def show(self, snapshot: Snapshot, sql: str | None = None) -> None:
        """Bring the views to a moment: with `sql`, those whose names stand in it; else all."""
        wanted = _needed(_WORD.findall(sql)) if sql is not None else {*TABLES, *_CURATED}
        for table in TABLES.values():
            if table.name in wanted and self._is_new(table.name, _state(table, snapshot)):
                _make_views(self.connection, table, snapshot)
        for view, (table_name, key) in _CURATED.items():
            if view in wanted and self._is_new(view, (snapshot.current.get("verdicts"), _has_duplicates(snapshot))):
                _make_curated(self.connection, view, table_name, key, snapshot)

    def close(self) -> None:
        """Let the connection go."""
        self.connection.close()

    def _is_new(self, view: str, state: object) -> bool:
        known = view in self._made and self._made[view] == state
        self._made[view] = state
        return not known


def _state(table: Table, snapshot: Snapshot) -> object:
    """What a table's views are made of. A journal only grows, and where it is sealed there is one part more."""
    parts, num_journal_rows = snapshot.parts.get(table.name, []), len(snapshot.journal.get(table.name, ()))
    return tuple(parts), num_journal_rows, snapshot.current.get(table.name)


def _has_duplicates(snapshot: Snapshot) -> bool:
    return "duplicates" in snapshot.current


def _needed(names: Iterable[str]) -> set[str]:
    """The tables and views behind `names`."""
    words = set(names)
    needed = words & _CURATED.keys() | {word.removeprefix("all_") for word in words} & TABLES.keys()
    for view in needed & _CURATED.keys():
        needed |= {_CURATED[view][0], "verdicts", "duplicates"}
    if needed & {"documents", "chats"}:
        needed.add("briefs")
    return needed


def _make_views(connection: duckdb.DuckDBPyConnection, table: Table, snapshot: Snapshot) -> None:
    columns = ", ".join(f'"{name}"' for name, _ in table.columns)
    journal = rows_table(table, snapshot.journal.get(table.name, ()))
    connection.register("_rows", journal)
    # A copy, not the Arrow table: the sandbox closes the door through which DuckDB would look at it.
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _journal_{table.name} AS SELECT {columns} FROM _rows")
    connection.unregister("_rows")
    source = f"SELECT {columns} FROM _journal_{table.name}"
    parts = snapshot.parts.get(table.name, [])
    if parts:
        # By name: the parts of an older run lack the columns that were added since.
        read = f"FROM read_parquet({_literals(map(str, parts))}, union_by_name = true)"
        source = f"SELECT {columns} FROM ({read} UNION ALL BY NAME {source})"
    refreshed = _REFRESHED if table.stale_unless == "brief_id -> briefs" else ""
    connection.execute(
        f"CREATE OR REPLACE VIEW all_{table.name} AS WITH rows AS ({source}){refreshed} "
        f"SELECT *, {_stale(table, snapshot)} AS stale FROM rows"
    )
    connection.execute(f"CREATE OR REPLACE VIEW {table.name} AS SELECT {columns} FROM all_{table.name} WHERE NOT stale")


def _stale(table: Table, snapshot: Snapshot) -> str:
    if table.stale_unless is None:
        return "false"
    if table.stale_unless == "brief_id -> briefs":
        return _STALE_BY_BRIEF
    # What a room notes beside its passes has '@' before its name.
    hashes = [one for scope, one in snapshot.current.get(table.name, {}).items() if not scope.startswith("@")]
    return f"{table.stale_unless} NOT IN {_literals(hashes, '()')}" if hashes else "true"


def _make_curated(connection: duckdb.DuckDBPyConnection, view: str, table: str, key: str, snapshot: Snapshot) -> None:
    """What every current filter keeps and what survives its cluster; nothing before curation has finished once."""
    verdicts = snapshot.current.get("verdicts")
    if verdicts is None or not _has_duplicates(snapshot):
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM {table} WHERE false")
        return
    kept = "('keep', 'unjudged')" if verdicts.get("@unjudged") == "keep" else "('keep')"
    num_filters = sum(1 for scope in verdicts if not scope.startswith("@"))
    connection.execute(f"""
        CREATE OR REPLACE VIEW {view} AS
        SELECT * FROM {table}
        WHERE {num_filters} = (
            SELECT count(*) FROM verdicts WHERE verdicts.doc_id = {table}.{key} AND outcome IN {kept}
        )
        AND {key} NOT IN (SELECT doc_id FROM duplicates WHERE doc_id <> survivor_id)
        {_NOT_REWRITTEN if table == "documents" else ""}
    """)


def _literals(values: Iterable[str], brackets: str = "[]") -> str:
    """Our own paths and hashes as an SQL list; nothing a model or a spec wrote comes through here."""
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{brackets[0]}{quoted}{brackets[1]}"


def lock_down(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Close every door but reading the run's own files. The order matters: each setting is still open to the next."""
    connection.execute(f"SET allowed_directories = {_literals([str(root.resolve())])}")
    # DuckDB adds its spill folder, in the working directory, to those that a query may read and write.
    connection.execute("SET temp_directory = ''")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET allow_community_extensions = false")
    connection.execute("SET lock_configuration = true")


def run_query(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
) -> pa.Table:
    """Run one statement and take the whole answer."""
    values = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
    return connection.sql(sql, params=values).to_arrow_table()


def run_in_batches(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Sequence[object] | Mapping[str, object],
    num_rows: int,
) -> Iterator[pa.RecordBatch]:
    """Run one statement and take the answer as it comes; nothing else may run on the connection until the end."""
    values = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
    yield from connection.sql(sql, params=values).to_arrow_reader(num_rows)
