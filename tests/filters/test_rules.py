import math

import pytest
from pydantic import ValidationError

from corpus.errors import RecipeError
from filters import curate_corpus
from filters.base import Row, Score, Verdict
from filters.form.measures import MEASURES
from filters.form.presets import AT_ANY_LENGTH, FAMILIES, SYNTHETIC, WEB, measure_of
from filters.form.rules import PROFILE, Rules, RulesSettings
from filters.registry import read_settings
from prompts import genres

PUBLISHED = {
    "gopher_quality": {
        "words": (50, 100_000),
        "mean_word_chars": (3, 10),
        "hashes_per_word": (None, 0.1),
        "ellipses_per_word": (None, 0.1),
        "bullet_line_fraction": (None, 0.9),
        "ellipsis_line_fraction": (None, 0.3),
        "alphabetic_word_fraction": (0.8, None),
        "stop_words": (2, None),
    },
    "gopher_repetition": {
        "duplicate_line_fraction": (None, 0.3),
        "duplicate_paragraph_fraction": (None, 0.3),
        "duplicate_line_char_fraction": (None, 0.2),
        "duplicate_paragraph_char_fraction": (None, 0.2),
        "top_2gram_fraction": (None, 0.2),
        "top_3gram_fraction": (None, 0.18),
        "top_4gram_fraction": (None, 0.16),
        "duplicate_5gram_fraction": (None, 0.15),
        "duplicate_6gram_fraction": (None, 0.14),
        "duplicate_7gram_fraction": (None, 0.13),
        "duplicate_8gram_fraction": (None, 0.12),
        "duplicate_9gram_fraction": (None, 0.11),
        "duplicate_10gram_fraction": (None, 0.1),
    },
    "c4": {
        "lorem_ipsum_lines": (None, 0),
        "curly_bracket_lines": (None, 0),
        "c4_sentences": (5, None),
        "c4_kept_line_fraction": (0, None),
    },
    "fineweb": {
        "punctuated_line_fraction": (0.12, None),
        "short_line_fraction": (None, 0.67),
        "duplicate_filled_line_char_fraction": (None, 0.01),
        "newlines_per_word": (None, 0.3),
    },
}
"""Least and most, as the papers have them."""


def rules(**settings: object) -> Rules:
    return Rules(RulesSettings.model_validate(settings))


def scored(judging: Rules, text: str, **row: object) -> dict[str, Score]:
    [scores] = judging.score([Row("d", row.pop("kind", "documents"), text, **row)])
    return {score.name: score for score in scores}


def verdict(judging: Rules, text: str, **row: object) -> Verdict:
    return judging.judge(scored(judging, text, **row))


@pytest.mark.parametrize("preset", WEB)
def test_a_web_presets_limits_are_the_published_ones(preset: str) -> None:
    limits = {
        f"{side}_{name}": limit
        for name, both in PUBLISHED[preset].items()
        for side, limit in zip(("min", "max"), both, strict=True)
        if limit is not None
    }
    assert WEB[preset] == limits


@pytest.mark.parametrize(
    ("preset", "limit"), [(preset, limit) for preset, limits in WEB.items() for limit in limits]
)  # fmt: skip
def test_each_limit_keeps_its_own_value_and_drops_what_lies_beyond(preset: str, limit: str) -> None:
    judging = rules(preset=preset)
    fine = {measure_of(name): value for name, value in WEB[preset].items()}

    def outcome(value: float) -> Verdict:
        scores = {name: Score(name, number) for name, number in (fine | {measure_of(limit): value}).items()}
        return judging.judge(scores)

    at, beyond = WEB[preset][limit], -math.inf if limit.startswith("min_") else math.inf
    assert outcome(at).outcome == "keep"
    assert outcome(math.nextafter(at, beyond)).outcome == "drop"
    assert outcome(math.nextafter(at, beyond)).reason.endswith(
        measure_of(limit).removesuffix("_fraction").replace("_", " ")
    )


def test_every_limit_of_a_preset_is_one_of_a_measure_and_can_be_set() -> None:
    limits = {name for of_preset in (*WEB.values(), *SYNTHETIC.values()) for name in of_preset}
    settable = set(RulesSettings.model_fields) - {"preset", "imported_family"}
    assert limits <= settable
    assert {measure_of(name) for name in settable} == set(MEASURES)


def test_the_families_are_those_of_the_genre_cards() -> None:
    assert set(FAMILIES) == {card.family for card in genres().values()}


def test_only_what_a_limit_speaks_of_is_scored(make_prose) -> None:
    assert set(scored(rules(preset="c4"), make_prose(1))) == {PROFILE, *map(measure_of, WEB["c4"])}
    both = scored(rules(preset=["c4", "fineweb"], max_javascript_lines=0), make_prose(1))
    assert set(both) == {PROFILE, "javascript_lines", *map(measure_of, [*WEB["c4"], *WEB["fineweb"]])}


def test_a_moved_threshold_takes_no_new_scoring_and_another_preset_does() -> None:
    assert rules().scorer_hash == rules(max_short_line_fraction=0.1, imported_family="fiction").scorer_hash
    assert rules().filter_hash != rules(max_short_line_fraction=0.1).filter_hash
    assert rules().filter_hash != rules(imported_family="fiction").filter_hash
    assert rules().scorer_hash != rules(preset="fineweb").scorer_hash


def test_a_presets_limit_is_part_of_the_verdicts_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = rules().filter_hash, rules(preset="c4").filter_hash
    monkeypatch.setitem(SYNTHETIC, "fiction", {**SYNTHETIC["fiction"], "max_top_2gram_fraction": 0.9})
    monkeypatch.setitem(WEB, "c4", {**WEB["c4"], "min_c4_sentences": 4})
    after = rules().filter_hash, rules(preset="c4").filter_hash
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_single_limit_takes_the_place_of_the_presets(make_prose) -> None:
    text = make_prose(1, 40)
    assert verdict(rules(preset="gopher_quality", min_stop_words=0), text).reason == "too little: words"
    assert verdict(rules(preset="gopher_quality", min_stop_words=0, min_words=40), text).outcome == "keep"
    with_own = rules(preset=["synthetic", "fineweb"], max_short_line_fraction=1)
    listed = "\n".join(f"{word}." for word in make_prose(1, 60).split())
    assert verdict(with_own, listed, family="technical").reason == "too much: newlines per word"
    assert (
        verdict(rules(max_newlines_per_word=2, max_short_line_fraction=1), listed, family="technical").outcome == "keep"
    )


def test_a_limit_that_no_preset_has_holds_for_every_row() -> None:
    text = "We use cookies on this page."
    assert verdict(rules(), text).outcome == "keep"
    assert verdict(rules(max_policy_lines=0), text).reason == "too much: policy lines"


def test_of_two_presets_the_stricter_limit_holds() -> None:
    web = rules(preset=["gopher_quality", "gopher_repetition", "c4", "fineweb"])._web
    assert web == {name: limit for limits in WEB.values() for name, limit in limits.items()}


def test_an_imported_row_without_a_genre_is_judged_by_the_loosest_limits(make_prose) -> None:
    log = "\n".join(f"{hour}:00 {word}" for hour, word in enumerate(make_prose(1, 60).replace(".", "").split()))
    assert scored(rules(), log)[PROFILE].label is None
    assert verdict(rules(), log, family="public").outcome == "drop"
    assert verdict(rules(imported_family="public"), log).outcome == "drop"
    for family, limits in FAMILIES.items():
        for name, loosest in SYNTHETIC["any"].items():
            assert (limits[name] >= loosest) if name.startswith("min_") else (limits[name] <= loosest), (family, name)


def test_a_chat_is_a_conversation_and_a_short_answer_is_not_judged_by_shares() -> None:
    assert scored(rules(), "Brie.", kind="chats")[PROFILE].label == "conversational"
    for answer in ("Brie.", "42", "- yes\n- no", "No, no, no!", ""):
        assert verdict(rules(), answer, kind="chats").outcome == "keep"
    assert verdict(rules(), "It is so. It is so. It is so. It is so.", kind="chats").outcome == "drop"
    assert set(SYNTHETIC["any"]) >= AT_ANY_LENGTH


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "gofer"}, "preset"),
        ({"preset": []}, "preset"),
        ({"max_short_lines_fraction": 1}, "did you mean 'max_short_line_fraction'?"),
        ({"min_words": -1}, "greater than or equal to 0"),
        ({"imported_family": "poem"}, "imported_family"),
    ],
)
def test_a_wrong_setting_is_named(run, settings: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_settings(run.recipe(curate={"filters": [{"rules": settings}]}))
    assert message in str(caught.value)
    with pytest.raises(ValidationError):
        RulesSettings.model_validate(settings)


def test_the_family_is_that_of_the_documents_genre(run, make_prose) -> None:
    run.add_documents({"known": make_prose(1)}, genre="stage scene")
    run.add_documents({"unknown": make_prose(2)}, genre="limerick")
    run.add_documents({"none": make_prose(3)})
    curate_corpus(run.recipe(), run.store, run.progress)
    found = run.store.rows("SELECT doc_id, label FROM scores WHERE name = 'profile' ORDER BY doc_id")
    assert [tuple(row.values()) for row in found] == [("known", "fiction"), ("none", None), ("unknown", None)]
    assert run.column("SELECT count(*) FROM curated") == [3]


def test_a_threshold_is_replayed_in_sql_alone(run, make_prose) -> None:
    run.add_documents({"prose": make_prose(1), "listed": make_prose(2).replace(". ", ".\n")})
    curate_corpus(run.recipe(), run.store, run.progress)
    replayed = run.column(
        "SELECT doc_id FROM scores WHERE scorer = 'rules' AND name = 'newlines_per_word' AND value > 0.05 ORDER BY 1"
    )
    recipe = run.recipe(curate={"filters": [{"rules": {"max_newlines_per_word": 0.05}}]})
    curate_corpus(recipe, run.store, run.progress)
    assert run.column("SELECT doc_id FROM verdicts WHERE outcome = 'drop'") == replayed == ["listed"]
