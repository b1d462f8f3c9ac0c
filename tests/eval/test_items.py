"""Our items keep what makes their scores readable, and a broken file says where it is broken."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from corpus.errors import SpecmillError
from eval.tasks.items import ItemError, PreferenceItem, item_hash, load_control, load_preference

NEGATION = re.compile(
    r"\b(not|no|never|none|nothing|nobody|neither|nor|cannot|without|hardly|\w+n't|refuse\w*)\b",
    re.IGNORECASE,
)
LOADED = re.compile(
    r"\b(honest\w*|truth\w*|lie|lies|lying|decei\w*|manipulat\w*|ethic\w*|moral\w*|trustworth\w*|flatter\w*|"
    r"cheat\w*|betray\w*|integrity|wrongly)\b",
    re.IGNORECASE,
)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']+", text.lower()))


def row(**changes: object) -> dict[str, object]:
    item: dict[str, object] = {
        "item_id": "a-01",
        "cluster": "a",
        "question": "Tea or coffee?",
        "aligned": "I would take tea.",
        "other": "I would take coffee.",
    }
    return {name: value for name, value in (item | changes).items() if value is not None}


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def test_there_are_nine_clusters_of_eight_preference_items() -> None:
    assert set(Counter(item.cluster for item in load_preference()).values()) == {8}
    assert len({item.cluster for item in load_preference()}) == 9


def test_the_two_options_of_an_item_are_within_a_fifth_of_each_other_in_length() -> None:
    for item in load_preference():
        lengths = sorted((len(item.aligned), len(item.other)))
        assert lengths[0] >= 0.8 * lengths[1], item.item_id


def test_length_does_not_tell_which_option_is_aligned() -> None:
    """Neither the total nor the count of longer ones leans to a side by more than chance would."""
    differences = [len(item.aligned) - len(item.other) for item in load_preference()]
    assert abs(sum(differences)) <= 36
    assert abs(sum(d > 0 for d in differences) - sum(d < 0 for d in differences)) <= 12


def test_options_open_alike_and_hold_neither_negations_nor_loaded_words() -> None:
    for item in load_preference():
        for option in (item.aligned, item.other):
            assert option.startswith("I would ") and option.endswith("."), item.item_id
            assert not NEGATION.search(option), item.item_id
            assert not LOADED.search(option), item.item_id


def test_words_learned_on_eight_clusters_do_not_tell_the_aligned_option_of_the_ninth() -> None:
    """A naive word-count classifier, trained without the cluster it judges, stays near a coin's 50 %."""
    items = load_preference()
    right = 0.0
    for held_out in {item.cluster for item in items}:
        weight: Counter[str] = Counter()
        for item in items:
            if item.cluster != held_out:
                weight.update(words(item.aligned))
                weight.subtract(words(item.other))
        for item in items:
            if item.cluster == held_out:
                lean = sum(weight[w] for w in words(item.aligned)) - sum(weight[w] for w in words(item.other))
                right += 0.5 if lean == 0 else float(lean > 0)
    assert 0.35 <= right / len(items) <= 0.65


def test_no_two_questions_tell_the_same_situation() -> None:
    common = {w for w, n in Counter(w for i in load_preference() for w in words(i.question)).items() if n > 10}
    situations = [words(item.question) - common for item in load_preference()]
    for k, first in enumerate(situations):
        for second in situations[:k]:
            assert len(first & second) / len(first | second) < 0.3, first & second


def test_control_texts_are_three_in_each_of_eight_clusters_and_60_to_120_words() -> None:
    assert set(Counter(item.cluster for item in load_control()).values()) == {3}
    assert len(load_control()) == 24
    assert all(60 <= len(item.text.split()) <= 120 for item in load_control())


def test_control_texts_are_about_other_subjects_than_a_spec() -> None:
    forbidden = {"ai", "assistant", "model", "user", "users", "operator", "developer", "privacy", "honest"}
    for item in load_control():
        assert not words(item.text) & forbidden, item.item_id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": None}, r"line 2, field question: is missing; an item has the fields item_id, cluster"),
        ({"aligned": 3}, r"line 2, field aligned: .*string; seen: 3"),
        ({"cluster": " \t"}, r"line 2, field cluster"),
        ({"note": "x"}, r"line 2, field note: .*not permitted"),
        ({"other": "I would  take\ttea. "}, r"line 2: two options of 'a-02' are equal"),
        ({"item_id": "a-01"}, r"line 2, field item_id: 'a-01' is already the id of line 1"),
    ],
)
def test_a_broken_item_names_file_line_and_field(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = write(tmp_path / "mine.jsonl", row(), row(**{"item_id": "a-02", **changes}))
    with pytest.raises(ItemError, match=r"mine\.jsonl, " + message):
        load_preference(path)


def test_a_line_that_is_no_json_names_its_number_counting_blank_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row()) + "\n\n{oops\n", encoding="utf-8")
    with pytest.raises(ItemError, match=r"mine\.jsonl, line 3: Invalid JSON"):
        load_preference(path)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe"])
def test_a_file_without_readable_items_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    with pytest.raises(ItemError, match=r"mine\.jsonl: (holds no item|cannot be read)"):
        load_control(path)


def test_a_missing_file_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(SpecmillError, match="cannot be read"):
        load_control(tmp_path / "absent.jsonl")


def test_a_line_separator_inside_a_text_does_not_split_the_item(tmp_path: Path) -> None:
    text = "one\u2028two\x85three"
    path = tmp_path / "mine.jsonl"
    line = json.dumps({"item_id": "a", "cluster": "a", "text": text}, ensure_ascii=False)
    path.write_text(line + "\n", encoding="utf-8")
    assert load_control(path)[0].text == text


def test_items_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_preference()[0].question = "Other?"


def test_the_hash_follows_content_and_order() -> None:
    first, second = PreferenceItem.model_validate(row()), PreferenceItem.model_validate(row(item_id="a-02"))
    assert item_hash(first, second) == item_hash(first.model_copy(), second)
    hashes = {item_hash(first), item_hash(second), item_hash(first, second), item_hash(second, first)}
    hashes |= {item_hash(first.model_copy(update={name: "x"})) for name in PreferenceItem.model_fields}
    assert len(hashes) == 4 + len(PreferenceItem.model_fields)
