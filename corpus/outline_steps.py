"""One call of an outline: what its reply makes possible, and how its items are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import prompts
from corpus.assertions import Assertion, Subdomain
from corpus.excerpts import numbered_ones
from corpus.spec import Clause
from corpus.structured import Item, Unreadable

MAX_NAME_WORDS = 8
"""A longer name of a domain or subdomain is a sentence (words; asked for: 4 and 5)."""


@dataclass(frozen=True)
class Step:
    """One call of an outline, and what its reply makes possible."""

    purpose: str
    item_id: str
    messages: tuple[prompts.Message, ...]
    schema: Mapping[str, object]
    read: Callable[[str], tuple[list[Item], list[str]]]
    """The reply's usable items, and what is wrong with the others. Raises `Unreadable`."""
    follow: Callable[[list[Item] | None], list[Step]]
    """The steps that come next; None: every attempt failed."""


def usable_items(step: Step, reply: str | None) -> list[Item] | None:
    """A reply's usable items; None where there is no usable one."""
    try:
        return None if reply is None else step.read(reply)[0]
    except Unreadable:
        return None


def borne_out(item: Item, subdomain: Subdomain) -> list[Assertion]:
    """The assertions an idea names; all of them, where it names none that there is."""
    wanted = set(cast("list[int]", item["assertions"]))
    named = [each for number, each in enumerate(subdomain.assertions, 1) if number in wanted]
    return named or subdomain.assertions


def shares_of(items: Iterable[Item], section: Sequence[Clause]) -> list[tuple[str, list[Clause]]]:
    """The section's clauses by domain. One that no domain names goes with the clause before it: none is lost."""
    of_clause: dict[str, str] = {}
    for item in items:
        for clause in numbered_ones(item["clauses"], section):
            of_clause.setdefault(clause.clause_id, str(item["name"]).strip())
    last = next(iter(of_clause.values()), "conduct")
    shares: dict[str, list[Clause]] = {}
    for clause in section:
        last = of_clause.get(clause.clause_id, last)
        shares.setdefault(last, []).append(clause)
    return list(shares.items())


def check_name(item: Item) -> str | None:
    """What is wrong with the name of a domain or subdomain; None if nothing is."""
    words = len(str(item["name"]).split())
    return None if 1 <= words <= MAX_NAME_WORDS else f"a name of {words} words"
