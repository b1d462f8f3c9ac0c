"""Measures made by compiled code equal those of plain Python, on any text."""

import sys

import numpy as np
import pytest
from fakes.plain_measures import is_symbol, measures
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.form import characters
from filters.form.measures import MEASURES, measure

PIECES = st.sampled_from(
    [
        "the", "be", "with", "river", "winter", "a", "42", "#", "-", "•", "...", "…", "!?", ".", ". ", '."',
        "\n", "\n\n", "\r\n", "\r", "\x0b", "\x1c", "\x85", "\u2028", " ", "  ", "\t", "\u00a0", "{", "[3]", "[edit]",
        "[citation needed]", "[", "Lorem Ipsum", "JavaScript", "Terms of use", "use cookies", "uses cookies",
        "x" * 1001, "é", "e\u0301", "日本語", "かな。", "ह्", "؟", "।", "‼", "\u2019", "'", '"', "”", "😀",
        "\U000e0100", "\x00", "“", "one two three four five ", "This is a line that ends as it should. ",
    ]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(PIECES, max_size=60).map("".join),
    st.text(alphabet="ab .\n-", max_size=200),
    st.text(st.characters(exclude_categories=["Po"])),
)


def measured(text: str) -> dict[str, float | None]:
    [scores] = measure([text], MEASURES)
    return {score.name: score.value for score in scores}


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example("")
@example("the\x00 [edit\x00")
@example("no " * 60)
@example("a b c d e x a b c d e")
@example("\n\n\n")
@example("One. Two? “Three!” (Four.) five\nOne. Two?")
@example("A line with [3] citations.[12]\nand one more line. [1]\n[edit]\nlorem ipsum is javascript {.")
def test_each_measure_is_that_of_plain_python(text: str) -> None:
    assert measured(text) == pytest.approx(measures(text), rel=1e-12, abs=0)


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_texts_measured_together_are_measured_as_if_alone(texts: list[str]) -> None:
    together = measure(texts, MEASURES)
    assert together == [scores for text in texts for scores in measure([text], MEASURES)]


def test_the_order_is_that_of_the_list_and_only_what_is_asked_for_comes() -> None:
    [scores] = measure(["The river is wide."], reversed(MEASURES))
    assert [score.name for score in scores] == list(MEASURES)
    assert [score.name for score in measure(["The river."], {"stop_words", "words"})[0]] == ["words", "stop_words"]


def test_the_evidence_is_what_recurs_as_it_stands_in_the_text() -> None:
    line = "It says so, AGAIN and again."
    text = "\n".join([line, "Something else stands here for once.", line, "And this is the end of it all."])
    evidence = {score.name: score.evidence for score in measure([text], MEASURES)[0]}
    assert evidence["duplicate_line_char_fraction"] == evidence["duplicate_sentence_char_fraction"] == line
    assert evidence["duplicate_5gram_fraction"] == "It says so, AGAIN and"
    assert evidence["duplicate_paragraph_fraction"] is None
    assert measure(["so it is " * 20], ["top_2gram_fraction"])[0][0].evidence == "so it"


def test_what_hardly_recurs_and_what_is_no_share_of_repeats_has_no_evidence() -> None:
    once = "one two three four five. " + " ".join(f"w{n}" for n in range(200)) + " one two three four five."
    scores = {one.name: one for one in measure([once], MEASURES)[0]}
    assert 0 < scores["duplicate_5gram_fraction"].value < 0.1
    assert scores["duplicate_5gram_fraction"].evidence is None
    assert scores["words"].evidence is None


def test_every_character_has_its_kind() -> None:
    codes = np.arange(characters.NUM_KNOWN, dtype=np.uint32)
    found = characters.kinds(codes)
    for code in range(0, characters.NUM_KNOWN, 7):
        char = chr(code)
        assert bool(found[code] & characters.SPACE) == char.isspace(), hex(code)
        assert bool(found[code] & characters.ALPHABETIC) == char.isalpha(), hex(code)
        assert bool(found[code] & characters.SYMBOL) == is_symbol(char), hex(code)
    assert not characters.kinds(np.array([sys.maxunicode], np.uint32)).any()


def test_a_lone_surrogate_is_a_character_like_others() -> None:
    assert measured("wide \ud800 river")["words"] == 3


def test_a_text_of_one_word_without_end_is_measured_too() -> None:
    found = measured("x" * 3_000_000)
    assert (found["words"], found["mean_word_chars"], found["long_word_lines"]) == (1, 3_000_000, 1)
