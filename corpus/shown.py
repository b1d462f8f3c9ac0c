"""What prompts show of a spec for one brief: the principle itself, and what stands around it.

Planning hashes it (`Brief.context_hash`) and writing renders it, so both ask here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Protocol

from corpus.assertions import Assertion
from corpus.excerpts import Excerpts, as_text, clause_text, headings
from corpus.spec import Clause, context_of


class About(Protocol):
    """What a brief is about."""

    @property
    def clause_ids(self) -> tuple[str, ...]:
        """The clauses it stands for."""

    @property
    def assertion_ids(self) -> tuple[str, ...]:
        """The assertions it bears out; none where briefs come straight from clauses."""

    @property
    def domain(self) -> str | None:
        """The outline's domain."""

    @property
    def subdomain(self) -> str | None:
        """The outline's subdomain."""


class Shown:
    """The clauses and assertions that prompts may show; a held-out clause is not to be had here."""

    def __init__(
        self, usable: Sequence[Clause], assertions: Iterable[tuple[str, str, Assertion]], excerpt_tokens: int
    ) -> None:
        """`assertions` come with the domain and subdomain they belong to."""
        self._usable = usable
        self._clauses = {clause.clause_id: clause for clause in usable}
        self._assertions: dict[str, Assertion] = {}
        self._of_subdomain: dict[tuple[str | None, str | None], list[Assertion]] = {}
        for domain, subdomain, assertion in assertions:
            self._assertions[assertion.assertion_id] = assertion
            self._of_subdomain.setdefault((domain, subdomain), []).append(assertion)
        self._excerpts = Excerpts(usable, excerpt_tokens)
        self._excerpt_tokens = excerpt_tokens
        # Every brief of a clause or a subdomain shows the same.
        self._subdomain_excerpt = cache(self._excerpt_of_subdomain)
        self._clause_context = cache(self._context_of_clause)

    def headings(self, about: About) -> str:
        """Where the principle stands, as one line: in the outline, or in the spec."""
        if about.assertion_ids:
            return f"{about.domain} > {about.subdomain}"
        return headings(self._clauses[about.clause_ids[0]])

    def principles(self, about: About) -> str:
        """The clause's own text; or the assertions, each with its explanation."""
        if about.assertion_ids:
            chosen = [self._assertions[assertion_id] for assertion_id in about.assertion_ids]
            return "\n".join(f"- {each.text} {each.explanation}" for each in chosen)
        return "\n\n".join(clause_text(self._clauses[clause_id]) for clause_id in about.clause_ids)

    def words_of(self, clause_id: str) -> str:
        """A clause's words on one line, without the label that prompts put before them: to be quoted."""
        return " ".join(self._clauses[clause_id].text.split())

    def context(self, about: About) -> str:
        """The examples and commentary that stand with a clause; nothing for assertions, whose excerpt has them."""
        if about.assertion_ids:
            return ""
        return self._clause_context(about.clause_ids[0])

    def excerpt(self, about: About) -> str:
        """More of the spec: the section around a clause; or all that the assertion's subdomain rests on."""
        if about.assertion_ids:
            return self._subdomain_excerpt(about.domain, about.subdomain)
        return self._excerpts.around(about.clause_ids[0])

    def _context_of_clause(self, clause_id: str) -> str:
        return "\n\n".join(each.text for each in context_of(self._usable, self._clauses[clause_id]))

    def _excerpt_of_subdomain(self, domain: str | None, subdomain: str | None) -> str:
        ids = {clause_id for each in self._of_subdomain[domain, subdomain] for clause_id in each.clause_ids}
        rules = [clause for clause in self._usable if clause.clause_id in ids]
        near = {each.clause_id for rule in rules for each in context_of(self._usable, rule)}
        whole = [clause for clause in self._usable if clause.clause_id in ids | near]
        return as_text(whole if self._excerpts.fits(whole) else rules if self._excerpts.fits(rules) else [])
