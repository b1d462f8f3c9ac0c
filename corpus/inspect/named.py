"""The queries that have a name: one `.sql` file each, its first line saying what it answers.

Comment lines below the first may declare parameters, as in `-- $at_least: number or null. The lowest value kept.` One
whose meaning says "as in the column `x` of `y`" takes only what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from corpus.errors import QueryError, nearest

FOLDER = Path(__file__).parent / "queries"
_DECLARED = re.compile(r"-- \$(\w+): (text|number)( or null)?\. (.+)")
_COLUMN = re.compile(r"as in the column `(\w+)` of `(\w+)`")


@dataclass(frozen=True)
class Parameter:
    """A value that a named query asks for."""

    name: str
    kind: Literal["text", "number"]
    is_optional: bool
    """Whether it is null when it is left out."""
    meaning: str

    @property
    def column(self) -> tuple[str, str] | None:
        """The column and the table that a value has to stand in, where the meaning names them."""
        found = _COLUMN.search(self.meaning)
        return (found[1], found[2]) if found else None

    def read(self, text: str) -> str | float:
        """The value that `text` stands for.

        Raises:
            QueryError: it is no number and should be one.
        """
        if self.kind == "text":
            return text
        try:
            return float(text)
        except ValueError:
            raise QueryError(f"-p {self.name}={text}: {self.name} is a number, such as 0.5") from None


@dataclass(frozen=True)
class NamedQuery:
    """A query of ours over the views."""

    name: str
    answers: str
    """What it answers, in one line."""
    sql: str
    parameters: tuple[Parameter, ...] = ()

    def values(self, given: Mapping[str, str]) -> dict[str, str | float | None]:
        """The values of all parameters, for a prepared statement.

        Raises:
            QueryError: one is missing, unknown, or no number where it should be one; the message lists them.
        """
        known = {one.name: one for one in self.parameters}
        for name in given:
            if name not in known:
                what = nearest(name, known) if known else "it takes none"
                raise QueryError(f"{self.name} has no parameter '{name}'; {what}")
        missing = [one.name for one in self.parameters if not one.is_optional and one.name not in given]
        if missing:
            listed = "\n".join(
                f"  {one.name}: {one.kind}{' (may be left out)' if one.is_optional else ''}. {one.meaning}"
                for one in self.parameters
            )
            flags = " ".join(f"-p {name}=..." for name in missing)
            raise QueryError(f"{self.name} needs {', '.join(missing)}; give them with {flags}\n{listed}")
        return {name: one.read(given[name]) if name in given else None for name, one in known.items()}


@cache
def named_queries() -> dict[str, NamedQuery]:
    """Every named query by its name, in alphabetical order."""
    return {path.stem: read_query(path.stem, path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.sql"))}


def read_query(name: str, sql: str) -> NamedQuery:
    """A named query from the text of its file."""
    first, *more = sql.splitlines()
    assert first.startswith("-- "), f"{name}.sql should begin with a comment that says what it answers"
    declared = [found for line in more if (found := _DECLARED.fullmatch(line))]
    parameters = tuple(
        Parameter(one[1], "number" if one[2] == "number" else "text", one[3] is not None, one[4]) for one in declared
    )
    used = set(re.findall(r"\$(\w+)", "\n".join(line for line in more if not line.startswith("--"))))
    assert used == {one.name for one in parameters}, f"{name}.sql uses and declares different parameters"
    return NamedQuery(name, first.removeprefix("-- "), sql, parameters)
