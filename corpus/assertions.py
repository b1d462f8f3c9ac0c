"""What an outline consists of: subdomains of a spec, what they assert, and ideas for documents that bear it out."""

from __future__ import annotations

from dataclasses import dataclass, field

from corpus.spec import Clause


@dataclass(frozen=True)
class Assertion:
    """One claim about the assistant, with the clauses it came from."""

    assertion_id: str
    clause_ids: tuple[str, ...]
    text: str
    explanation: str
    label: str


@dataclass(frozen=True)
class Subdomain:
    """A part of the spec that briefs are about."""

    key: str
    """Hash of the domain's name, its own, and its clauses."""
    place: tuple[int, ...]
    """Where it stands in the outline, whatever came back first."""
    domain: str
    name: str
    context: str
    clauses: tuple[Clause, ...]
    assertions: list[Assertion] = field(default_factory=list)
    genres: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Idea:
    """What one document is about."""

    text: str
    assertions: tuple[Assertion, ...]
    """What it bears out."""
