"""What a prompt shows of a spec: numbered clauses, pieces that fit a model's context, the section around a clause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from corpus.spec import Clause

CHARS_PER_TOKEN = 3.5
"""Characters that certainly make a token of English prose: vocabularies of 30,000 entries and more take 4 to 5."""


def headings(clause: Clause) -> str:
    """A clause's path as one line; "" at the top of a spec."""
    return " > ".join(clause.path)


def clause_text(clause: Clause) -> str:
    """A clause with its own label in front, where it has one that the text does not show."""
    return f"{clause.label}: {clause.text}" if clause.label and clause.label not in clause.text else clause.text


def numbered(clauses: Iterable[Clause]) -> str:
    """One clause a line, with a number from 1 and its headings; lines inside a clause are joined."""
    return "\n".join(
        f"{number}. {f'({headings(clause)}) ' if clause.path else ''}{' '.join(clause_text(clause).split())}"
        for number, clause in enumerate(clauses, 1)
    )


def numbered_ones(numbers: object, clauses: Sequence[Clause]) -> list[Clause]:
    """The clauses of these numbers (from 1), in the spec's order; numbers of no clause are passed over."""
    wanted = {number for number in cast("list[int]", numbers) if 1 <= number <= len(clauses)}
    return [clause for number, clause in enumerate(clauses, 1) if number in wanted]


def pieces(clauses: Sequence[Clause], max_tokens: int) -> list[list[Clause]]:
    """The clauses in order, in pieces of at most `max_tokens` (estimated); a longer clause is a piece of its own.

    A piece ends before a new top section where the next section would not fit whole: sections stay together if
    they can.
    """
    made: list[list[Clause]] = [[]]
    size = 0.0
    for section in _sections(clauses):
        whole = sum(map(_tokens, section))
        if made[-1] and size + whole > max_tokens:
            made.append([])
            size = 0.0
        for clause in section:
            if made[-1] and size + _tokens(clause) > max_tokens:
                made.append([])
                size = 0.0
            made[-1].append(clause)
            size += _tokens(clause)
    return [piece for piece in made if piece]


def _sections(clauses: Sequence[Clause]) -> Iterator[list[Clause]]:
    """Runs of clauses under the same two top headings."""
    section: list[Clause] = []
    for clause in clauses:
        if section and clause.path[:2] != section[-1].path[:2]:
            yield section
            section = []
        section.append(clause)
    if section:
        yield section


def _tokens(clause: Clause) -> float:
    """Tokens of a clause's line in `numbered`, estimated from above."""
    return (len(clause_text(clause)) + len(headings(clause)) + 8) / CHARS_PER_TOKEN


class Excerpts:
    """The section around a clause, as far as it fits."""

    def __init__(self, usable: Sequence[Clause], max_tokens: int) -> None:
        """`usable` are the clauses that prompts may show, in order; excerpts have at most `max_tokens` (estimated)."""
        self._usable = usable
        self._max_tokens = max_tokens
        self._by_id = {clause.clause_id: clause for clause in usable}
        self._of_section: dict[tuple[str, ...], str | None] = {}

    def around(self, clause_id: str) -> str:
        """The text under the highest heading above a clause that fits; "" if none does, or if it stands alone.

        All clauses of that section get the same excerpt, which an engine's prefix cache then holds once.
        """
        path = self._by_id[clause_id].path
        found = (self._section(path[:depth]) for depth in range(len(path) + 1))
        return next((text for text in found if text is not None), "")

    def fits(self, clauses: Iterable[Clause]) -> bool:
        """Whether clauses may stand in one excerpt."""
        return sum(map(_tokens, clauses)) <= self._max_tokens

    def _section(self, path: tuple[str, ...]) -> str | None:
        if path not in self._of_section:
            section = [each for each in self._usable if each.path[: len(path)] == path]
            text = as_text(section) if len(section) > 1 else ""
            self._of_section[path] = text if self.fits(section) else None
        return self._of_section[path]


def as_text(section: Iterable[Clause]) -> str:
    """Clauses under their headings, each heading once."""
    lines: list[str] = []
    above: tuple[str, ...] | None = None
    for clause in section:
        if clause.path != above and clause.path:
            lines.append(f"\n{headings(clause)}:")
        above = clause.path
        lines.append(f"- {' '.join(clause_text(clause).split())}")
    return "\n".join(lines).strip()
