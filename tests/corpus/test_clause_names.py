import pytest

from corpus.clause_names import ClauseNames

NAMES = ClauseNames(
    [
        ("b2:1", "hon-1", ["Honesty", "Truth"]),
        ("b2:2", None, ["Honesty", "Truth"]),
        ("b2:3", None, ["Honesty", "Doubt"]),
        ("b2:4", None, ["Care", "Truth"]),
        ("b2:5", "hon", ["Tools [beta]"]),
    ]
)


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("Honesty", "123"),
        ("honesty", "123"),  # case does not count
        ("Truth", "124"),  # a heading, wherever it stands
        ("Honesty/Truth", "12"),
        ("Honesty/*", "123"),
        ("hon-*", "1"),
        ("hon", "5"),
        ("b2:3", "3"),
        ("Tools [beta]", "5"),  # taken as it is before '[' means a choice of letters
        ("Truth/Honesty", ""),
        ("Hones", ""),
    ],
)
def test_a_pattern_names_the_clauses_below_a_heading_or_one_by_label_or_id(pattern: str, numbers: str) -> None:
    assert NAMES.fitting(pattern) == {f"b2:{number}" for number in numbers}


def test_of_several_names_the_narrowest_takes_a_clause_whatever_their_order() -> None:
    wanted = {"b2:1": "Honesty/Truth", "b2:2": "Honesty/Truth", "b2:3": "Honesty", "b2:4": "Truth"}
    for patterns in (["Honesty", "Truth", "Honesty/Truth"], ["Honesty/Truth", "Truth", "Honesty"]):
        assert NAMES.parts(patterns) == wanted


def test_a_section_within_a_section_is_narrower_however_short_its_name() -> None:
    assert NAMES.parts(["Honesty", "Doubt"])["b2:3"] == "Doubt"


def test_single_clauses_have_names_for_people_that_differ() -> None:
    shown = NAMES.singles()
    assert shown["b2:1"] == "hon-1"
    assert shown["b2:2"] == "Honesty/Truth"
    assert len(set(shown.values())) == 5
    same = ClauseNames([("b2:1", None, ["A"]), ("b2:2", None, ["A"])]).singles()
    assert same == {"b2:1": "A", "b2:2": "A (b2:2)"}
