import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.recipe import Mix
from filters.sampling import Cell, Filled, Source, apportion, fill_cells, make_cells


def sources(num: int, genre: str | None = "memo", set_name: str = "web", num_tokens: int = 100) -> list[Source]:
    return [Source(f"{set_name}-{genre}-{i}", set_name, genre, num_tokens + i, 500) for i in range(num)]


def filled(found: list[Source], **settings: object) -> list[Filled]:
    return fill_cells(Mix.model_validate(settings), 17, "docs", found)


def ids(cells: list[Filled]) -> list[tuple[str, int]]:
    return [(pick.source.id, pick.repeat) for cell in cells for pick in cell.picks]


def test_without_a_budget_everything_comes_once() -> None:
    found = sources(20) + sources(5, None)
    assert sorted(ids(filled(found, repeats=3))) == sorted((source.id, 0) for source in found)


def test_shares_are_met_to_within_half_a_row() -> None:
    found = sources(80) + sources(80, "blog") + sources(9, "unused")
    cells = filled(found, tokens=4000, genres={"memo": 3, "blog": 1})
    assert [(cell.cell.label, cell.target_tokens) for cell in cells] == [("blog", 1000), ("memo", 3000)]
    for cell in cells:
        assert abs(cell.num_tokens - cell.target_tokens) <= max(pick.source.num_tokens for pick in cell.picks) / 2


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
    assert make_cells(settings, found) == [
        Cell("generated", "blog", 0.125), Cell("generated", "memo", 0.125), Cell("web", None, 0.75),
    ]  # fmt: skip


def test_a_share_of_zero_is_no_part_of_the_mix() -> None:
    assert [cell.genre for cell in make_cells(Mix(genres={"memo": 1, "blog": 0}), [])] == ["memo"]


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


@given(st.integers(1, 3000), st.integers(0, 3000), st.integers(1, 3))
def test_a_larger_budget_only_adds_rows(tokens: int, more: int, repeats: int) -> None:
    found = sources(12)
    small = ids(filled(found, tokens=tokens, repeats=repeats))
    large = ids(filled(found, tokens=tokens + more, repeats=repeats))
    assert large[: len(small)] == small


def test_the_order_is_of_the_seed_and_the_mix_and_not_of_the_input() -> None:
    found = sources(12)
    first = ids(filled(found, tokens=700))
    assert ids(filled(found[::-1], tokens=700)) == first
    assert ids(fill_cells(Mix(tokens=700), 18, "docs", found)) != first
    assert ids(fill_cells(Mix(tokens=700), 17, "other", found)) != first


@given(st.integers(0, 10**6), st.lists(st.floats(0.01, 10), min_size=1, max_size=8))
def test_apportioned_parts_sum_up_and_are_within_one_of_their_share(total: int, shares: list[float]) -> None:
    parts = apportion(total, shares)
    assert sum(parts) == total
    for part, share in zip(parts, shares, strict=True):
        assert part == pytest.approx(total * share / sum(shares), abs=1)
