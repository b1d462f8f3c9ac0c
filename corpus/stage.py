"""The one stage pattern: what is missing? Do it, a bounded number at a time; write each result as it comes.

Every stage of every room runs on it. A failure of one item is a row (the caller's `do` returns it); only an error
that stops everything leaves `run_stage`, and what was finished by then is already written.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Rows = Mapping[str, Sequence[Mapping[str, object]]]
"""Rows by table. They become visible together or not at all."""


@dataclass(frozen=True)
class Done:
    """What doing one item gave."""

    rows: Rows
    """Rows to write, by table."""
    outcome: str = "ok"
    """`ok`, or why the item failed; failures are counted by it."""


@dataclass(frozen=True)
class StageReport:
    """What one stage did."""

    stage: str
    num_missing: int
    """Items that were not there when it began."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Finished items by outcome."""
    wall_seconds: float = 0.0

    @property
    def num_failed(self) -> int:
        """Items with an outcome other than ok."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != "ok")


class Progress(Protocol):
    """Where a stage says how far it is; the front door shows it."""

    def start(self, stage: str, total: int) -> None:
        """A stage begins, with `total` items missing."""

    def advance(self, stage: str, outcome: str) -> None:
        """One item is finished and written."""

    def note(self, message: str) -> None:
        """Something a person should read, such as a warning."""


class Silent:
    """Says nothing."""

    def start(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, stage: str, outcome: str) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""


async def run_stage(
    stage: str,
    missing: Sequence[Item],
    do: Callable[[Item], Awaitable[Done]],
    write: Callable[[Rows], None],
    *,
    max_in_flight: int,
    progress: Progress,
) -> StageReport:
    """Do every missing item, at most `max_in_flight` at a time, and write each result as it comes.

    The next item starts when any one finishes. If `do` or `write` raises, or the task is cancelled, the work in
    flight is cancelled and the error goes on; finished items stay written, and what finished together with an item
    that raised is written before.
    """
    began = time.monotonic()
    outcomes: dict[str, int] = {}
    progress.start(stage, len(missing))
    waiting = iter(missing)
    in_flight: set[asyncio.Future[Done]] = set()
    finished: list[asyncio.Future[Done]] = []
    any_finished = asyncio.Event()

    def finish(task: asyncio.Future[Done]) -> None:
        in_flight.discard(task)
        finished.append(task)
        any_finished.set()

    def refill() -> None:
        for item in itertools.islice(waiting, max_in_flight - len(in_flight)):
            task = asyncio.ensure_future(do(item))
            # `asyncio.wait` would touch every task in flight each time that one of them finishes.
            task.add_done_callback(finish)
            in_flight.add(task)

    try:
        refill()
        while in_flight or finished:
            await any_finished.wait()
            any_finished.clear()
            together = sorted(finished, key=_raised)
            finished.clear()
            for task in together:
                done = task.result()
                write(done.rows)
                outcomes[done.outcome] = outcomes.get(done.outcome, 0) + 1
                progress.advance(stage, done.outcome)
            refill()
    finally:
        left = [*in_flight, *finished]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    return StageReport(stage, len(missing), outcomes, time.monotonic() - began)


def _raised(task: asyncio.Future[Done]) -> bool:
    return task.cancelled() or task.exception() is not None


def run_each(
    stage: str,
    missing: Iterable[Item],
    do: Callable[[Item], Done],
    write: Callable[[Rows], None],
    *,
    progress: Progress,
) -> StageReport:
    """`run_stage` for work that computes instead of waiting: one item at a time, in order."""
    items = list(missing)

    async def at_once(item: Item) -> Done:
        return do(item)

    return asyncio.run(run_stage(stage, items, at_once, write, max_in_flight=1, progress=progress))
