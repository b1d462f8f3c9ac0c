"""How many attempts a server gets at once: fewer while it fails many of them, and more again as it recovers.

One failure says nothing about a server. A quarter of the last attempts says that it has too much to do: the number is
halved, at most once per such number of attempts, and grows by one for each round of attempts that succeed (additive
increase, multiplicative decrease, as TCP has it).
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

_MEMORY_ATTEMPTS = 32
"""Attempts that the share of failures is taken over (attempts; ours)."""
_MAX_FAILED_FRACTION = 0.25
"""Share of failures from which there are fewer attempts at once (fraction; ours)."""


class Throttle:
    """`async with throttle:` around each attempt; `count` says how it went."""

    def __init__(self, most: int) -> None:
        """At most `most` attempts at once."""
        self._most = most
        self._limit = float(most)
        self._open = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._last: deque[bool] = deque(maxlen=_MEMORY_ATTEMPTS)
        self._since_cut = 0

    @property
    def limit(self) -> int:
        """Attempts that may be open now."""
        return max(1, int(self._limit))

    def count(self, *, is_failed: bool) -> None:
        """Take note of an attempt that ended."""
        self._last.append(is_failed)
        self._since_cut += 1
        if not is_failed:
            self._limit = min(self._most, self._limit + 1 / self._limit)
        elif (
            len(self._last) == _MEMORY_ATTEMPTS
            and self._since_cut >= max(_MEMORY_ATTEMPTS, self.limit)
            and sum(self._last) > _MAX_FAILED_FRACTION * _MEMORY_ATTEMPTS
        ):
            self._limit = max(1.0, self._limit / 2)
            self._since_cut = 0

    async def __aenter__(self) -> Self:
        while self._open >= self.limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()
                raise
        self._open += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open -= 1
        self._wake()

    def _wake(self) -> None:
        """Let as many go on as there are places."""
        places = self.limit - self._open
        while places > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                places -= 1
