"""The queries that have a name: one `.sql` file each, its first line saying what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "queries"


@dataclass(frozen=True)
class NamedQuery:
    """A query of ours over the views."""

    name: str
    answers: str
    """What it answers, in one line."""
    sql: str


@cache
def named_queries() -> dict[str, NamedQuery]:
    """Every named query by its name, in alphabetical order."""
    queries = {}
    for path in sorted(FOLDER.glob("*.sql")):
        sql = path.read_text(encoding="utf-8")
        comment = sql.partition("\n")[0]
        assert comment.startswith("-- "), f"{path.name} should begin with a comment that says what it answers"
        queries[path.stem] = NamedQuery(path.stem, comment.removeprefix("-- "), sql)
    return queries
