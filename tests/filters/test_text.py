from hypothesis import given
from hypothesis import strategies as st

from filters.text import lines, longest_shared_span, sentences, snippet, words


def test_words_are_folded_and_without_punctuation() -> None:
    assert words("Don't PANIC, it's 3 o\u2019clock: snake_case!") == [
        "don't", "panic", "it's", "3", "o\u2019clock", "snake", "case",
    ]  # fmt: skip


def test_each_character_of_a_script_without_spaces_is_a_word() -> None:
    assert words("model は正直 ok") == ["model", "は", "正", "直", "ok"]


def test_words_of_one_text_in_two_encodings_of_accents_are_the_same() -> None:
    assert words("cafe\u0301") == words("caf\u00e9")


def test_sentences_end_at_punctuation_and_at_line_ends() -> None:
    assert sentences("One is here. Two?\nThree") == ["One is here.", "Two?", "Three"]


def test_lines_leaves_out_empty_ones() -> None:
    assert lines(" a \n\n b") == ["a", "b"]


def test_a_snippet_is_one_short_line() -> None:
    assert snippet("a\nb" * 500, 10, 900).count("\n") == 0
    assert len(snippet("word " * 500, 10, 900)) <= 200


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_longest_shared_span_is_the_longest_that_brute_force_finds(these: list[str], those: list[str]) -> None:
    def spans(items: list[str]) -> set[tuple[str, ...]]:
        return {tuple(items[i:j]) for i in range(len(items) + 1) for j in range(i, len(items) + 1)}

    found = longest_shared_span(these, those)
    assert tuple(found) in spans(these) & spans(those)
    assert len(found) == max(map(len, spans(these) & spans(those)))
