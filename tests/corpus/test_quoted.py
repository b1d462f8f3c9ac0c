"""Quoted words are found whatever white space stands between them, and marking them changes no text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corpus.quoted import find_quoted, pieces

WORDS = st.text("ab .\n", max_size=12)


def test_white_space_aside_the_words_are_found_or_not() -> None:
    assert find_quoted("I will let the alarm\n be cancelled.", "the alarm be cancelled") == (11, 34)
    assert find_quoted("I will let the alarm ring.", "the alarm be cancelled") is None
    assert find_quoted("anything", "  ") is None
    assert find_quoted("a+b", "a.b") is None, "words are no pattern"


def test_what_is_quoted_is_marked_once_where_quotes_overlap() -> None:
    assert pieces("one two three four", ["two three", "three four", "five"]) == [
        ("one ", False), ("two three", True), (" four", True)
    ]  # fmt: skip
    assert pieces("", ["a"]) == []


@given(WORDS, st.lists(WORDS))
def test_the_pieces_joined_are_the_text(text: str, quotes: list[str]) -> None:
    marked = pieces(text, quotes)
    assert "".join(piece for piece, _ in marked) == text
    assert all(piece for piece, _ in marked)
    for quote in quotes:
        assert find_quoted(text, quote) is None or any(is_marked for _, is_marked in marked)
