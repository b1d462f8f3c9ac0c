import pytest

from filters.base import Row, Verdict
from filters.form.length import Length, LengthSettings


def verdict(row: Row, **settings: int) -> Verdict:
    judging = Length(LengthSettings(**settings))
    [scores] = judging.score([row])
    return judging.judge({score.name: score for score in scores})


def document(num_words: int) -> Row:
    return Row("d", "documents", "word " * num_words)


def chat(*answers: str) -> Row:
    return Row("c", "chats", "\n\n".join(answers), "a question", answers)


@pytest.mark.parametrize(("num_words", "reason"), [(9, "too short"), (10, None), (20, None), (21, "too long")])
def test_a_document_is_kept_from_min_words_to_max_words(num_words: int, reason: str | None) -> None:
    assert verdict(document(num_words), min_words=10, max_words=20).reason == reason


def test_gophers_bounds_are_the_default() -> None:
    assert verdict(document(49)) == Verdict("drop", "too short")
    assert verdict(document(50)).outcome == "keep"


def test_a_chat_is_as_short_as_its_shortest_answer() -> None:
    assert verdict(chat("a long enough answer", "...")) == Verdict("drop", "too short")
    assert verdict(chat("a long enough answer", "Brie.")).outcome == "keep"


def test_a_chat_is_as_long_as_its_longest_answer() -> None:
    assert verdict(chat("yes", "word " * 30), max_answer_words=29) == Verdict("drop", "too long")


def test_a_chat_without_an_answer_is_too_short() -> None:
    assert verdict(chat()) == Verdict("drop", "too short")


def test_limits_that_keep_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="min_words is 100 and max_words 50: nothing is kept"):
        LengthSettings(min_words=100, max_words=50)
