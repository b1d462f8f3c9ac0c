from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.recipe import Mix
from filters.mixes.sampling import (
    Cell,
    Filled,
    Part,
    Source,
    divide,
    fill,
    largest_budget,
    named_clauses,
    natural_budget,
)


def sources(num: int, genre: str | None = "memo", set_name: str = "web", num_tokens: int = 100) -> list[Source]:
    return [Source(f"{set_name}-{genre}-{i}", set_name, genre, num_tokens + i, 500) for i in range(num)]


def filled(found: list[Source], seed: int = 17, family: str = "docs", **settings: object) -> list[Filled]:
    mix = Mix.model_validate(settings)
    parts = divide(mix, found)
    return fill(mix, parts, mix.budget or natural_budget(mix, parts), seed, family)


def ids(cells: list[Filled]) -> list[tuple[str, int]]:
    return [(pick.source.id, pick.repeat) for cell in cells for pick in cell.picks]


def shares(parts: list[Part]) -> dict[str, float]:
    return {part.cell.label: float(part.cell.share) for part in parts}


def test_without_a_budget_everything_comes_once() -> None:
    found = sources(20) + sources(5, None)
    assert sorted(ids(filled(found, repeats=3))) == sorted((source.id, 0) for source in found)


def test_shares_are_met_to_within_half_a_row() -> None:
    found = sources(80) + sources(80, "blog") + sources(9, "unused")
    cells = filled(found, tokens=4000, genres={"memo": 3, "blog": 1})
    assert [(cell.cell.label, cell.target_tokens) for cell in cells] == [("blog", 1000), ("memo", 3000)]
    for cell in cells:
        assert abs(cell.num_tokens - cell.target_tokens) <= max(pick.source.num_tokens for pick in cell.picks) / 2


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["web", "generated"]), st.sampled_from(["memo", "blog", None]),
        st.sampled_from([(), ("a",), ("b",), ("c", "a")]), st.integers(1, 90),
    ),
    min_size=1, max_size=40,
)  # fmt: skip
WEIGHTS = st.none() | st.lists(st.floats(0.01, 9), min_size=2, max_size=2)
POWERS = st.none() | st.floats(0, 2)


@given(ROWS, st.integers(1, 4000), st.integers(0, 2000), st.integers(1, 3), WEIGHTS, WEIGHTS, WEIGHTS, POWERS, POWERS)
def test_every_cell_is_met_to_half_a_row_and_a_larger_budget_only_adds(
    rows: list[tuple[str, str | None, tuple[str, ...], int]], tokens: int, more: int, repeats: int,
    sets: list[float] | None, genres: list[float] | None, clauses: list[float] | None,
    set_power: float | None, genre_power: float | None,
) -> None:  # fmt: skip
    def weights(names: str, given: list[float] | None) -> dict[str, float] | None:
        return given and dict(zip(names.split(), given, strict=True))

    mix = Mix(
        sets=weights("web generated", sets), genres=weights("memo blog", genres), clauses=weights("a b", clauses),
        power={"sets": set_power, "genres": genre_power}, repeats=repeats,
    )  # fmt: skip
    found = [Source(f"r{n}", *row[:2], row[3], 9, row[2]) for n, row in enumerate(rows)]
    parts = divide(mix, named_clauses(mix, {"a": "a", "b": "b"}, found))
    assert not parts or sum(part.cell.share for part in parts) == 1
    held = [row.id for part in parts for row in part.rows]
    assert len(held) == len(set(held))  # no row is in two cells
    small, large = (fill(mix, parts, budget, 17, "docs") for budget in (tokens, tokens + more))
    for cell, of_larger in zip(small, large, strict=True):
        assert of_larger.picks[: len(cell.picks)] == cell.picks
        assert abs(cell.target_tokens - tokens * cell.cell.share) <= Fraction(1, 2)
        if cell.is_short:
            assert cell.num_tokens == cell.available_tokens
        elif cell.picks:
            assert abs(cell.num_tokens - cell.target_tokens) <= max(row.num_tokens for row in found) / 2


def test_no_target_falls_when_the_budget_grows_where_largest_remainders_would_take_a_token_back() -> None:
    """Shares 6 : 6 : 2 in budgets of 10 and 11: by largest remainder the small part has 2 of 10, and 1 of 11."""
    found = [row for genre in "abc" for row in sources(20, genre, num_tokens=1)]
    targets = [
        [cell.target_tokens for cell in filled(found, tokens=tokens, genres={"a": 6, "b": 6, "c": 2})]
        for tokens in range(1, 200)
    ]
    for smaller, larger in pairwise(targets):
        assert all(now >= before for before, now in zip(smaller, larger, strict=True))


def test_shares_without_a_budget_give_the_largest_mix_with_those_shares() -> None:
    small, large = sources(10, set_name="small"), sources(50, set_name="large")
    cells = filled(small + large, sets={"small": 0.5, "large": 0.5})
    held = sum(source.num_tokens for source in small)
    assert [cell.target_tokens for cell in cells] == [held, held]
    assert [cell.num_tokens for cell in cells][1] == held  # all of the small one
    assert not any(cell.is_short for cell in cells)


def test_genres_divide_the_sets_that_have_genres() -> None:
    found = sources(3, "memo", "generated") + sources(3, "blog", "generated") + sources(3, None, "web")
    settings = Mix(sets={"generated": 1, "web": 3}, genres={"memo": 1, "blog": 1})
    assert [part.cell for part in divide(settings, found)] == [
        Cell("generated", "blog", None, Fraction(1, 8)), Cell("generated", "memo", None, Fraction(1, 8)),
        Cell("web", None, None, Fraction(3, 4)),
    ]  # fmt: skip


def test_clauses_divide_each_genre_and_a_row_belongs_to_the_first_of_its_clauses_that_is_named() -> None:
    names = {"1": "Honesty", "2": "Honesty", "3": "Care"}
    rows = [("m1", "memo", ("9", "3", "1")), ("m2", "memo", ("2",)), ("m3", "memo", ("9",)), ("b1", "blog", ("3",))]
    found = [Source(row_id, "generated", genre, 100, 9, clauses) for row_id, genre, clauses in rows]
    found += sources(1, "blog", "web")  # from no clause, and in a part with rows that are: in no cell
    settings = Mix(genres={"memo": 1, "blog": 1}, clauses={"Honesty": 3, "Care": 1})
    parts = divide(settings, named_clauses(settings, names, found))
    assert {part.cell.label: ([row.id for row in part.rows], float(part.cell.share)) for part in parts} == {
        "blog / Care": (["b1"], 0.125), "blog / Honesty": ([], 0.375),
        "memo / Care": (["m1"], 0.125), "memo / Honesty": (["m2"], 0.375),
    }  # fmt: skip


@pytest.mark.parametrize(("power", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 0.9)])
def test_a_power_lies_between_even_and_natural_shares(power: float, share: float) -> None:
    found = [Source(f"m{i}", "web", "memo", 90, 9) for i in range(10)] + [Source("b", "web", "blog", 100, 9)]
    assert shares(divide(Mix(power={"genres": power}), found))["memo"] == pytest.approx(share)


def test_weights_multiply_what_a_power_gives() -> None:
    found = [Source("m", "web", "memo", 300, 9), Source("b", "web", "blog", 100, 9)]
    settings = Mix(genres={"memo": 1, "blog": 2}, power={"genres": 1})
    assert shares(divide(settings, found)) == {"memo": 0.6, "blog": 0.4}


def test_token_budgets_of_parts_are_a_budget_and_its_shares() -> None:
    found = sources(80) + sources(80, "blog")
    cells = filled(found, tokens={"genres": {"memo": 3000, "blog": 1000}})
    assert [(cell.cell.label, cell.target_tokens) for cell in cells] == [("blog", 1000), ("memo", 3000)]
    assert ids(cells) == ids(filled(found, tokens=4000, genres={"memo": 0.75, "blog": 0.25}))


def test_the_largest_budget_counts_repeats() -> None:
    found = [Source("m", "web", "memo", 300, 9), Source("b", "web", "blog", 100, 9)]
    mix = Mix(genres={"memo": 1, "blog": 1}, repeats=2)
    assert largest_budget(mix, divide(mix, found)) == 400


def test_a_share_of_zero_is_no_part_of_the_mix() -> None:
    assert [part.cell.genre for part in divide(Mix(genres={"memo": 1, "blog": 0}), [])] == ["memo"]


def test_no_row_comes_more_often_than_repeats_nor_again_before_all_have_come_once() -> None:
    found = sources(10)
    all_of_them = sum(source.num_tokens for source in found)
    one_and_a_half = ids(filled(found, tokens=int(1.5 * all_of_them), repeats=3))
    assert {source for source, repeat in one_and_a_half if repeat == 0} == {source.id for source in found}
    assert {repeat for _, repeat in one_and_a_half} == {0, 1}
    assert len(set(one_and_a_half)) == len(one_and_a_half)
    too_many = filled(found, tokens=10 * all_of_them, repeats=3)
    assert len(ids(too_many)) == 30
    assert too_many[0].is_short


def test_the_order_is_of_the_seed_and_the_family_and_not_of_the_input() -> None:
    found = sources(12)
    first = ids(filled(found, tokens=700))
    assert ids(filled(found[::-1], tokens=700)) == first
    assert ids(filled(found, seed=18, tokens=700)) != first
    assert ids(filled(found, family="other", tokens=700)) != first
