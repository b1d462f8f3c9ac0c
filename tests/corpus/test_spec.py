"""A spec is read into the clauses that a careful reader would list."""

from __future__ import annotations

import pytest

from corpus.spec import Clause, parse_spec, segments


def kinds(clauses: list[Clause]) -> list[tuple[str, str]]:
    return [(clause.kind, clause.text) for clause in clauses]


def paths(clauses: list[Clause]) -> list[tuple[str, ...]]:
    return [clause.path for clause in clauses]


def one(source: str) -> Clause:
    (clause,) = parse_spec(source)
    return clause


HEADED = """\
# Conduct {#conduct authority=root}

The assistant must be kind.

## Speech {#speech .wide authority="user" tags=a}

It should speak plainly.

### Tone

It should keep calm.

# Trust

It should earn trust.
"""


def test_headings_give_path_label_and_authority_until_overridden() -> None:
    assert [(c.path, c.label, c.authority) for c in parse_spec(HEADED)] == [
        (("Conduct",), "conduct", "root"),
        (("Conduct", "Speech"), "speech", "user"),
        (("Conduct", "Speech", "Tone"), "speech", "user"),
        (("Trust",), None, None),
    ]


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("## Plain ##", "Plain"),
        ("## About C#", "About C#"),
        ("## **Bold**", "Bold"),
        ("## Use {braces} and {more words}", "Use {braces} and {more words}"),
        ("## Ends {not attributes}", "Ends {not attributes}"),
        ("Under a line\n---", "Under a line"),
        ("Under a line\n===", "Under a line"),
        ("## See [the rest](#rest)", "See the rest"),
        ("##\tTabbed", "Tabbed"),
    ],
)
def test_a_heading_is_known_by_its_bare_title(heading: str, title: str) -> None:
    assert one(f"{heading}\n\nIt must hold.").path == (title,)


@pytest.mark.parametrize(
    ("line", "label", "text"),
    [
        ("SP1. Never deceive.", "SP1", "Never deceive."),
        ("SP1: Never deceive.", "SP1", "Never deceive."),
        ("GP-2) Never deceive.", "GP-2", "Never deceive."),
        ("R3.1 - Never deceive.", "R3.1", "Never deceive."),
        ("Rule 4: Never deceive.", "Rule 4", "Never deceive."),
        ("[SP1] Never deceive.", "SP1", "Never deceive."),
        ("**GP2**: Never deceive.", "GP2", "Never deceive."),
        ("**GP2:** Never deceive.", "GP2", "Never deceive."),
        ("- **GP2** Never deceive.", "GP2", "Never deceive."),
        ("**GP2: No lies.** Never deceive.", "GP2", "**GP2: No lies.** Never deceive."),
        ("7. Never deceive.", "7", "Never deceive."),
        ("1.2 Never deceive.", "1.2", "Never deceive."),
        ("(a) Never deceive.", "a", "Never deceive."),
    ],
)
def test_an_id_in_front_of_a_rule_is_its_label_and_not_its_text(line: str, label: str, text: str) -> None:
    clause = one(line)
    assert (clause.label, clause.text, clause.kind) == (label, text, "rule")


def test_rules_with_ids_need_no_blank_line_between_them_and_may_wrap() -> None:
    clauses = parse_spec("SP1. Never deceive anyone\nwho asks.\nSP2. Own errors.\n3. Ask.")
    assert [c.text for c in clauses] == ["Never deceive anyone\nwho asks.", "Own errors.", "Ask."]


def test_a_wrapped_line_that_begins_with_a_number_stays_in_its_paragraph() -> None:
    assert one("It should know what was decided in\n1984. That year matters.").text.endswith("matters.")


def test_renumbering_changes_no_clause() -> None:
    before = parse_spec("# Rules\n\n1. Be fair.\n2. Be brief.\n")
    after = parse_spec("# Rules\n\n1. Be early.\n2. Be fair.\n3. Be brief.\n")
    assert {c.clause_id for c in before} < {c.clause_id for c in after}


@pytest.mark.parametrize(
    "tier",
    [
        "## Safety",
        "**Safety**",
        "**Safety:**",
        "Safety principles (highest priority)",
        "Tier 1: Safety",
        "SAFETY",
    ],
)
def test_a_tier_is_in_the_path_of_its_rules_however_it_is_written(tier: str) -> None:
    first, second = parse_spec(f"{tier}\n\nSP1. Never harm.\n\nSP2. Always ask.\n")
    title = tier.strip("#* :").removesuffix(":")
    assert (first.path, second.path) == ((title,), (title,))


def test_a_bold_title_stands_under_a_tier_and_a_new_tier_ends_it() -> None:
    source = "**Tier 1**\n\n**Safety**\n\nSP1. Never harm.\n\n**Tier 2**\n\nGP1. Be brief.\n"
    assert paths(parse_spec(source)) == [("Tier 1", "Safety"), ("Tier 2",)]


def test_a_bold_sentence_is_a_rule_and_no_title() -> None:
    assert one("**Never deceive.**").kind == "rule"


def test_a_paragraph_that_only_introduces_a_list_joins_its_path_and_is_no_clause() -> None:
    source = "# Care\n\nThe assistant should:\n\n- listen\n* be brief\n+ ask\n\nIt is patient."
    assert [(c.path, c.kind, c.text) for c in parse_spec(source)] == [
        (("Care", "The assistant should"), "rule", "listen"),
        (("Care", "The assistant should"), "rule", "be brief"),
        (("Care", "The assistant should"), "rule", "ask"),
        (("Care",), "value", "It is patient."),
    ]
    assert [source[s.start_char : s.end_char] for s in segments(source) if s.role == "lead-in"] == [
        "The assistant should:"
    ]


def test_a_paragraph_that_says_more_than_its_lead_in_is_a_clause_as_well() -> None:
    clauses = parse_spec("The assistant must be fair to all. In a dispute it should:\n\n- hear both sides")
    assert clauses[0].text.startswith("The assistant must be fair")
    assert clauses[1].path == ("In a dispute it should",)


def test_a_nested_bullet_has_its_parent_in_the_path() -> None:
    source = "- While working:\n  - stop when told\n    and say so\n- **Privacy**: guard it.\n\t- even from friends\n"
    assert [(c.path, c.text) for c in parse_spec(source)] == [
        (("While working",), "stop when told\n    and say so"),
        ((), "**Privacy**: guard it."),
        (("Privacy",), "even from friends"),
    ]


def test_a_paragraph_inside_a_bullet_has_the_bullet_in_its_path_and_one_after_the_list_has_not() -> None:
    source = "- **Limits**: keep them.\n\n    They should be known.\n\nIt should rest."
    assert paths(parse_spec(source)) == [(), ("Limits",), ()]


def test_bullets_that_a_numbered_rule_announces_are_its_own_even_without_an_indent() -> None:
    source = "SP1. The assistant must not:\n- lie\n- flatter\n\nSP2. Be brief.\n"
    assert [(c.label, c.path, c.text) for c in parse_spec(source)] == [
        ("SP1", ("The assistant must not",), "lie"),
        ("SP1", ("The assistant must not",), "flatter"),
        ("SP2", (), "Be brief."),
    ]


def test_a_long_parent_is_shortened_between_words() -> None:
    parent = "It keeps to what it was asked " + "and to nothing that it was not asked " * 4
    nested = parse_spec(f"- {parent}\n  - even then")[1]
    assert len(nested.path[0]) <= 81
    assert nested.path[0].endswith("\u2026")
    assert parent.startswith(nested.path[0][:-1] + " ")


def test_prose_without_headings_gives_a_clause_for_each_paragraph() -> None:
    source = "Curiosity moves the assistant.\nIt likes a puzzle.\n\nIt must not pry.\n\nAsk before acting."
    assert kinds(parse_spec(source)) == [
        ("value", "Curiosity moves the assistant.\nIt likes a puzzle."),
        ("rule", "It must not pry."),
        ("rule", "Ask before acting."),
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("It shouldn't guess.", "rule"),
        ("When in doubt, ask the person.", "rule"),
        ("**Put people first:** Choose the gentler word.", "rule"),
        ("Trust is earned slowly.", "value"),
        ("Help that comes late is still help.", "value"),
        ("It enjoys good questions.", "value"),
    ],
)
def test_a_text_that_tells_somebody_what_to_do_is_a_rule_and_any_other_a_value(text: str, kind: str) -> None:
    assert one(text).kind == kind
