"""The throttle: one failure changes nothing, many halve what is open at once, recovery lets it grow, nobody is lost."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.engine.throttle import Throttle


def after(most: int, outcomes: list[bool]) -> int:
    throttle = Throttle(most)
    for is_failed in outcomes:
        throttle.count(is_failed=is_failed)
    return throttle.limit


def test_lone_failures_change_nothing() -> None:
    assert after(64, ([False] * 15 + [True]) * 40) == 64


@pytest.mark.parametrize("most", [1, 2, 64, 256])
def test_a_server_that_fails_everything_gets_one_attempt_at_a_time_in_the_end(most: int) -> None:
    assert after(most, [True] * 4000) == 1


def test_a_cut_halves_and_the_next_one_waits_for_a_round_of_attempts() -> None:
    assert after(64, [True] * 64) == 32
    assert after(64, [True] * 95) == 32
    assert after(64, [True] * 96) == 16


def test_a_server_that_recovers_has_all_of_it_again() -> None:
    assert after(64, [True] * 200 + [False] * 4000) == 64


@given(st.integers(1, 12), st.integers(1, 60), st.floats(0, 1), st.integers(0, 1000))
def test_no_more_than_the_limit_are_open_and_everybody_gets_a_turn(
    most: int, num_attempts: int, failed_fraction: float, seed: int
) -> None:
    draw = random.Random(seed)
    throttle = Throttle(most)
    open_now = done = 0

    async def attempt() -> None:
        nonlocal open_now, done
        async with throttle:
            open_now += 1
            try:
                assert open_now <= most
                await asyncio.sleep(0)
            finally:
                open_now -= 1
            throttle.count(is_failed=draw.random() < failed_fraction)
        done += 1

    async def all_of_them() -> None:
        tasks = [asyncio.create_task(attempt()) for _ in range(num_attempts)]
        cancelled = draw.randrange(num_attempts)
        await asyncio.sleep(0)
        tasks[cancelled].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        num_cancelled = sum(isinstance(result, asyncio.CancelledError) for result in results)
        assert done + num_cancelled == num_attempts
        assert num_cancelled <= 1

    asyncio.run(asyncio.wait_for(all_of_them(), 10))
