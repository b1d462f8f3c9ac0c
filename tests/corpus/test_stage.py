"""The one stage pattern: what finished is written, whatever else happens in the same moment."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import EngineError
from corpus.stage import Done, Silent, StageReport, Work, run_stage, run_work


def stage(num_items: int, failing: set[int], write=None) -> tuple[list[int], list[int]]:
    """Items that were started and those that were written; all in flight finish in the same step of the loop."""
    started: list[int] = []
    written: list[int] = []

    async def work() -> None:
        together = asyncio.Event()

        async def do(item: int) -> Done:
            started.append(item)
            if len(started) == num_items:
                together.set()
            await together.wait()
            if item in failing:
                raise EngineError(f"item {item} found the server gone")
            return Done({"calls": [{"item": item}]})

        keep = write or (lambda rows: written.append(rows["calls"][0]["item"]))
        await run_stage("test", range(num_items), do, keep, max_in_flight=num_items, progress=Silent())

    if failing or write:
        with pytest.raises(EngineError):
            asyncio.run(work())
    else:
        asyncio.run(work())
    return started, written


@pytest.mark.parametrize("failing", [{0}, {5}, {9}, {2, 7}])
def test_what_finished_beside_an_item_that_raised_is_written(failing):
    started, written = stage(10, failing)
    assert len(started) == 10
    assert set(written) == set(range(10)) - failing


def test_the_items_of_one_moment_are_written_once_each():
    _, written = stage(10, set())
    assert sorted(written) == list(range(10))


def test_an_error_of_the_writer_stops_the_stage():
    def full(_: object) -> None:
        raise EngineError("no space left")

    stage(10, set(), full)


def tree(depths: list[str], width: int, max_in_flight: int) -> tuple[list[str], int, list[StageReport]]:
    """Work whose items each make `width` of the next stage possible: finish order, most in flight, reports."""
    order: list[str] = []
    open_now = most = 0

    def work(level: int, name: str) -> Work:
        async def do() -> Done:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(0)
            open_now -= 1
            order.append(name)
            children = range(width) if level + 1 < len(depths) else ()
            return Done({}, "ok", [work(level + 1, f"{name}{child}") for child in children])

        return Work(depths[level], do)

    first = [work(0, str(root)) for root in range(2)]
    reports = asyncio.run(run_work(depths, first, lambda _: None, max_in_flight=max_in_flight, progress=Silent()))
    return order, most, reports


def test_what_an_item_makes_possible_comes_before_what_was_waiting():
    order, _, _ = tree(["outline", "documents"], width=2, max_in_flight=1)
    assert order == ["0", "00", "01", "1", "10", "11"]


@given(st.integers(1, 5), st.integers(0, 4), st.integers(1, 7))
def test_stages_that_feed_one_another_share_one_bound_and_lose_nothing(num_stages: int, width: int, bound: int):
    depths = [f"stage {level}" for level in range(num_stages)]
    order, most, reports = tree(depths, width, bound)
    expected = [2 * width**level for level in range(num_stages)]
    assert [report.num_missing for report in reports] == expected
    assert [report.outcomes.get("ok", 0) for report in reports] == expected
    assert len(order) == len(set(order)) == sum(expected)
    assert most <= bound
