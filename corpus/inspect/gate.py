"""The gate of the sandbox: which statements may reach a run.

DuckDB can be told which folders are open, not that they are open for reading only. So a statement passes only if it
cannot write, and that is decided from what DuckDB's own parser makes of it, never from its words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import duckdb

from corpus.errors import QueryError
from corpus.foreign import has_half_character

ALLOWED = "SELECT (also FROM first, WITH, VALUES, PIVOT, UNPIVOT), EXPLAIN of one, DESCRIBE, SHOW, SUMMARIZE"
_READING_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_EVALUATING_FUNCTIONS = frozenset({"query", "json_execute_serialized_sql"})
"""They run a text as SQL, so the parser does not see what it holds."""
_ACTING_FUNCTIONS = re.compile(r".*(external_resource|grammar_extension).*|.*checkpoint|write_log|truncate_.*")
"""They do more than answer; what is there to act on is closed besides."""


def check_reads(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Let `text` pass if it is one statement that only reads.

    Raises:
        QueryError: nothing there, more than one statement, not SQL, or of a kind that does more than read.
    """
    if has_half_character(text):  # how Python shows bytes of the command line that are not UTF-8
        raise QueryError("the statement is not UTF-8; write it in UTF-8")
    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as error:
        raise QueryError(first_lines(error)) from None
    if len(statements) != 1:
        raise QueryError(f"one statement a call; this holds {len(statements)}")
    try:
        kind = statements[0].type
    except ValueError:  # one that the Python client has no name for
        raise _refused("that") from None
    if kind == duckdb.StatementType.EXPLAIN:
        _check_query(connection, _explained(text))
    elif kind == duckdb.StatementType.SELECT:
        _check_query(connection, text)
    elif kind == duckdb.StatementType.MULTI:
        raise QueryError(
            "a PIVOT that looks up its own columns is several statements to DuckDB; name them: "
            "PIVOT ... ON column IN ('one value', 'another')"
        )
    else:
        raise _refused(kind.name)


def first_lines(error: duckdb.Error) -> str:
    """What DuckDB says, with its hint and the place, without what follows."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return "\n".join(lines[:6])


def _check_query(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    [(serialized,)] = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [text]).fetchall()
    tree = json.loads(serialized)
    if tree["error"]:
        raise QueryError(f"this kind of statement is not open here ({tree['error_message']}); allowed: {ALLOWED}")
    for node in _nodes(tree["statements"]):
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in _READING_NODES:
            raise _refused(kind.removesuffix("_NODE").removesuffix("_QUERY"))
        function = str(node.get("function_name", "")).lower()
        if function in _EVALUATING_FUNCTIONS:
            raise QueryError(f"{function}() runs a text as SQL, which is not open here; write the query itself")
        if _ACTING_FUNCTIONS.fullmatch(function):
            raise QueryError(f"{function}() does more than read, which is not open here")


def _nodes(tree: object) -> Iterator[dict[str, object]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _explained(text: str) -> str:
    """What an EXPLAIN explains: what follows EXPLAIN, ANALYZE and options in brackets."""
    data = text.encode()  # token offsets count bytes
    tokens = duckdb.tokenize(text)
    ends = [*(offset for offset, _ in tokens[1:]), len(data)]
    words = [
        (offset, data[offset:end].decode().strip().upper())
        for (offset, kind), end in zip(tokens, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]
    first = 2 if words[1][1] == "ANALYZE" else 1
    if words[1][1] == "(" and words[2][1] in ("ANALYZE", "FORMAT"):
        first = [word for _, word in words].index(")") + 1
    return data[words[first][0] :].decode()


def _refused(kind: str) -> QueryError:
    return QueryError(f"{kind} is not a statement that reads; allowed: {ALLOWED}; to write the answer: --output FILE")
