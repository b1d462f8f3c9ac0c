"""Whatever the text, segments cover it, spans are exact, and the time grows with its length and no faster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.spec import segments
from corpus.spec_reader import SpecReader

LINES = [
    "# Heading {#id authority=root}",
    "### Other ###",
    "The assistant should be kind:",
    "It is glad. It must ask!",
    "**Bold title**",
    "- a bullet",
    "  - nested:",
    "\t* tabbed",
    "1. first",
    "1.2 Second",
    "SP1. named",
    "**GP2**: bold named",
    "```python",
    "```",
    "~~~~",
    "~~~",
    '!!! note "Title"',
    "    indented",
    "> [!NOTE]",
    "> quoted",
    ">",
    "| a | b |",
    "|---|---|",
    "a | b",
    "---",
    "===",
    "<!-- open",
    "close -->",
    "<!-- whole -->",
    "<details>",
    "[^1]: footnote",
    "[x]: https://example.org",
    ": meaning",
    "**Example**: one",
    "User: hi",
    "Assistant: hi",
    "key: value",
    "-",
    "\u00a0",
    "",
    "",
    "",
]
sources = st.one_of(
    st.text(),
    st.text(alphabet="#-*>`~!|:.[]{}<>=^1aA \t\r\n\ufeff\u00a0"),
    st.builds(
        lambda lines, end: end.join(lines),
        st.lists(st.sampled_from(LINES)),
        st.sampled_from(["\n", "\r\n", "\r"]),
    ),
)


@given(sources)
def test_segments_cover_the_source_without_gap_or_overlap(source: str) -> None:
    at = 0
    for segment in segments(source):
        assert segment.start_char == at
        assert segment.end_char > at
        at = segment.end_char
    assert at == len(source)


@given(sources)
def test_only_white_space_is_blank(source: str) -> None:
    blank = [source[s.start_char : s.end_char] for s in segments(source) if s.role == "blank"]
    assert all(not text.strip().strip("\ufeff") for text in blank)


@given(sources)
def test_clauses_are_exact_slices_with_unique_ids_in_order(source: str) -> None:
    clauses = SpecReader(source).clauses
    assert all(source[c.start_char : c.end_char] == c.text == c.text.strip() for c in clauses)
    assert [c.ordinal for c in clauses] == list(range(len(clauses)))
    assert len({c.clause_id for c in clauses}) == len(clauses)
    spans = [(s.start_char, s.end_char) for s in segments(source) if s.role == "clause"]
    assert spans == [(c.start_char, c.end_char) for c in clauses]


REPEATED = {
    "bullets": "- a must\n",
    "paragraphs": "A must\n\n",
    "titles": "Aa\n\n",
    "lead-ins": "a:\n\n",
    "examples": "Example:\n\n- a\n\n",
    "open examples": "Example:\n",
    "turns": "User: a\n\nAssistant: b\n\n",
    "unclosed comments": "<!--\n",
    "comments": "<!-- a -->\n",
    "unclosed fences": "```x\n",
    "fences": "~~~\n",
    "quotes": "> a\n",
    "alerts": "> [!NOTE]\n",
    "admonitions": "!!! note\n    a\n",
    "tables": "|a|b|\n|-|-|\n",
    "keys after a rule": "k: v\n",
    "footnotes": "[^a]: b\n",
}


def num_calls(function: Callable[[str], object], source: str) -> int:
    """Calls of any function, Python's and C's, that `function(source)` makes."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function(source)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("name", REPEATED)
def test_twice_the_blocks_make_twice_the_calls(name: str) -> None:
    few, many = (num_calls(segments, "---\n" + REPEATED[name] * n) for n in (60, 240))
    assert many < 4.4 * few


LONG = 200_000
NASTY = {
    "a hash and spaces": "#" + " " * LONG + "x",
    "dots in a heading": "# " + "." * LONG,
    "braces in a heading": "# " + "{" * LONG,
    "attributes": "# a {" + "a=" * (LONG // 2) + "}",
    "asterisks": "*" * LONG,
    "open bold": "**a" * (LONG // 3),
    "open brackets": "[" * LONG,
    "half links": "](" * (LONG // 2),
    "tags": "<a>  " * (LONG // 5) + "x",
    "open tags": "<a " * (LONG // 3),
    "pipes": "|" * LONG,
    "a broken rule": "- " * (LONG // 2) + "x",
    "quotes in quotes": ">" * LONG,
    "spaces after a full stop": "." + " " * LONG + "x",
    "spaced dots": ". " * (LONG // 2),
    "ifs": "If " * (LONG // 3),
    "colons": "a: " * (LONG // 3) + ":\n\n- x",
    "an example and spaces": "Example" + " " * LONG + "x",
    "fences of all lengths": "".join("`" * n + "\n" for n in range(600, 2, -1)),
    "bullets in bullets": "".join(" " * (2 * n) + "- a:\n" for n in range(440)),
    "blank lines": "\n" * LONG,
}


@pytest.mark.parametrize("name", NASTY)
def test_no_pattern_backtracks_over_a_long_line(name: str) -> None:
    """A quadratic pattern needs hours for this, and the suite's time limit ends it."""
    source = NASTY[name]
    assert segments(source)[-1].end_char == len(source)
