"""An engine that says what it was told to, one reply after the other."""

import asyncio
from dataclasses import dataclass, field

from corpus.engine import Asked, Message, Reply, Request, ask

REQUEST = Request((Message("user", "Write a memo."),), max_tokens=100, temperature=0.8, seed=5)
PROSE = (
    "The committee met on Tuesday to look at the new intake form. Nobody liked its third page, which asked for a "
    "reason without saying who would read it. We agreed to drop the question and to tell people why we had asked. "
    "Marta will redraw the page, and the clinic will try it for two weeks before the next meeting."
)


def reply(text: str, finish_reason: str = "stop") -> Reply:
    return Reply(text, finish_reason, prompt_tokens=7, cached_tokens=2, completion_tokens=9)


@dataclass
class Scripted:
    """An engine that gives what it was told to, and remembers what it was asked."""

    script: list[Reply | Exception]
    asked: list[Request] = field(default_factory=list)
    model: str = "scripted"
    max_in_flight: int = 4

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        given = self.script[len(self.asked) - 1]
        if isinstance(given, Exception):
            raise given
        return given


def asked(engine: Scripted, **options) -> Asked:
    values = {"room": "corpus", "purpose": "document", "item_id": "b2:1", "max_attempts": 3} | options
    return asyncio.run(ask(engine, REQUEST, **values))
