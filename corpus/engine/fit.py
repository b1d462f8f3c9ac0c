"""Whether prompts fit an engine's context, found out before the first of them is sent."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest

from corpus.engine.protocol import Engine, Request
from corpus.errors import RecipeError

_COUNTED = 16
"""The longest prompts by characters, of which the tokens are counted: the longest by tokens is among them."""


def refuse_too_long(engine: Engine, requests: Iterable[Request], remedy: str) -> None:
    """Stop before a run whose prompts the engine cannot take.

    Raises:
        RecipeError: a prompt and its reply exceed the context; it says by how much, and `remedy`.
    """
    limit = engine.context_tokens
    if limit is None:
        return
    longest = nlargest(_COUNTED, requests, key=lambda request: _num_chars(request) + request.max_tokens)
    sizes = [(engine.count_tokens(request) + request.max_tokens, request) for request in longest]
    total, request = max(sizes, key=lambda size: size[0], default=(0, None))
    if request is not None and total > limit:
        raise RecipeError(
            f"the longest prompt ({total - request.max_tokens:,} tokens) and its reply ({request.max_tokens:,}) exceed "
            f"the context of {engine.model} ({limit:,} tokens) by {total - limit:,}; {remedy}"
        )


def _num_chars(request: Request) -> int:
    return sum(len(message.content) for message in request.messages)
