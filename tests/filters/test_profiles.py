"""The synthetic profiles keep what good texts of each family look like, and drop what bad ones look like in any."""

import re

import pytest
from fakes.genre_texts import GENRE_TEXTS

from filters.base import Row, Verdict
from filters.form.presets import ANY_FAMILY, FAMILIES, JUDGED_FROM_WORDS, SYNTHETIC, WEB, measure_of
from filters.form.rules import Rules, RulesSettings
from prompts import genres


def verdict(text: str, family: str | None, **settings: object) -> Verdict:
    rules = Rules(RulesSettings.model_validate(settings))
    [scores] = rules.score([Row("d", "documents", text, family=family)])
    return rules.judge({score.name: score for score in scores})


@pytest.mark.parametrize("genre", GENRE_TEXTS)
def test_a_good_text_of_each_family_is_kept_also_where_its_genre_is_not_known(genre: str) -> None:
    text = GENRE_TEXTS[genre]
    assert len(text.split()) >= JUDGED_FROM_WORDS
    assert verdict(text, genres()[genre].family) == Verdict("keep")
    assert verdict(text, None) == Verdict("keep")


def test_there_is_a_text_of_every_family_and_web_rules_drop_most_of_them() -> None:
    """The control: what they drop is not the fault of the texts, for they keep an essay."""
    assert {genres()[genre].family for genre in GENRE_TEXTS} == set(FAMILIES)
    one_line_a_paragraph = {genre: re.sub(r"(?<=\w)\n(?=[a-z])", " ", text) for genre, text in GENRE_TEXTS.items()}
    dropped = [
        genre for genre, text in one_line_a_paragraph.items() if verdict(text, None, preset=list(WEB)).outcome == "drop"
    ]
    assert {"release notes", "support ticket", "stage scene", "quiz with explanations"} <= set(dropped)
    assert "blog essay" not in dropped


@pytest.mark.parametrize("family", SYNTHETIC)
@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("max_duplicate_sentence_char_fraction", "The assistant is here to help you. " * 20),
        ("max_duplicate_line_char_fraction", "The assistant can help with that\n" * 20),
        ("max_duplicate_paragraph_char_fraction", "I cannot say\nwhat it is\n\n" * 20),
        ("max_top_2gram_fraction", " ".join(f"w{i} very much" for i in range(60))),
        ("max_top_3gram_fraction", " ".join(f"as I said before {i}" for i in range(30))),
        ("max_top_4gram_fraction", " ".join(f"as I said before {i}" for i in range(30))),
        ("max_duplicate_5gram_fraction", " ".join(f"it is what it is, says {i}" for i in range(30))),
        ("max_duplicate_10gram_fraction", " ".join(f"so it goes on and on and on and on {i}" for i in range(30))),
        ("min_zlib_fraction", "on and on and so " * 60),
        ("min_alphabetic_word_fraction", "--- *** === " * 5 + " ".join(f"{i} | {i * i} |" for i in range(40))),
        ("max_newlines_per_word", "\n".join(f"word{i}" for i in range(80))),
        ("max_short_line_fraction", "\n".join(f"word{i} and the next" for i in range(80))),
        ("max_ellipses_per_word", " ".join(f"hm{i} ..." for i in range(60))),
        ("max_hashes_per_word", " ".join(f"#tag{i}" for i in range(60))),
        ("max_mean_word_chars", " ".join(f"unseparated{i}words" for i in range(60))),
        ("max_lorem_ipsum_lines", "Lorem ipsum, as they say, " + " ".join(f"word{i}" for i in range(60)) + "."),
    ],
)
def test_a_bad_text_is_dropped_in_every_family(limit: str, text: str, family: str) -> None:
    found = verdict(text, None if family == ANY_FAMILY else family)
    assert found.outcome == "drop"
    others = {name: 0 if name.startswith("min_") else 10**6 for name in SYNTHETIC[family] if name != limit}
    reason = measure_of(limit).removesuffix("_fraction").replace("_", " ")
    assert verdict(text, None if family == ANY_FAMILY else family, **others).reason.endswith(f": {reason}")
    assert verdict(text, family, **others, **{limit: 0 if limit.startswith("min_") else 10**6}).outcome == "keep"


@pytest.mark.parametrize("genre", GENRE_TEXTS)
def test_a_good_text_that_falls_into_a_loop_is_dropped(genre: str) -> None:
    text, family = GENRE_TEXTS[genre], genres()[genre].family
    last = [line for line in text.splitlines() if len(line) > 20][-1]
    assert verdict(text + f"{last}\n" * (2 * len(text) // len(last)), family).outcome == "drop"


@pytest.mark.parametrize("genre", ["release notes", "stage scene", "quiz with explanations"])
def test_what_one_family_may_another_may_not(genre: str) -> None:
    """The control: profiles differ, so that an essay in such a form is dropped."""
    assert verdict(GENRE_TEXTS[genre], "public").outcome == "drop"
