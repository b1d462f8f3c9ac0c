"""Patterns over-represented across a corpus: clustered, shown by a query, and scored in each text."""

from __future__ import annotations

from collections.abc import Callable

from corpus.inspect.named import named_queries
from corpus.recurring import Recurring
from filters import curate_corpus
from filters.base import Row, Score
from filters.signs.patterns import cluster
from filters.signs.recurring import RecurringPatterns, RecurringSettings

Prose = Callable[..., str]


def clusters(*found: tuple[str, str, int]) -> dict[str, str]:
    return {text: name for (_, text), name in cluster([Recurring(*one) for one in found]).items()}


def test_phrases_that_differ_in_one_word_or_by_one_step_are_one_pattern_named_by_the_most_frequent() -> None:
    named = clusters(
        ("phrase", "in the heart of the", 9),
        ("phrase", "in the heart of a", 4),
        ("phrase", "in the centre of the", 3),
        ("phrase", "deep in the heart of", 5),
        ("phrase", "it was a quiet morning", 12),
    )
    heart = "in the heart of the"
    assert {name for text, name in named.items() if text != "it was a quiet morning"} == {heart}
    assert named["it was a quiet morning"] == "it was a quiet morning"


def test_an_opening_and_a_phrase_of_the_same_words_are_two_patterns_and_names_are_one_by_a_common_word() -> None:
    found = [Recurring("opening", "it was a quiet morning", 4), Recurring("phrase", "it was a quiet evening", 9)]
    assert cluster(found) == {
        ("opening", "it was a quiet morning"): "it was a quiet morning",
        ("phrase", "it was a quiet evening"): "it was a quiet evening",
    }
    named = clusters(("name", "Elena", 3), ("name", "Elena Vasquez", 7), ("name", "Maya Patel", 5))
    assert named == {"Elena": "Elena Vasquez", "Elena Vasquez": "Elena Vasquez", "Maya Patel": "Maya Patel"}


def test_clusters_do_not_depend_on_the_order_of_what_was_found() -> None:
    found = [
        Recurring("phrase", " ".join(f"w{(start + n) % 9}" for n in range(5)), start % 4 + 3) for start in range(9)
    ]
    assert cluster(found) == cluster(found[::-1])
    assert len(set(cluster(found).values())) == 1


PATTERNS = {
    "name": {"Maya Patel": "Maya Patel"},
    "opening": {"it was a quiet morning": "it was a quiet morning"},
    "phrase": {"deep in the heart of": "in the heart of the", "in the heart of the": "in the heart of the"},
}


def scores(text: str, **settings: object) -> dict[str, Score]:
    [found] = RecurringPatterns(RecurringSettings(**settings), {"documents": PATTERNS}).score(
        [Row("d", "documents", text)]
    )
    return {score.name: score for score in found}


def test_a_text_is_scored_by_its_patterns_and_the_words_they_cover() -> None:
    text = "It was a quiet morning when we met Maya Patel deep in the heart of the old town."
    found = scores(text)
    assert found["patterns"].value == 3
    assert found["patterns"].evidence == "it was a quiet morning; in the heart of the; Maya Patel"
    # 5 words of the opening, and 6 of the two phrases that overlap, of 18.
    assert found["covered_fraction"].value == 11 / 18
    assert scores("Nothing of it stands here.") == {
        "patterns": Score("patterns", 0), "covered_fraction": Score("covered_fraction", 0.0)
    }  # fmt: skip


def test_nothing_is_dropped_unless_a_setting_says_so() -> None:
    text = "It was a quiet morning when we met Maya Patel deep in the heart of the old town."
    for settings, reason in (
        ({}, None),
        ({"max_patterns": 2}, "many patterns"),
        ({"max_covered_fraction": 0.6}, "made of patterns"),
    ):
        judging = RecurringPatterns(RecurringSettings(**settings), {"documents": PATTERNS})
        assert judging.judge(scores(text)).reason == reason
    assert RecurringPatterns(RecurringSettings(), {"documents": {}}).scorer_hash != judging.scorer_hash


def test_curation_counts_clusters_and_scores_documents_and_answers_apart(run, make_prose: Prose) -> None:
    habit = "It was a quiet morning in the old harbour town. "
    run.add_documents({f"d{number}": habit + make_prose(number) for number in range(5)} | {"d9": make_prose(99)})
    asked = [("user", "What is the tide?"), ("assistant", f"I love this question so very much. {make_prose(7)}")]
    run.add_chats({f"c{number}": [asked[0], ("assistant", asked[1][1] + f" x{number}")] for number in range(4)})
    recipe = run.recipe(curate={"filters": ["recurring"], "duplicates": None})
    curate_corpus(recipe, run.store, run.progress)
    rows = run.store.rows(named_queries()["recurring"].sql)
    openings = {row["row_kind"]: row["text"] for row in rows if row["kind"] == "opening"}
    assert openings == {"documents": "it was a quiet morning", "chats": "i love this question so"}
    [phrase] = [row for row in rows if row["kind"] == "phrase" and row["row_kind"] == "documents"]
    assert (phrase["num_documents"], phrase["document_fraction"]) == (5, 5 / 6)
    found = dict.fromkeys(run.column("SELECT doc_id FROM scores WHERE name = 'patterns' AND value > 0"))
    assert sorted(map(str, found)) == [*(f"c{number}" for number in range(4)), *(f"d{number}" for number in range(5))]
    before = run.files()
    assert curate_corpus(recipe, run.store, run.progress).num_scored == 0
    assert not [path for path in run.files() if path not in before]
    # One more row changes no pattern: it alone is scored. A new habit is one more pattern for every text.
    run.add_documents({"d10": make_prose(100)})
    assert curate_corpus(recipe, run.store, run.progress).num_scored == 1
    run.add_documents({f"e{number}": f"Late in the winter months {make_prose(number)}" for number in range(200, 203)})
    assert curate_corpus(recipe, run.store, run.progress).num_scored == 14
