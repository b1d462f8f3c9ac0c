"""Ids that last, context that belongs, and refusals that say why."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import SpecError
from corpus.spec import MAX_SPEC_BYTES, context_of, decode_spec, parse_spec

SPECS = Path(__file__).parents[2] / "examples" / "specs"


def test_equal_clauses_have_ids_of_their_own() -> None:
    ids = [c.clause_id for c in parse_spec("- Be fair.\n- Be fair.\n\n# Work\n\n- Be fair.\n")]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("name", ["honest.md", "rules.md"])
def test_a_clause_added_elsewhere_changes_no_other_id(name: str) -> None:
    source = (SPECS / name).read_text(encoding="utf-8")
    before = parse_spec(source)
    after = parse_spec(source + "\n# A new section\n\nThe assistant should water the plants.\n")
    assert [c.clause_id for c in before] == [c.clause_id for c in after[:-1]]
    assert len({c.clause_id for c in after}) == len(after)


def test_the_example_specs_have_the_clauses_they_were_written_with() -> None:
    """The counts are from reading them; `rules.md` holds 18 rules with ids and 4 numbered ones."""
    honest = parse_spec((SPECS / "honest.md").read_text(encoding="utf-8"))
    rules = parse_spec((SPECS / "rules.md").read_text(encoding="utf-8"))
    assert [sum(c.kind == kind for c in honest) for kind in ("example", "commentary", "definition")] == [
        3,
        3,
        2,
    ]
    assert sum(c.kind in ("rule", "value") for c in honest) == 38
    labels = {c.label for c in rules if c.kind == "rule"}
    assert labels == {f"{tier}{i}" for tier, n in (("SP", 5), ("HP", 4), ("GP", 6)) for i in range(1, n + 1)} | set(
        "1234"
    )
    assert {c.path[1][:6] for c in rules if c.kind == "rule"} == {"Tier 1", "Tier 2", "Tier 3", "Tier 4"}


CONTEXT = """\
# Truth

It must not lie.

It should admit doubt[^1].

**Example:** asked for a date

> [!NOTE]
> Doubt is no shame.

It should correct itself.

- It keeps notes.

    Example: a log

- It dates them.

# Rest

It should pause.

[^1]: Said once, where the doubt is.
"""


def test_the_paragraphs_of_a_section_share_the_examples_that_follow_them() -> None:
    clauses = parse_spec(CONTEXT)
    texts = {c.text: [other.text for other in context_of(clauses, c)] for c in clauses if c.kind in ("rule", "value")}
    assert texts == {
        "It must not lie.": ["**Example:** asked for a date", "Doubt is no shame."],
        "It should admit doubt[^1].": [
            "**Example:** asked for a date",
            "Doubt is no shame.",
            "Said once, where the doubt is.",
        ],
        "It should correct itself.": [],
        "It keeps notes.": ["Example: a log"],
        "It dates them.": [],
        "It should pause.": [],
    }


def test_a_rule_with_an_id_does_not_share_the_example_of_the_next() -> None:
    clauses = parse_spec("SP1. Never lie.\n\nSP2. Never flatter.\n\nExample: a poem\n")
    assert [len(context_of(clauses, c)) for c in clauses[:2]] == [0, 1]


def test_a_clause_that_was_left_out_is_no_context() -> None:
    clauses = parse_spec(CONTEXT)
    left = [c for c in clauses if c.text != "Doubt is no shame."]
    assert [c.kind for c in context_of(left, left[0])] == ["example"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"It must \xff hold", r"x\.md is not UTF-8: byte 0xff at offset 8"),
        (b"", r"x\.md is empty \(0 bytes\)"),
        (b"\xef\xbb\xbf \r\n\t", r"x\.md is empty \(7 bytes\)"),
        (b"a" * 5_000_000, r"x\.md has 5,000,000 bytes \(5\.0 MB\); the limit is 4,194,304"),
    ],
)
def test_bytes_that_are_no_spec_are_refused_with_the_value_seen(data: bytes, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        decode_spec(data, "x.md")


def test_the_largest_spec_and_a_byte_order_mark_are_read() -> None:
    assert len(decode_spec(b"\xef\xbb\xbf" + b"a" * (MAX_SPEC_BYTES - 3), "x.md")) == MAX_SPEC_BYTES - 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("# Only\n\n## Headings\n", "it has no clause at all"),
        ("```markdown\n# Rules\n\nIt must hold.\n```\n", "it has 1 example"),
        ("# Definitions\n\n- A: b\n- C: d\n", "it has 2 definition"),
    ],
)
def test_a_spec_without_a_rule_or_value_is_refused_with_what_it_has(source: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_spec(source)
