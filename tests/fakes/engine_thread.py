"""One engine for a whole test session: it lives on an event loop in a thread of its own.

A vLLM engine belongs to the loop that started it, while each test runs its own: `EngineThread` is an `Engine` that
may be used from any loop, and has `ask` for tests without one. In conftest.py:

    @pytest.fixture(scope="session")
    def vllm_engine() -> Iterator[EngineThread]:
        with EngineThread(EngineSettings(options={"max_model_len": 2048}), seed=17) as engine:
            yield engine
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Self

from corpus.engine import Reply, Request, open_engine
from corpus.recipe import EngineSettings


class EngineThread:
    """An engine that outlives the loops of single tests."""

    def __init__(self, settings: EngineSettings, seed: int) -> None:
        self._engine = open_engine(settings, seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._engine.__aenter__(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._engine.__aexit__(None, None, None), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def __aenter__(self) -> Self:
        return self  # the session's fixture opened it, and closes it

    async def __aexit__(self, *_: object) -> None:
        return None

    @property
    def model(self) -> str:
        return self._engine.model

    @property
    def max_in_flight(self) -> int:
        return self._engine.max_in_flight

    async def complete(self, request: Request) -> Reply:
        """From any event loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._engine.complete(request), self._loop))

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Replies to all, without an event loop."""

        async def gather() -> list[Reply]:
            return list(await asyncio.gather(*(self._engine.complete(request) for request in requests)))

        return asyncio.run_coroutine_threadsafe(gather(), self._loop).result()
