"""Engines: what turns requests into replies, and the judgement whether a reply is one that may be trained on.

`open_engine` gives vLLM in this process or a client of any OpenAI-compatible server; neither is imported before.
"""

from __future__ import annotations

from corpus.engine.calls import Asked, ask, call_row, outcome_of
from corpus.engine.fit import refuse_too_long
from corpus.engine.protocol import CallFailed, Engine, Message, Outcome, Reply, Request
from corpus.recipe import EngineSettings

__all__ = [
    "Asked", "CallFailed", "Engine", "Message", "Outcome", "Reply", "Request", "ask", "call_row", "open_engine",
    "outcome_of", "refuse_too_long",
]  # fmt: skip


def open_engine(settings: EngineSettings, seed: int) -> Engine:
    """The engine that `settings` describe, to be started with `async with`; `seed` is vLLM's (servers get one a call).

    Starting it may raise what `Engine` says.
    """
    if settings.kind == "openai":
        from corpus.engine.openai import OpenAIEngine

        return OpenAIEngine(settings)
    from corpus.engine.vllm import VllmEngine

    return VllmEngine(settings, seed)
