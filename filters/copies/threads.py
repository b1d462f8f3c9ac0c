"""Work in threads, for what lets other threads run meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from corpus.hardware import num_cores

Given = TypeVar("Given")
Made = TypeVar("Made")


def map_each(function: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """As `map`, in order, on every core; no more items are taken ahead than keep the cores busy."""
    under_way: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(num_cores()) as pool:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) > 2 * num_cores():
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
