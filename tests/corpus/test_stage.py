"""The one stage pattern: what finished is written, whatever else happens in the same moment."""

from __future__ import annotations

import asyncio

import pytest

from corpus.errors import EngineError
from corpus.stage import Done, Silent, run_stage


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
