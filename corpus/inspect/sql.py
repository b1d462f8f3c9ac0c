"""Answers SQL over a run, in a sandbox that reads the run and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from corpus.errors import CorruptFileError, QueryError, nearest
from corpus.inspect.gate import check_reads, first_lines
from corpus.inspect.interrupt import unless_interrupted
from corpus.inspect.look import Look
from corpus.inspect.named import NamedQuery, named_queries


@dataclass(frozen=True)
class Answer:
    """What a query gave."""

    table: pa.Table
    faults: tuple[CorruptFileError, ...]
    """Files that do not read back: their rows are missing in the table."""


def run_sql(root: Path, statement: str, given: Mapping[str, str] | None = None) -> Answer:
    """Answer one statement that reads, or the query of that name, over the run in `root`.

    It works while another process writes the run: it sees every finished row of one moment.

    Args:
        root: the run's folder.
        statement: SQL, or a name.
        given: values of a named query's parameters, as text.

    Raises:
        QueryError: not one statement, not one that reads, or DuckDB could not run it (its message, shortened); or a
            parameter that is missing or unknown.
        StoreError: there is no run in that folder.
        KeyboardInterrupt: Ctrl+C stopped it.
    """
    word = statement.strip().removesuffix(";").strip()
    named = named_queries().get(word)
    if named is None and word.isidentifier():
        raise QueryError(f"there is no query named '{word}'; {nearest(word, named_queries())}")
    if named is None and given:
        raise QueryError("-p gives values to a named query; write them into a statement of your own")
    sql = named.sql if named else statement
    values = named.values(given or {}) if named else {}
    looks: list[Look] = []

    def answer() -> Answer:
        with Look(root, sandboxed=True, sql=sql, is_ours=named is not None) as look:
            looks.append(look)
            check_reads(look.connection, sql)
            if named is not None:
                _check_values(look, named, values)
            table = look.table(sql, values)
            return Answer(table.rename_columns(_distinct(table.column_names)), tuple(look.faults))

    def stop() -> None:
        for look in looks:
            look.connection.interrupt()

    try:
        return unless_interrupted(answer, stop)
    except duckdb.Error as error:
        raise QueryError(first_lines(error)) from None


def _check_values(look: Look, named: NamedQuery, values: Mapping[str, object]) -> None:
    """Refuse a name that stands nowhere in its column: an answer would say that nothing is or changes."""
    for one in named.parameters:
        value = values[one.name]
        if one.column is None or value is None:
            continue
        column, table = one.column
        if look.rows(f"SELECT 1 FROM {table} WHERE {column} = $value LIMIT 1", {"value": value}):
            continue
        known = [str(row["known"]) for row in look.rows(f"SELECT DISTINCT {column} AS known FROM {table} ORDER BY 1")]
        if known:
            raise QueryError(f"-p {one.name}={value}: no row of {table} has it; {nearest(str(value), known)}")


def _distinct(names: list[str]) -> list[str]:
    """`SELECT 1 AS a, 2 AS a` has two columns of one name, which neither JSON nor Parquet can hold."""
    distinct: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in distinct:
            candidate, number = f"{name}_{number}", number + 1
        distinct.append(candidate)
    return distinct
