from collections.abc import Callable

import pytest

from filters.base import Row, Score, Verdict
from filters.repetition import Repetition, RepetitionSettings

OFF = {
    "max_duplicate_line_fraction": 1.0,
    "max_duplicate_sentence_fraction": 1.0,
    "max_top_2gram_fraction": 1.0,
    "max_top_3gram_fraction": 1.0,
    "max_top_4gram_fraction": 1.0,
    "max_duplicate_5gram_fraction": 1.0,
    "min_zlib_fraction": 0.0,
}
DEFAULTS = RepetitionSettings().model_dump()


def scores(text: str) -> dict[str, Score]:
    [found] = Repetition(RepetitionSettings()).score([Row("d", "documents", text)])
    return {score.name: score for score in found}


def verdict(text: str, **settings: float) -> Verdict:
    return Repetition(RepetitionSettings(**settings)).judge(scores(text))


LINES = "\n".join(["One line that comes again"] * 5 + [f"Line number {i} is alone" for i in range(8)])
SENTENCES = " ".join(["It says so again."] * 5 + [f"Sentence number {i} is alone." for i in range(8)])


def mixed_with(prose: str, phrase: str, every: int) -> str:
    found = prose.replace(".", "").split()
    return " ".join(f"{word} {phrase}" if index % every == 0 else word for index, word in enumerate(found))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("max_duplicate_line_fraction", "duplicate line"),
        ("max_duplicate_sentence_fraction", "duplicate sentence"),
        ("max_top_2gram_fraction", "top 2gram"),
        ("max_top_3gram_fraction", "top 3gram"),
        ("max_top_4gram_fraction", "top 4gram"),
        ("max_duplicate_5gram_fraction", "duplicate 5gram"),
        ("min_zlib_fraction", "compresses too well"),
    ],
)
def test_each_rule_drops_its_own_kind_of_loop_and_prose_passes(
    name: str, reason: str, make_prose: Callable[..., str]
) -> None:
    text = {
        "duplicate line": LINES,
        "duplicate sentence": SENTENCES,
        "top 2gram": mixed_with(make_prose(1), "same pair", 3),
        "top 3gram": mixed_with(make_prose(1), "same three words", 5),
        "top 4gram": mixed_with(make_prose(1), "these same four words", 6),
        "duplicate 5gram": mixed_with(make_prose(1), "these very same five words", 8),
        "compresses too well": "the same sentence about the same thing. " * 40,
    }[reason]
    only_this_rule = {**OFF, name: DEFAULTS[name]}
    assert verdict(text, **only_this_rule) == Verdict("drop", reason)
    assert verdict(text, **OFF).outcome == "keep"
    assert verdict(make_prose(1)).outcome == "keep"


def test_the_evidence_is_what_recurs(make_prose: Callable[..., str]) -> None:
    assert scores(SENTENCES)["duplicate_sentence_fraction"].evidence == "it says so again"
    assert scores(mixed_with(make_prose(1), "same pair", 3))["top_2gram_fraction"].evidence == "same pair"
    assert scores(make_prose(1))["duplicate_5gram_fraction"].evidence is None


def test_short_recurring_lines_such_as_speakers_do_not_count() -> None:
    talk = "\n".join(f"Assistant:\nSentence number {i} is alone." for i in range(8))
    assert scores(talk)["duplicate_line_fraction"].value == 0


def test_a_short_text_is_not_judged_by_word_sequences() -> None:
    text = "The red door is the red door that he meant."
    assert scores(text)["top_3gram_fraction"].value > DEFAULTS["max_top_3gram_fraction"]
    assert verdict(text).outcome == "keep"


def test_fractions_are_gophers_by_hand() -> None:
    found = scores("aa bb cc aa bb dd")
    assert found["top_2gram_fraction"].value == pytest.approx(8 / 12)
    assert found["top_3gram_fraction"].value == 0  # none comes twice
    found = scores("a b c d e x a b c d e")
    assert found["duplicate_5gram_fraction"].value == pytest.approx(5 / 11)
    assert scores("One two three.\nOne two three.\nFour five six.\nx")[
        "duplicate_line_fraction"
    ].value == pytest.approx(1 / 3)


def test_a_fraction_never_exceeds_one() -> None:
    assert scores("no " * 60)["top_3gram_fraction"].value == 1.0


def test_a_text_without_words_has_scores_too() -> None:
    assert {score.value for score in scores("").values()} == {0.0, 1.0}
