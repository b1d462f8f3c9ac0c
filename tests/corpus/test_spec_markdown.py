"""Markdown that surrounds the rules of a spec is told apart from them."""

from __future__ import annotations

import pytest

from corpus.spec import Clause, parse_spec, segments


def kinds(clauses: list[Clause]) -> list[tuple[str, str]]:
    return [(clause.kind, clause.text) for clause in clauses]


def test_a_hash_inside_a_fence_is_no_heading() -> None:
    source = "# Real\n\n```sh\n# not a heading\n- not a rule\n~~~\n```\n\nIt must hold.\n"
    assert [(c.path, c.kind) for c in parse_spec(source)] == [(("Real",), "example"), (("Real",), "rule")]


def test_a_hash_that_is_deeply_indented_is_no_heading() -> None:
    assert [c.path for c in parse_spec("It must hold.\n\n    # kept as text\n\nIt must last.")] == [(), (), ()]


def test_a_wrapped_line_that_begins_with_a_dash_stays_in_its_paragraph() -> None:
    source = "It must be calm\n\u2013 always \u2013 and slow.\n\n\u2013 a bullet\n\u2013 another\n"
    assert [c.text for c in parse_spec(source)][1:] == ["a bullet", "another"]


def test_a_fence_that_is_never_closed_swallows_no_rule() -> None:
    source = "It must hold.\n\n```text\n\n# Later\n\nIt must hold here too.\n"
    assert [c.path for c in parse_spec(source)] == [(), ("Later",)]
    assert "fence-marker" in {segment.role for segment in segments(source)}


@pytest.mark.parametrize(
    ("block", "kind", "text"),
    [
        (
            '!!! note "Why"\n    Because it helps.\n\n    And more.',
            "commentary",
            "Because it helps.\n\n    And more.",
        ),
        ("??? tip\n    Because.", "commentary", "Because."),
        ('!!! example "A case"\n    Somebody asks.', "example", "Somebody asks."),
        ("> [!WARNING]\n> Mind it.\n> Twice.", "commentary", "Mind it.\n> Twice."),
        ("> [!NOTE] On one line.", "commentary", "On one line."),
        ("Rationale: people differ.", "commentary", "Rationale: people differ."),
        ("Word\n: what it must mean", "definition", "Word\n: what it must mean"),
        ("~~~\nYou must.\n~~~", "example", "~~~\nYou must.\n~~~"),
        ("**Example**: a case\n\n~~~xml\n<a>\n~~~", "example", "**Example**: a case\n\n~~~xml\n<a>\n~~~"),
        ("**Example:**\n\n- one must\n- two", "example", "**Example:**\n\n- one must\n- two"),
        (
            "Examples of harm include:\n\n- theft\n- fraud",
            "example",
            "Examples of harm include:\n\n- theft\n- fraud",
        ),
        ("User: Must I?\n\nAssistant: No.", "example", "User: Must I?\n\nAssistant: No."),
        ("> User: Must I?\n> Assistant: No.", "example", "User: Must I?\n> Assistant: No."),
        ("- Example: it must be seen.", "example", "Example: it must be seen."),
    ],
)
def test_what_explains_a_rule_is_told_apart_from_rules(block: str, kind: str, text: str) -> None:
    clauses = parse_spec(f"It must hold.\n\n{block}\n\nIt must go on.\n")
    assert kinds(clauses)[1:] == [(kind, text), ("rule", "It must go on.")]


@pytest.mark.parametrize("title", ["Definitions", "2. Glossary", "Key terms", "Terms and meanings"])
def test_what_stands_under_a_heading_of_definitions_is_a_definition(title: str) -> None:
    clauses = parse_spec(f"# {title}\n\n**User**: who must be served.\n\n# Comply with terms\n\nIt must.")
    assert [c.kind for c in clauses] == ["definition", "rule"]


def test_rows_of_a_table_are_clauses_under_its_header() -> None:
    source = "Level | Meaning\n--- | ---\nroot | must hold\nuser | may change\n"
    assert [(c.path, c.text) for c in parse_spec(source)] == [
        (("Level | Meaning",), "root | must hold"),
        (("Level | Meaning",), "user | may change"),
    ]


def test_what_is_no_text_of_the_spec_makes_no_clause() -> None:
    source = (
        "---\ntitle: A spec\n---\n<!-- It must\n\nnot count. -->\n<details>\n\nIt must hold.\n\n***\n\n"
        "[link]: https://example.org\n\n\u2192\n"
    )
    assert [c.text for c in parse_spec(source)] == ["It must hold."]
    assert [s.role for s in segments(source) if s.role != "blank"] == [
        "front-matter",
        "comment",
        "html",
        "clause",
        "break",
        "link-definition",
        "break",
    ]


def test_a_rule_after_a_comment_on_its_line_is_kept() -> None:
    assert parse_spec("<!-- draft --> It must hold.")[0].text == "<!-- draft --> It must hold."


def test_a_horizontal_rule_at_the_top_is_no_front_matter() -> None:
    assert [c.text for c in parse_spec("---\n\nIt must hold.\n\n---\n\nIt must last.")] == [
        "It must hold.",
        "It must last.",
    ]


def test_odd_characters_leave_texts_exact() -> None:
    source = (
        "\ufeff# Co\u00fbts {#c}\r\n\r\n"
        "-\u00a0It must cost ${price} or 5 %s\r\n\tat most.\r\n-\tPay \U0001f4b6 {{now}}.\r\n"
    )
    clauses = parse_spec(source)
    assert [c.text for c in clauses] == [
        "It must cost ${price} or 5 %s\r\n\tat most.",
        "Pay \U0001f4b6 {{now}}.",
    ]
    assert all(source[c.start_char : c.end_char] == c.text and c.path == ("Co\u00fbts",) for c in clauses)
