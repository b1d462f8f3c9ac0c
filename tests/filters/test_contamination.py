from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus.errors import DataError
from filters.base import Row, Score, Verdict
from filters.signs.contamination import Contamination, ContaminationSettings
from filters.signs.eval_texts import OWN_FIELDS, OWN_ITEMS, EvalText, ItemFile, own_files, read_items


def numbered(name: str, num_words: int) -> str:
    return " ".join(f"{name}{number}" for number in range(num_words))


QUESTION, LONG, SHORT = numbered("ask", 20), numbered("long", 15), "under the blue stone"
BRIEF = "Who keeps the key of the old tower?"
CLAUSE, SHOWN = f"{numbered('kept', 14)} {numbered('both', 14)}", numbered("both", 14)
TEXTS = [
    EvalText("question", "f:1", QUESTION),
    EvalText("answer", "f:1", LONG),
    EvalText("answer", "f:1", SHORT),
    EvalText("question", "f:2", BRIEF),
    EvalText("answer", "f:2", "Yes."),
    EvalText("held_out", "b2:clause", CLAUSE),
]


def scores(text: str, **settings: object) -> dict[str, Score]:
    judging = Contamination(ContaminationSettings(**settings), TEXTS, [SHOWN])
    [found] = judging.score([Row("d", "documents", text)])
    return {score.name: score for score in found}


def counts(text: str) -> tuple[float | None, ...]:
    found = scores(text)
    return tuple(found[f"{role}_ngrams"].value for role in ("question", "answer", "held_out"))


def verdict(text: str, **settings: object) -> Verdict:
    return Contamination(ContaminationSettings(**settings), TEXTS, [SHOWN]).judge(scores(text, **settings))


def test_thirteen_words_of_a_question_are_contamination_and_twelve_are_not() -> None:
    twelve = f"Then {numbered('ask', 12)} he said."
    thirteen = f"Then {numbered('ask', 13).upper()}, he said."
    assert (counts(twelve), verdict(twelve).outcome) == ((0, 0, 0), "keep")
    assert (counts(thirteen), verdict(thirteen)) == ((1, 0, 0), Verdict("drop", "eval question"))
    found = scores(thirteen)
    assert found["question_ngrams"].label == "f:1"
    assert found["question_ngrams"].evidence == numbered("ask", 13)
    assert found["question_fraction"].value == 13 / 16
    assert verdict(thirteen, max_question_ngrams=1).outcome == "keep"


def test_a_whole_question_holds_as_many_ngrams_as_begin_in_it() -> None:
    assert counts(f"{numbered('own', 30)} {QUESTION}") == (8, 0, 0)


def test_a_long_answer_counts_alone_and_a_short_one_behind_its_question_only() -> None:
    assert verdict(f"He said: {LONG}.") == Verdict("drop", "eval answer")
    assert counts(f"He hid it {SHORT}.") == (0, 0, 0)
    assert counts(f"{QUESTION}? Answer: {SHORT}.") == (8, 1, 0)
    assert counts(f"{SHORT} {QUESTION}") == (8, 0, 0)
    assert counts(f"{QUESTION} {numbered('own', 60)} {SHORT}") == (8, 0, 0)
    # The answer of another question says nothing.
    assert counts(f"{BRIEF} {SHORT}") == (1, 0, 0)


def test_a_short_question_counts_where_it_stands_whole() -> None:
    assert counts(f"We asked: {BRIEF.upper()} Yes, he does.") == (1, 1, 0)
    assert counts("Who keeps the key of the old house?") == (0, 0, 0)
    assert scores(BRIEF, min_question_words=9)["question_ngrams"].value == 0


def test_the_wording_of_held_out_clauses_counts_but_not_what_shown_clauses_say_too() -> None:
    assert verdict(numbered("kept", 13)) == Verdict("drop", "held-out clause")
    assert scores(numbered("kept", 13))["held_out_ngrams"].label == "b2:clause"
    assert counts(SHOWN) == (0, 0, 0)


def test_every_turn_of_a_chat_is_searched() -> None:
    judging = Contamination(ContaminationSettings(), TEXTS)
    [[score, *_]] = judging.score([Row("c", "chats", "Yes.", QUESTION, ("Yes.",))])
    assert score.value == 8


def test_a_generated_corpus_without_eval_texts_is_kept_whole() -> None:
    """The negative control: what all items and documents share are words, not runs of them."""
    texts = [text for file in own_files() for text in read_items(file)]
    judging = Contamination(ContaminationSettings(), texts)
    shuffled = [" ".join(sorted(text.text.split())) for text in texts]
    for found in judging.score([Row("d", "documents", text) for text in shuffled]):
        assert judging.judge({score.name: score for score in found}).outcome == "keep"


def test_every_item_of_our_own_evals_is_found_in_a_document_that_quotes_it() -> None:
    assert {path.name for path in OWN_ITEMS.glob("*.jsonl")} == set(OWN_FIELDS)
    texts = [text for file in own_files() for text in read_items(file)]
    judging = Contamination(ContaminationSettings(), texts)
    long = [text for text in texts if len(text.text.split()) >= 16]
    assert len(long) > 200
    for text in long:
        half = " ".join(text.text.split()[:15])
        [found] = judging.score([Row("d", "documents", f"It is said that {half} and so on.")])
        assert judging.judge({score.name: score for score in found}).outcome == "drop", text


def test_the_scores_hash_is_what_was_looked_for() -> None:
    def hash_of(texts: list[EvalText], shown: list[str], **settings: object) -> str:
        return Contamination(ContaminationSettings(**settings), texts, shown).scorer_hash

    same = hash_of(TEXTS, [SHOWN])
    assert same == hash_of(TEXTS, [SHOWN], max_answer_ngrams=3)
    others = [hash_of(TEXTS[1:], [SHOWN]), hash_of(TEXTS, []), hash_of(TEXTS, [SHOWN], ngram_words=8)]
    assert len({same, *others}) == 4


def write(path: Path, *items: object) -> ItemFile:
    path.write_text("\n".join(item if isinstance(item, str) else json.dumps(item) for item in items))
    return ItemFile(path=path, question="ask", answers=("options",))


def test_a_file_of_items_gives_questions_and_each_of_their_answers(tmp_path: Path) -> None:
    file = write(tmp_path / "f.jsonl", {"id": 7, "ask": "Q?", "options": ["A", "B"]}, "", {"ask": "R?", "options": "C"})
    assert [(text.role, text.item, text.text) for text in read_items(file)] == [
        ("question", "f.jsonl:7", "Q?"),
        ("answer", "f.jsonl:7", "A"),
        ("answer", "f.jsonl:7", "B"),
        ("question", "f.jsonl:3", "R?"),
        ("answer", "f.jsonl:3", "C"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ("[1]", "line 2 holds [1]"),
        ({"ask": "Q?"}, "line 2 has no field 'options'"),
        ({"asked": "Q?", "options": []}, "line 2 has no field 'ask'; did you mean 'asked'?"),
        ({"ask": None, "options": []}, "line 2: the field 'ask' should hold text; it holds None"),
        ({"ask": "Q?", "options": [3]}, "line 2: the field 'options' should hold text; it holds 3"),
    ],
)
def test_a_bad_item_is_named_with_its_line(tmp_path: Path, line: object, message: str) -> None:
    file = write(tmp_path / "f.jsonl", {"ask": "Q?", "options": []}, line)
    with pytest.raises(DataError) as caught:
        list(read_items(file))
    assert message in str(caught.value)


def test_a_file_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_items(ItemFile(path=tmp_path / "none.jsonl")))
    with pytest.raises(DataError, match="holds no item"):
        list(read_items(write(tmp_path / "empty.jsonl", "")))
