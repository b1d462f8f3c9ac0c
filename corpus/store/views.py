"""The views of a run over its parts and its journal: typed from the first moment, also with no rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from corpus.store.present import present_values
from corpus.store.records import rows_table
from corpus.store.schema import TABLES, Table
from corpus.store.snapshot import Snapshot

_WORD = re.compile(r"\w+")
_BY_BRIEF = "brief_id -> briefs"
CURRENT_VALUES = "current_values"
"""The view of `present_values`."""
_CURATED = {"curated": ("documents", "doc_id"), "curated_chats": ("chats", "chat_id")}
"""The views of what curation keeps: of which table, and its key."""

_UNMATCHED = """
    SELECT {key}, brief_id, written.context_hash, asked.brief_id IS NULL AS is_gone
    FROM ({rows}) AS written LEFT JOIN briefs AS asked USING (brief_id)
    WHERE written.brief_id IS NOT NULL
        AND (is_gone OR asked.context_hash IS DISTINCT FROM written.context_hash)
"""
"""The rows that were not written for a current brief with its present context, and whether there is no such brief.

Usually there are none. Of a brief that is current twice, in two contexts, both are here."""
_OF_OLD_CONTEXT = "FROM _unmatched_{table} ANTI JOIN briefs USING (brief_id, context_hash) WHERE NOT is_gone"
_GONE = "SELECT {key} FROM _unmatched_{table} WHERE is_gone"
_REFRESHED = """
    SELECT {key} FROM _old_{table} SEMI JOIN (
        SELECT brief_id FROM (FROM ({rows}) SEMI JOIN _old_{table} USING (brief_id))
        JOIN briefs USING (brief_id, context_hash)
    ) USING (brief_id)
"""
"""And of the rows of an old context, those whose brief was written for again, in its present context."""

LAST_VERSION = "doc_id NOT IN (SELECT parent_id FROM documents WHERE parent_id IS NOT NULL)"
"""SQL, of a row of `documents`: whether it was not written anew. Of two versions only the second is one to train on."""


class Views:
    """A DuckDB in memory with `TABLE`, `all_TABLE`, `curated`, `curated_chats` and `current_values` of one run.

    Nothing is locked yet. Rooms ask often, and a connection costs 10 ms, a view some more: both are kept, and of the
    views only those are made anew whose rows or current hashes have changed.
    """

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:")
        # A part never changes, so its footer is read once, however many views and subqueries look at it.
        self.connection.execute("SET parquet_metadata_cache = true")
        self._made: dict[str, object] = {}
        """What each view was made of."""

    def show(self, snapshot: Snapshot, sql: str, *, others: bool = False) -> None:
        """Bring the views whose names stand in `sql` to a moment; with `others`, all there are.

        Which rows are stale by their brief is worked out here, once, for the tables that `sql` names; for the others
        it is left to the query, should there be one.
        """
        wanted = _needed(_WORD.findall(sql))
        made = {*TABLES, *_CURATED} if others else wanted
        if CURRENT_VALUES in sql or others:
            _make_current_values(self.connection, snapshot)
        for table in TABLES.values():
            if table.name in made and self._is_new(table.name, _state(table, snapshot)):
                _make_views(self.connection, table, snapshot, is_asked=table.name in wanted)
        if made & _CURATED.keys() and self._is_new("_kept", _state(TABLES["verdicts"], snapshot)):
            _find_kept(self.connection, snapshot, is_asked=bool(wanted & _CURATED.keys()))
        for view, (table_name, key) in _CURATED.items():
            state = snapshot.current.get("verdicts"), _has_duplicates(snapshot)
            if view in made and self._is_new(view, state):
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
    own = tuple(parts), num_journal_rows, snapshot.current.get(table.name)
    return (own, _state(TABLES["briefs"], snapshot)) if table.stale_unless == _BY_BRIEF else own


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


def _make_views(connection: duckdb.DuckDBPyConnection, table: Table, snapshot: Snapshot, *, is_asked: bool) -> None:
    names = [name for name, _ in table.columns]
    journal = rows_table(table, snapshot.journal.get(table.name, ()))
    connection.register("_rows", journal)
    # A copy, not the Arrow table: the sandbox closes the door through which DuckDB would look at it.
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _journal_{table.name} AS SELECT {_columns(names)} FROM _rows")
    connection.unregister("_rows")
    source = _rows_of(table, snapshot, journal.num_rows, names)
    if table.stale_unless == _BY_BRIEF:
        rows = _rows_of(table, snapshot, journal.num_rows, [table.key, "brief_id", "context_hash"])
        has_rows = journal.num_rows or snapshot.parts.get(table.name)
        stale = _find_stale(connection, table, rows, is_asked) if has_rows else "false"
    else:
        stale = _stale_by_hash(table, snapshot)
    connection.execute(f"CREATE OR REPLACE VIEW all_{table.name} AS SELECT *, {stale} AS stale FROM ({source})")
    connection.execute(
        f"CREATE OR REPLACE VIEW {table.name} AS SELECT {_columns(names)} FROM all_{table.name} WHERE NOT stale"
    )


def _rows_of(table: Table, snapshot: Snapshot, num_journal_rows: int, names: Sequence[str]) -> str:
    """The rows of parts and journal as a query of some columns."""
    journal, parts = f"_journal_{table.name}", snapshot.parts.get(table.name, [])
    if not parts:
        return f"SELECT {_columns(names)} FROM {journal}"
    # By name, which is slower: the parts of an older run lack the columns that were added since.
    lacks = any(not snapshot.columns[path].issuperset(names) for path in parts)
    read = f"read_parquet({_literals(map(str, parts))}, union_by_name = {lacks})"
    if not lacks and not num_journal_rows:
        # Without the union DuckDB counts rows by the footers alone.
        return f"SELECT {_columns(names)} FROM {read}"
    return f"SELECT {_columns(names)} FROM (FROM {read} UNION ALL BY NAME FROM {journal})"


def _columns(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _find_stale(connection: duckdb.DuckDBPyConnection, table: Table, rows: str, is_asked: bool) -> str:
    """Whether a row is stale by its brief, as an expression.

    Which rows are is looked up now where that is going to be read, perhaps often, so that of a million rows none of
    which is stale no query has to ask again; else it is left to the query.
    """
    create = f"CREATE OR REPLACE TEMP {'TABLE' if is_asked else 'VIEW'}"

    def find(name: str, sql: str) -> bool:
        """Make a table or view of some rows; whether there may be any."""
        query = sql.format(rows=rows, table=table.name, key=table.key)
        connection.execute(f"{create} {name}_{table.name} AS {query}")
        return not is_asked or connection.execute(f"SELECT count(*) FROM {name}_{table.name}").fetchone() != (0,)

    if not find("_unmatched", _UNMATCHED):
        return "false"
    stale = [_GONE, _REFRESHED] if find("_old", _OF_OLD_CONTEXT) else [_GONE]
    return f"{table.key} IN (FROM _stale_{table.name})" if find("_stale", " UNION ALL ".join(stale)) else "false"


def _stale_by_hash(table: Table, snapshot: Snapshot) -> str:
    if table.stale_unless is None:
        return "false"
    # What a room notes beside its passes has '@' before its name.
    hashes = [one for scope, one in snapshot.current.get(table.name, {}).items() if not scope.startswith("@")]
    return f"{table.stale_unless} NOT IN {_literals(hashes, '()')}" if hashes else "true"


def _make_curated(connection: duckdb.DuckDBPyConnection, view: str, table: str, key: str, snapshot: Snapshot) -> None:
    """What every current filter keeps and what survives its cluster; nothing before curation has finished once."""
    verdicts = snapshot.current.get("verdicts")
    if verdicts is None or not _has_duplicates(snapshot):
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM {table} WHERE false")
        return
    # Without a filter nobody has verdicts, and everything is kept.
    by_filters = f"SEMI JOIN _kept ON _kept.doc_id = {table}.{key}" if _num_filters(verdicts) else ""
    connection.execute(f"""
        CREATE OR REPLACE VIEW {view} AS
        SELECT * FROM {table}
        {by_filters}
        ANTI JOIN (SELECT doc_id FROM duplicates WHERE doc_id <> survivor_id) AS lost ON lost.doc_id = {table}.{key}
        {f"WHERE {LAST_VERSION}" if table == "documents" else ""}
    """)


def _find_kept(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, *, is_asked: bool) -> None:
    """`_kept`: the ids that every current filter keeps; found once where it is asked for, both kinds at a time."""
    verdicts = snapshot.current.get("verdicts", {})
    kept = "('keep', 'unjudged')" if verdicts.get("@unjudged") == "keep" else "('keep')"
    connection.execute(
        f"CREATE OR REPLACE TEMP {'TABLE' if is_asked else 'VIEW'} _kept AS SELECT doc_id FROM verdicts "
        f"WHERE outcome IN {kept} GROUP BY doc_id HAVING count(*) = {_num_filters(verdicts)}"
    )


def _num_filters(verdicts: Mapping[str, str]) -> int:
    return sum(1 for scope in verdicts if not scope.startswith("@"))


def _make_current_values(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    rows = present_values(snapshot.root, snapshot.current)
    names = ("about", "name", "value")
    columns = [pa.array([one[place] for one in rows], pa.string()) for place in range(len(names))]
    connection.register("_rows", pa.table(columns, names=names))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {CURRENT_VALUES} AS SELECT * FROM _rows")
    connection.unregister("_rows")


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
