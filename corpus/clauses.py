"""From the spec's bytes to the clauses of a run, with those held out that no prompt may show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import pyarrow as pa

from corpus.errors import SpecError
from corpus.recipe import Recipe, Spec
from corpus.spec import Clause, context_of, decode_spec, parse_spec, path_below
from corpus.store import WritingStore
from corpus.store.identity import content_id, draw
from corpus.store.schema import TABLES

BRIEFED = ("rule", "value")
"""The kinds of clause that get briefs; examples, commentary and definitions are context for them."""


@dataclass(frozen=True)
class SpecReport:
    """What a spec was read into."""

    num_clauses: Mapping[str, int]
    """Clauses by kind."""
    num_held_out: int
    """Clauses with briefs of their own kind that no prompt shows."""


def check_spec(spec: Spec) -> list[Clause]:
    """Read and parse a spec, before a run is made of it.

    Raises:
        SpecError: not there, not UTF-8, empty, too large, or without a rule.
    """
    return parse_spec(read_source(spec))


def read_source(spec: Spec) -> str:
    """The decoded spec; raises as `check_spec` does."""
    try:
        data = spec.path.read_bytes()
    except OSError as error:
        raise SpecError(
            f"the spec {spec.path} cannot be read ({error.strerror}); mend spec.path in the recipe"
        ) from None
    return decode_spec(data, str(spec.path))


def split_clauses(clauses: Sequence[Clause], fraction: float, seed: int) -> dict[str, str]:
    """`train` or `held_out` for every clause.

    A clause with briefs is held out if its hash falls into `fraction`; so is every clause of the same words, every
    one below a held-out one (its headings show that one's words), and the examples and commentary that stand with
    held-out clauses only. With a fraction above 0 there is at least one.
    """
    briefed = [clause for clause in clauses if clause.kind in BRIEFED]
    drawn = {clause.clause_id: draw("hold_out", seed, clause.clause_id) / 2**64 for clause in briefed}
    held_out = {clause_id for clause_id, place in drawn.items() if place < fraction}
    if fraction > 0 and not held_out and len(briefed) > 1:
        held_out.add(min(drawn, key=lambda clause_id: drawn[clause_id]))
    held_out = _with_those_that_tell(clauses, held_out)
    beside: dict[str, set[bool]] = {}
    for clause in briefed:
        for neighbour in context_of(clauses, clause):
            beside.setdefault(neighbour.clause_id, set()).add(clause.clause_id in held_out)
    held_out |= {clause_id for clause_id, owners in beside.items() if owners == {True}}
    return {clause.clause_id: "held_out" if clause.clause_id in held_out else "train" for clause in clauses}


def _with_those_that_tell(clauses: Sequence[Clause], held_out: Set[str]) -> set[str]:
    """`held_out`, and every clause whose own words or headings give away one of them."""
    known, size = set(held_out), -1
    while len(known) > size:
        size = len(known)
        owners = [clause for clause in clauses if clause.clause_id in known]
        words, below = {_words(clause) for clause in owners}, {path_below(clause) for clause in owners}
        known |= {
            clause.clause_id
            for clause in clauses
            if _words(clause) in words or any(clause.path[: end + 1] in below for end in range(len(clause.path)))
        }
    return known


def _words(clause: Clause) -> str:
    return " ".join(clause.text.casefold().split())


def commit_clauses(
    recipe: Recipe, store: WritingStore, clauses: Sequence[Clause], split: Mapping[str, str]
) -> SpecReport:
    """Make `clauses` the run's current ones."""
    assert recipe.spec is not None
    rows: list[dict[str, object]] = [
        {
            "clause_id": clause.clause_id,
            "ordinal": clause.ordinal,
            "path": list(clause.path),
            "label": clause.label,
            "authority": clause.authority,
            "kind": clause.kind,
            "split": split[clause.clause_id],
            "text": clause.text,
            "start_char": clause.start_char,
            "end_char": clause.end_char,
        }
        for clause in clauses
    ]
    pass_hash = content_id("clauses", rows)
    rows = [{**row, "pass_hash": pass_hash} for row in rows]
    writer = store.writer("corpus")
    writer.commit("clauses", pass_hash, pa.Table.from_pylist(rows, schema=TABLES["clauses"].schema))
    writer.set_current("clauses", {"spec": pass_hash})
    return describe(clauses, split)


def describe(clauses: Sequence[Clause], split: Mapping[str, str]) -> SpecReport:
    """Count what a spec was read into."""
    kinds = Counter(str(clause.kind) for clause in clauses)
    num_held_out = sum(split[clause.clause_id] == "held_out" for clause in clauses if clause.kind in BRIEFED)
    return SpecReport(dict(kinds), num_held_out)
