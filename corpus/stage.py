"""The one stage pattern: what is missing? Do it, a bounded number at a time; write each result as it comes.

Every stage of every room runs on it. A failure of one item is a row (the caller's `do` returns it); only an error
that stops everything leaves `run_work`, and what was finished by then is already written. Stages that feed one another
share one bound and wait for nobody: what an item makes possible is done before what was waiting already.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
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
    then: Sequence[Work] = ()
    """What can be done now that this is; it comes before what is waiting, in order."""


@dataclass(frozen=True)
class Work:
    """One item of one stage."""

    stage: str
    """The stage it is counted under."""
    do: Callable[[], Awaitable[Done]]


@dataclass(frozen=True)
class StageReport:
    """What one stage did."""

    stage: str
    num_missing: int
    """Items that were not there: when it began, or as they became possible."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Finished items by outcome."""
    wall_seconds: float = 0.0
    """From the beginning of all stages that ran together to the last item of this one."""

    @property
    def num_failed(self) -> int:
        """Items with an outcome other than ok."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != "ok")


class Progress(Protocol):
    """Where a stage says how far it is; the front door shows it."""

    def start(self, stage: str, total: int) -> None:
        """A stage begins, with `total` items missing."""

    def grow(self, stage: str, num_more: int) -> None:
        """A stage that began has more items to do."""

    def advance(self, stage: str, outcome: str) -> None:
        """One item is finished and written."""

    def describe(self, stage: str, text: str) -> None:
        """Where a stage stands, in a few words, beside its bar; replaces what was said before."""

    def note(self, message: str) -> None:
        """Something a person should read, such as a warning."""


class Silent:
    """Says nothing."""

    def start(self, stage: str, total: int) -> None:
        """Nothing."""

    def grow(self, stage: str, num_more: int) -> None:
        """Nothing."""

    def advance(self, stage: str, outcome: str) -> None:
        """Nothing."""

    def describe(self, stage: str, text: str) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""


async def run_work(
    stages: Sequence[str],
    missing: Iterable[Work],
    write: Callable[[Rows], None],
    *,
    max_in_flight: int,
    progress: Progress,
) -> list[StageReport]:
    """Do every missing item, at most `max_in_flight` at a time, and write each result as it comes.

    The next item starts when any one finishes. If an item or `write` raises, or the task is cancelled, the work in
    flight is cancelled and the error goes on; finished items stay written, and what finished together with an item
    that raised is written before.

    Returns:
        A report for each of `stages`, in that order; items belong to no other.
    """
    began = time.monotonic()
    waiting = deque(missing)
    totals = Counter(work.stage for work in waiting)
    outcomes: dict[str, Counter[str]] = {stage: Counter() for stage in stages}
    ended = dict.fromkeys(stages, began)
    for stage in stages:
        progress.start(stage, totals[stage])
    in_flight: dict[asyncio.Future[Done], str] = {}
    # Waiting on all futures anew after each one costs time by their number; each tells of its own end instead.
    finished: asyncio.Queue[asyncio.Future[Done]] = asyncio.Queue()

    def refill() -> None:
        while waiting and len(in_flight) < max_in_flight:
            work = waiting.popleft()
            task = asyncio.ensure_future(work.do())
            task.add_done_callback(finished.put_nowait)
            in_flight[task] = work.stage

    def expect(then: Sequence[Work]) -> None:
        for stage, num_more in Counter(work.stage for work in then).items():
            totals[stage] += num_more
            progress.grow(stage, num_more)
        waiting.extendleft(reversed(then))

    try:
        refill()
        while in_flight:
            together = [await finished.get()]
            while not finished.empty():
                together.append(finished.get_nowait())
            for task in sorted(together, key=_raised):
                stage, done = in_flight.pop(task), task.result()
                write(done.rows)
                outcomes[stage][done.outcome] += 1
                ended[stage] = time.monotonic()
                expect(done.then)
                progress.advance(stage, done.outcome)
            refill()
    finally:
        for task in in_flight:
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)
    return [StageReport(stage, totals[stage], dict(outcomes[stage]), ended[stage] - began) for stage in stages]


async def run_stage(
    stage: str,
    missing: Sequence[Item],
    do: Callable[[Item], Awaitable[Done]],
    write: Callable[[Rows], None],
    *,
    max_in_flight: int,
    progress: Progress,
) -> StageReport:
    """`run_work` for the items of one stage."""
    work = [Work(stage, partial(do, item)) for item in missing]
    (report,) = await run_work([stage], work, write, max_in_flight=max_in_flight, progress=progress)
    return report


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
