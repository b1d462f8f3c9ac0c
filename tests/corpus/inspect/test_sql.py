"""The sandbox: what a query may do, and what it may not."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from corpus.errors import CorruptFileError, QueryError, StoreError
from corpus.inspect.gate import check_reads
from corpus.inspect.look import Look
from corpus.inspect.sql import run_sql
from corpus.store import open_reader


def files_of(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM documents",
        "FROM clauses SELECT kind",
        "WITH a AS (SELECT 1 AS one) FROM a",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) FROM t",
        "VALUES (1), (2)",
        "DESCRIBE clauses",
        "SHOW TABLES",
        "SUMMARIZE documents",
        "PIVOT calls ON outcome IN ('ok', 'truncated') USING count(*) GROUP BY purpose",
        "UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b",
        "EXPLAIN SELECT 1",
        "explain /* why */ analyze -- é\n FROM calls",
        "EXPLAIN (FORMAT json) SELECT 1",
        "EXPLAIN (SELECT 1)",
        "SELECT ';' AS text; -- the end",
        "FROM all_documents WHERE stale",
    ],
)
def test_a_statement_that_reads_is_answered(run: Path, statement: str) -> None:
    assert run_sql(run, statement).faults == ()


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("COPY (SELECT 1) TO '{root}/x.csv'", "COPY"),
        ("COPY documents TO '{root}/x.parquet' (FORMAT parquet)", "COPY"),
        ("ATTACH '{root}/x.db'", "ATTACH"),
        ("SET threads = 1", "SET"),
        ("RESET lock_configuration", "SET"),
        ("PRAGMA version", "PRAGMA"),
        ("CALL pragma_version()", "CALL"),
        ("INSTALL httpfs", "LOAD"),
        ("LOAD json", "LOAD"),
        ("CREATE TABLE x (i INT)", "CREATE"),
        ("DROP VIEW documents", "DROP"),
        ("EXPORT DATABASE '{root}/x'", "EXPORT"),
        ("PREPARE p AS SELECT 1", "PREPARE"),
        ("INSERT INTO _journal_calls FROM _journal_calls", "INSERT"),
        ("UPDATE EXTENSIONS", "that"),
        ("WITH a AS (COPY (SELECT 1) TO '{root}/x.csv') FROM a", "COPY"),
        ("SELECT (WITH a AS (COPY (SELECT 1) TO '{root}/x.csv') SELECT 1)", "COPY"),
        ("WITH a AS (DELETE FROM _journal_calls RETURNING 1) FROM a", "DELETE"),
        ("EXPLAIN ANALYZE WITH a AS (COPY (SELECT 1) TO '{root}/x.csv') FROM a", "COPY"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{root}/x.csv'", "this kind"),
        ("EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{root}/x.csv'", "this kind"),
        ("COPY (PIVOT calls ON outcome USING count(*)) TO '{root}/x.csv'", "PIVOT"),
        ("PIVOT calls ON outcome USING count(*)", "name them"),
    ],
)
def test_a_statement_that_does_more_than_read_is_refused(run: Path, statement: str, kind: str) -> None:
    before = files_of(run)
    with pytest.raises(QueryError, match=kind):
        run_sql(run, statement.replace("{root}", str(run)))
    assert files_of(run) == before


def test_no_text_is_run_as_sql(run: Path) -> None:
    """DuckDB's function writes, in a bare sandbox, what a WITH holds; the parser sees only a text."""
    writing = f"WITH a AS (COPY (SELECT 1) TO ''{run}/x.csv'') FROM a"
    for function in ("json_execute_serialized_sql(json_serialize_sql(", "QUERY(("):
        with pytest.raises(QueryError, match="runs a text"):
            run_sql(run, f"FROM {function}'{writing}'))")
    assert not (run / "x.csv").exists()


@pytest.mark.parametrize(
    "function", ["destroy_external_resource('query', 'SELECT 42')", "checkpoint()", "write_log('x')"]
)
def test_a_function_that_acts_is_not_open(run: Path, function: str) -> None:
    with pytest.raises(QueryError, match="does more than read"):
        run_sql(run, f"FROM {function}")


def test_the_gate_is_what_keeps_a_writing_query_out(run: Path, tmp_path: Path) -> None:
    """Negative control: the folders that are open to DuckDB are open for writing."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    with Look(copy, sandboxed=True) as look:
        look.connection.execute(f"WITH a AS (COPY (SELECT 1) TO '{copy}/x.csv') FROM a").fetchall()
    assert (copy / "x.csv").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_text('/etc/passwd')",
        "FROM read_blob('{root}/../secret.txt')",
        "FROM '{root}/../outside.parquet'",
        "FROM read_parquet('{root}/linked.parquet')",
        "FROM read_text('{root}/linked.txt')",
        "FROM read_text('{root}/linked/secret.txt')",
        "FROM read_csv('.tmp/x.csv')",
        "FROM glob('/*')",
        "FROM glob('{root}/../*')",
        "SELECT getenv('HOME')",
        "FROM read_duckdb('{root}/../x.db')",
        "FROM 'https://example.com/x.parquet'",
    ],
)
def test_nothing_outside_the_run_is_read(run: Path, tmp_path: Path, statement: str) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    (tmp_path / "secret.txt").write_text("secret")
    duckdb.sql("SELECT 42 AS secret").write_parquet(str(tmp_path / "outside.parquet"))
    (root / "linked.txt").symlink_to(tmp_path / "secret.txt")
    (root / "linked.parquet").symlink_to(tmp_path / "outside.parquet")
    (root / "linked").symlink_to(tmp_path)
    with pytest.raises(QueryError):
        run_sql(root, statement.replace("{root}", str(root)))


def test_no_folder_but_the_run_is_open(run: Path) -> None:
    """DuckDB would open its spill folder, in the working directory, too."""
    [row] = run_sql(run, "SELECT current_setting('allowed_directories') AS open").table.to_pylist()
    assert row["open"] == [f"{run.resolve()}/"]


def test_python_variables_are_no_tables(run: Path) -> None:
    import pyarrow as pa

    mine = pa.table({"secret": [1]})
    assert mine.num_rows == 1
    with pytest.raises(QueryError, match="mine"):
        run_sql(run, "FROM mine")


@pytest.mark.parametrize("statement", ["", "-- nothing", "SELECT 1; SELECT 2"])
def test_it_is_one_statement_a_call(run: Path, statement: str) -> None:
    with pytest.raises(QueryError, match="one statement a call"):
        run_sql(run, statement)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELEC 1", "syntax error"),
        ("FROM documants", "documents"),
        ("SELECT num_token FROM documents", "num_tokens"),
        ("SELECT 'x'::INT", "Could not convert"),
        ("SELECT $1", "parameters"),
    ],
)
def test_what_duckdb_says_of_a_wrong_query_reaches_the_user(run: Path, statement: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        run_sql(run, statement)


def test_columns_of_one_name_are_told_apart(run: Path) -> None:
    assert run_sql(run, "SELECT 1 AS a, 2 AS a, 3 AS a_1").table.column_names == ["a", "a_1", "a_1_1"]


def test_a_named_query_is_answered_by_its_name(run: Path) -> None:
    assert run_sql(run, " funnel; ").table.column_names == ["step", "documents", "chats"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no run"):
        run_sql(tmp_path, "SELECT 1")


def test_a_corrupt_page_is_reported_and_everything_else_is_answered(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    num_documents = run_sql(root, "FROM documents").table.num_rows
    first, second = sorted((root / "documents").glob("*.parquet"))
    data = bytearray(first.read_bytes())
    for offset in range(4, 400):
        data[offset] ^= 0xFF
    first.write_bytes(data)
    answer = run_sql(root, "FROM documents")
    assert [type(fault) for fault in answer.faults] == [CorruptFileError]
    assert first.name in str(answer.faults[0])
    assert 0 < answer.table.num_rows < num_documents, second


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_byte_of_a_footer_is_a_named_fault_or_changes_nothing(run: Path, tmp_path: Path, seed: int) -> None:
    """Neither a traceback of DuckDB's nor a column that is silently empty."""
    root = tmp_path / "run"
    shutil.copytree(run, root)
    asked = "SELECT doc_id, brief_id, set, genre, text, num_tokens FROM all_documents ORDER BY ALL"
    whole = run_sql(root, asked).table
    first, _ = sorted((root / "documents").glob("*.parquet"))
    data, chance = bytearray(first.read_bytes()), random.Random(seed)
    footer_bytes = int.from_bytes(data[-8:-4], "little")
    data[chance.randrange(len(data) - 8 - footer_bytes, len(data))] ^= 1 << chance.randrange(8)
    first.write_bytes(data)
    with Look(root) as look:
        seen = look.table(asked)
        assert seen.equals(whole) or any(first.name in str(fault) for fault in look.faults)
    try:
        assert open_reader(root).query(asked).equals(whole)
    except CorruptFileError as error:
        assert first.name in str(error)


def test_a_column_that_changed_its_name_on_the_disk_is_no_older_runs_part(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    first, second = sorted((root / "documents").glob("*.parquet"))
    table = pq.read_table(first)
    pq.write_table(table.rename_columns([{"text": "tezt"}.get(name, name) for name in table.column_names]), first)
    older = pq.read_table(second).drop_columns(["extra"])
    pq.write_table(older, second)
    answer = run_sql(root, "SELECT count(text) AS n FROM documents")
    assert answer.table.to_pylist() == [{"n": older.num_rows}]
    assert [str(first) in str(fault) and "'tezt'" in str(fault) for fault in answer.faults] == [True]


def test_hashes_that_are_cut_off_are_named(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    (root / "current" / "verdicts.json").write_text('{"length": "b2:')
    with pytest.raises(CorruptFileError, match=r"current/verdicts.json does not read back"):
        run_sql(root, "FROM curated")


def test_a_cut_part_is_reported_and_everything_else_is_answered(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    first, _ = sorted((root / "documents").glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:-20])
    answer = run_sql(root, "SELECT count(*) AS n FROM documents")
    assert len(answer.faults) == 1
    assert answer.table.to_pylist() == [{"n": 1}]


def test_the_gate_reads_what_is_explained_not_the_words_before_it() -> None:
    connection = duckdb.connect()
    check_reads(connection, "EXPLAIN SELECT 'COPY x TO y; INSERT'")
    with pytest.raises(QueryError):
        check_reads(connection, "EXPLAIN INSERT INTO x VALUES ('SELECT')")
