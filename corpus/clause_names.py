"""Naming clauses in a recipe: by label or id, by a heading above them, by several headings with '/' between.

`Honesty` names every clause below the heading Honesty, `Honesty/Doubt` those below Doubt in Honesty, `hon-3` the clause
with that label; `*` stands for anything. Case does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from corpus.store import Store

_ID_CHARS = 15
"""Of an id, with its tag: enough that no two clauses of a spec are shown alike (48 bits)."""


class ClauseNames:
    """The names of the clauses of a spec."""

    def __init__(self, clauses: Iterable[tuple[str, str | None, Sequence[str]]]) -> None:
        """Take (clause_id, label, headings from the outermost on) of each clause."""
        self._names: dict[str, list[str]] = {}
        self._shown: dict[str, str] = {}
        """A name for people."""
        for clause_id, label, path in clauses:
            stretches = ["/".join(path[i:j]) for i in range(len(path)) for j in range(i + 1, len(path) + 1)]
            self._names[clause_id] = [*([label] if label else []), clause_id, *stretches]
            self._shown[clause_id] = label or "/".join(path[-2:])

    @classmethod
    def of_run(cls, store: Store) -> ClauseNames:
        """The clauses that a run keeps."""
        rows = store.query("SELECT clause_id, label, path FROM clauses ORDER BY ordinal")
        return cls(zip(*(rows.column(name).to_pylist() for name in rows.schema.names), strict=True))

    def fitting(self, pattern: str) -> set[str]:
        """The ids of the clauses that a pattern names."""
        return {clause_id for clause_id, names in self._names.items() if any(_fits(pattern, name) for name in names)}

    def all_names(self) -> list[str]:
        """What a recipe may say: headings, labels and ids, each once, ids last."""
        known = {name: None for names in self._names.values() for name in names if name not in self._names}
        return [*known, *self._names]

    def parts(self, patterns: Iterable[str]) -> Mapping[str, str]:
        """Of each clause that is named, the narrowest name: that of the fewest clauses; of two alike, by spelling."""
        fitting = {pattern: self.fitting(pattern) for pattern in patterns}
        found: dict[str, str] = {}
        for pattern in sorted(fitting, key=lambda pattern: (len(fitting[pattern]), pattern)):
            for clause_id in fitting[pattern]:
                found.setdefault(clause_id, pattern)
        return found

    def singles(self) -> Mapping[str, str]:
        """Each clause as a part of its own, under a name for people."""
        taken: set[str] = set()
        found: dict[str, str] = {}
        for clause_id, shown in self._shown.items():
            found[clause_id] = f"{shown} ({clause_id[:_ID_CHARS]})" if shown in taken or not shown else shown
            taken.add(shown)
        return found


def _fits(pattern: str, name: str) -> bool:
    pattern, name = pattern.casefold(), name.casefold()
    return pattern == name or fnmatchcase(name, pattern)
