from __future__ import annotations

from filters.base import Row, Score, Verdict
from filters.signs.spec_copying import SpecCopying, SpecCopyingSettings

RULES = [" ".join(f"{name}{number}" for number in range(60)) for name in ("harbour", "lantern", "orchard")]


def scores(text: str, **settings: object) -> dict[str, Score]:
    [found] = SpecCopying(SpecCopyingSettings(**settings), RULES).score([Row("d", "documents", text)])
    return {score.name: score for score in found}


def verdict(text: str, **settings: object) -> Verdict:
    return SpecCopying(SpecCopyingSettings(**settings), RULES).judge(scores(text, **settings))


def own(num_words: int) -> str:
    return " ".join(f"own{number}" for number in range(num_words))


def test_a_quoted_rule_is_natural_and_two_rules_in_a_row_are_a_reprint() -> None:
    quoted = f"{own(100)} {RULES[1].upper()}! {own(40)}"
    found = scores(quoted)
    assert (found["copied_run_words"].value, found["copied_fraction"].value) == (60, 0.3)
    assert (found["copied_run_words"].evidence or "").startswith("lantern0 lantern1")
    assert verdict(quoted).outcome == "keep"
    # The clauses are one text: a run goes on from one into the next.
    reprinted = f"{own(300)} {RULES[0]} {RULES[1]}"
    assert scores(reprinted)["copied_run_words"].value == 120
    assert verdict(reprinted) == Verdict("drop", "long copied run")


def test_a_text_that_is_mostly_copied_in_pieces_is_dropped() -> None:
    rule = RULES[2].split()
    pieces = " ".join(f"own{start} {' '.join(rule[start : start + 10])}" for start in range(0, 60, 10))
    found = scores(pieces)
    assert found["copied_run_words"].value == 10
    assert round(found["copied_fraction"].value or 0, 3) == round(60 / 66, 3)
    assert verdict(pieces) == Verdict("drop", "mostly copied")
    assert verdict(pieces, max_copied_fraction=0.95).outcome == "keep"


def test_runs_shorter_than_the_ngram_are_phrases() -> None:
    rule = RULES[0].split()
    assert scores(" ".join([*rule[:7], "own", *rule[20:27]]))["copied_run_words"] == Score("copied_run_words", 0)
    assert scores(" ".join(rule[:8]))["copied_run_words"].value == 8


def test_without_a_spec_nothing_is_judged() -> None:
    judging = SpecCopying(SpecCopyingSettings(), [])
    [found] = judging.score([Row("d", "documents", RULES[0])])
    assert judging.judge({score.name: score for score in found}) == Verdict("unjudged", "no clauses")


def test_another_spec_is_another_scorer_and_another_threshold_is_not() -> None:
    settings = SpecCopyingSettings()
    one = SpecCopying(settings, RULES)
    assert one.scorer_hash != SpecCopying(settings, RULES[:2]).scorer_hash
    assert one.scorer_hash != SpecCopying(SpecCopyingSettings(ngram_words=9), RULES).scorer_hash
    other = SpecCopying(SpecCopyingSettings(max_run_words=20), RULES)
    assert one.scorer_hash == other.scorer_hash
    assert one.filter_hash != other.filter_hash


def test_the_assistants_turns_of_a_chat_are_measured() -> None:
    asked = Row("c", "chats", own(60), RULES[0], (own(60),))
    answered = Row("c", "chats", RULES[0], own(60), (RULES[0],))
    judging = SpecCopying(SpecCopyingSettings(), RULES)
    [[first, _], [second, _]] = judging.score([asked, answered])
    assert (first.value, second.value) == (0, 60)
