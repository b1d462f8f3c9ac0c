"""An engine whose reply is a function of the request, for tests of what is done with replies."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from corpus.engine.protocol import Reply, Request


class FakeEngine:
    """Answers every request with `reply(request)`; keeps what it was asked."""

    model = "fake"
    context_tokens: int | None = None

    def __init__(self, reply: Callable[[Request], str | Reply | BaseException], max_in_flight: int = 8) -> None:
        self.reply = reply
        self.max_in_flight = max_in_flight
        self.asked: list[Request] = []

    def count_tokens(self, request: Request) -> int:
        return sum(len(message.content.split()) for message in request.messages)

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        answer = self.reply(request)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Reply):
            return answer
        words = len(answer.split())
        return Reply(answer, "stop", prompt_tokens=10, cached_tokens=0, completion_tokens=words)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
