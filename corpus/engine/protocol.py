"""What an engine is: something that turns one request into one reply, many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

Outcome = Literal["ok", "refusal", "truncated", "unparsable", "empty", "degenerate", "timeout", "error"]


class Message(NamedTuple):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """All that an engine needs for one reply."""

    messages: tuple[Message, ...]
    max_tokens: int
    """Longest reply (tokens of the engine's model)."""
    temperature: float
    top_p: float | None = None
    min_p: float | None = None
    frequency_penalty: float = 0.0
    """Taken off a token's logit for each time it stands in the reply already."""
    seed: int | None = None
    """For servers; vLLM in process takes one seed for the whole engine."""
    schema: Mapping[str, object] | None = None
    """JSON schema that the reply must follow."""
    stop: tuple[str, ...] = ()
    """Strings at which the reply ends, without them."""
    keeps_stop: bool = False
    """Whether the reply has the string that ended it; a server has to know `include_stop_str_in_output`."""
    min_tokens: int = 0
    """Tokens before which nothing ends the reply."""
    opening: str = ""
    """Words that the reply begins with: the model goes on from them, and `Reply.text` has them in front."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    text: str
    """The whole reply, the request's opening included."""
    finish_reason: str
    """`stop`, `length`, `content_filter`, or what else the engine says; `unknown` if nothing."""
    prompt_tokens: int | None
    cached_tokens: int | None
    """Prompt tokens whose computation was shared (prefix cache); None where the engine does not say."""
    completion_tokens: int | None
    model: str | None = None
    """What a server calls the model that answered; None where it does not say, and for vLLM in process."""


class CallFailed(Exception):
    """This request got no reply (a timeout, or an error after the bounded retries); others may."""

    def __init__(self, outcome: Literal["timeout", "error"], message: str) -> None:
        super().__init__(message)
        self.outcome: Literal["timeout", "error"] = outcome


class Engine(Protocol):
    """An open engine. `async with` starts it and closes it, with all its processes.

    Raises on entering and on any request:
        EngineError: nothing more will work (wrong key, unknown model, dead server, usage limit): the run stops.
        SetupError: the engine is not installed, or its model is not there.
    """

    @property
    def model(self) -> str:
        """The model's name as the calls table records it."""

    @property
    def max_in_flight(self) -> int:
        """Requests worth having open at the same time."""

    @property
    def context_tokens(self) -> int | None:
        """The longest prompt and reply together (tokens); None where the engine does not say."""

    def count_tokens(self, request: Request) -> int:
        """Tokens of a request's prompt: exact where the engine is here, else estimated, rather too few."""

    async def complete(self, request: Request) -> Reply:
        """One reply.

        Raises:
            CallFailed: this request alone failed.
            EngineError: nothing more will work.
        """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
