"""Reads a Model Spec into clauses: the ground that everything generated stands on.

A clause is one bullet, one numbered rule, one paragraph, or one row of a table. Its path is the headings
above it, then what introduces it: the sentence that announces its list, the bullet it is nested in. A
paragraph or bullet that is only such a sentence ("The assistant should:") is in the path of its list and is
no clause itself; a bullet with text of its own is a clause, and, shortened, in the path of what is nested in
it. A number or id in front of a rule is its label and no part of its text, so that renumbering a list changes
no clause.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from corpus.errors import SpecError
from corpus.spec_kinds import ClauseKind, shorten
from corpus.spec_reader import Clause, Segment, SegmentRole, SpecReader

__all__ = [
    "Clause",
    "ClauseKind",
    "Segment",
    "SegmentRole",
    "context_of",
    "decode_spec",
    "parse_spec",
    "segments",
]

MAX_SPEC_BYTES = 4 * 1024 * 1024
"""Bytes of the largest spec that is read: over 600,000 words, fifteen times the longest spec this was tried on."""
MAX_RULES_TO_CONTEXT = 12
"""Rules between a rule and the first example that may still belong to it. Sections of long specs have their
paragraphs first and their examples last, and few have more than a dozen paragraphs."""


def decode_spec(data: bytes, name: str) -> str:
    """The text of a spec's bytes: UTF-8, with or without a byte order mark. `name` is for the messages.

    Raises:
        SpecError: more than `MAX_SPEC_BYTES`, not UTF-8, or nothing but white space.
    """
    if len(data) > MAX_SPEC_BYTES:
        raise SpecError(
            f"{name} has {len(data):,} bytes ({len(data) / 1e6:.1f} MB); the limit is {MAX_SPEC_BYTES:,}. "
            "Give the part of it that says how the assistant behaves, and why."
        )
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}. Save it as UTF-8."
        ) from error
    if not source.strip():
        raise SpecError(f"{name} is empty ({len(data)} bytes). Write down how the assistant behaves, and why.")
    return source


def parse_spec(source: str) -> list[Clause]:
    """The clauses of `source` in order, with exact spans. Time is linear in the source.

    Raises:
        SpecError: no clause is a rule or a value, so there is nothing to write about.
    """
    return list(_parse_once(source))


@lru_cache(maxsize=2)
def _parse_once(source: str) -> tuple[Clause, ...]:
    """A verb checks its spec before it makes a run of it, and then reads the copy that the run keeps."""
    clauses = SpecReader(source).clauses
    if not any(clause.kind in ("rule", "value") for clause in clauses):
        counts = Counter(clause.kind for clause in clauses)
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "no clause at all"
        raise SpecError(
            f"The spec states no rule and no value; it has {found}. Write each rule as a bullet, a numbered "
            "line or a paragraph, outside code fences, notes and sections of definitions."
        )
    return tuple(clauses)


def segments(source: str) -> list[Segment]:
    """Every span of `source` with its role. In order, without overlap, they cover it from 0 to its length.

    No verb asks for them: they are what the tests prove by that no text of a spec is lost.
    """
    covered: list[Segment] = []
    at = 0
    for mark in SpecReader(source).marks:
        if mark.start_char > at:
            covered.append(Segment("blank", at, mark.start_char))
        covered.append(mark)
        at = mark.end_char
    if at < len(source):
        covered.append(Segment("blank", at, len(source)))
    return covered


def context_of(clauses: Sequence[Clause], clause: Clause) -> list[Clause]:
    """The examples, commentary and definitions that belong to `clause`, a rule or value, in order.

    They are the first run of such clauses after it in its section, up to the next rule. The paragraphs of a
    section share the examples that follow them; rules with ids of their own (SP1, SP2) do not, and what is
    nested under another rule is not shared. Then the footnotes that its text refers to. `clauses` are in order
    and may leave some out (held-out ones, say): those are then no context.
    """
    run: list[Clause] = []
    num_rules = 0
    for i in range(bisect_right(clauses, clause.ordinal, key=lambda other: other.ordinal), len(clauses)):
        other = clauses[i]
        is_below = other.path[: len(clause.path)] == clause.path
        is_around = clause.path[: len(other.path)] == other.path
        if other.kind in ("rule", "value"):
            num_rules += 1
            is_near = num_rules <= MAX_RULES_TO_CONTEXT and (is_below or is_around)
            if run or not is_near or other.label != clause.label:
                break
        elif not _is_footnote(other) and (is_around or (is_below and not num_rules)):
            run.append(other)
    if "[^" in clause.text:
        run += [other for other in clauses if _is_footnote(other) and f"[{other.label}]" in clause.text]
    return run


def path_below(clause: Clause) -> tuple[str, ...]:
    """How the paths of the clauses below `clause` begin: its own path, then its words, shortened."""
    return (*clause.path, shorten(clause.text))


def _is_footnote(clause: Clause) -> bool:
    return clause.path == () and clause.label is not None and clause.label.startswith("^")
