"""Any server that speaks the OpenAI protocol: bounded retries, and errors told apart by who can mend them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn, Self, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from corpus.engine.answers import content_text, error_names, field, listed_context, retry_after_seconds, whole_number
from corpus.engine.protocol import CallFailed, Reply, Request
from corpus.engine.throttle import Throttle
from corpus.errors import EngineError
from corpus.foreign import read_json
from corpus.models import request_options
from corpus.recipe import EngineSettings

if TYPE_CHECKING:
    import aiohttp

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 30.0
"""Backoff: exponential between these, with jitter, so that many requests do not come back at the same instant."""
_MAX_FAILURES_IN_A_ROW = 16
"""Requests that fail after all retries, without a reply to any other in between, until the server counts as dead."""
_SHOWN_CHARS = 300
"""How much of a server's own message an error shows, and of its words a row keeps."""
_MAX_IN_FLIGHT = 256
"""Requests open at once where the recipe does not say; servers queue what they cannot take (requests; ours)."""
_MAX_BODY_BYTES = 16 << 20
"""Longest answer that is read, 16 MiB (bytes; ours): 100,000 tokens take less than one, with `logprobs` about ten."""
_MOST_CHARS_PER_TOKEN = 6
"""More characters than a token of prose has on average (English: 4 to 5)."""
_RETRIED = {408, 409, 425, 429}
_LIMITS = {
    *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"),  # OpenAI
    "exceeded_current_quota_error",  # Moonshot
    "insufficient_user_quota",  # gateways made with one-api
}
"""Codes and types of errors that waiting does not mend. The words say nothing: rate limits of Groq name a billing page,
those of Azure and Gemini a quota."""


class _Transient(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, outcome: Literal["timeout", "error"], message: str) -> None:
        super().__init__(message)
        self.outcome: Literal["timeout", "error"] = outcome


class OpenAIEngine:
    """An `Engine` over a server; `engine.options` go into the body of every request as they are."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._base_url = str(settings.base_url).rstrip("/")
        self._failures_in_a_row = 0
        self._context_tokens: int | None = None
        self._throttle = Throttle(self.max_in_flight)
        self._opens_at = 0.0
        """When the server takes requests again, as far as it said (`time.monotonic`, seconds)."""
        self._key = os.environ.get(settings.api_key_env, "").strip() or "none"

    @property
    def model(self) -> str:
        """The model's name in the recipe, which is the server's name for it."""
        return self._settings.model

    @property
    def max_in_flight(self) -> int:
        """The recipe's bound, or 256; while the server fails many attempts, fewer are open than requests are."""
        return self._settings.max_in_flight or _MAX_IN_FLIGHT

    @property
    def context_tokens(self) -> int | None:
        """What a server of vLLM lists as `max_model_len`; None for others."""
        return self._context_tokens

    def count_tokens(self, request: Request) -> int:
        """Estimated from the prompt's length, rather too few."""
        return sum(len(message.content) for message in request.messages) // _MOST_CHARS_PER_TOKEN

    async def __aenter__(self) -> Self:
        import aiohttp

        self._check_key()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # `max_in_flight` is the bound
            timeout=aiohttp.ClientTimeout(total=None),  # `timeout_seconds` is the deadline
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            proxy=_proxy(self._base_url),
        )
        try:
            await self._knock()
        except BaseException:
            await self._session.close()
            raise
        return self

    def _check_key(self) -> None:
        """A header cannot hold control characters, and what is copied from a file or a page often has some."""
        if not (self._key.isascii() and self._key.isprintable()) or " " in self._key:
            raise EngineError(
                f"the environment variable {self._settings.api_key_env} holds white space, a control character or a "
                "letter beyond ASCII, which no key has; set it to the key alone"
            )

    async def _knock(self) -> None:
        """Find out early whether anything answers, and whether it knows the key."""
        import aiohttp

        try:
            status, _, body = await self._send("GET", "/models")
        except (aiohttp.ClientError, OSError) as error:
            raise EngineError(
                f"no server answers at {self._settings.base_url} ({error or type(error).__name__}); start it, or "
                "correct engine.base_url"
            ) from None
        if status in (401, 403):
            self._refuse_key(status)
        self._context_tokens = listed_context(body, self.model)

    async def _send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer, of which no more than a byte beyond `_MAX_BODY_BYTES` is read.

        Raises:
            TimeoutError: there was none by the deadline.
            aiohttp.ClientError, OSError: there was no connection, or it broke off.
        """
        assert self._session is not None, "the engine is not open"
        async with (
            asyncio.timeout(self._settings.timeout_seconds),
            self._session.request(method, self._base_url + path, data=body) as response,
        ):
            answer = bytearray()
            async for piece in response.content.iter_any():
                answer += piece
                if len(answer) > _MAX_BODY_BYTES:
                    break
            return response.status, response.headers, bytes(answer[: _MAX_BODY_BYTES + 1])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def complete(self, request: Request) -> Reply:
        """One reply, after at most `max_retries` retries; each attempt may take `timeout_seconds`.

        Raises:
            CallFailed: no reply to this request.
            EngineError: wrong key, unknown model, usage limit, or nothing answers any more.
        """
        num_failed = 0
        while True:
            try:
                async with self._throttle:
                    reply = await self._attempt(request)
            except _Transient as failure:
                self._throttle.count(is_failed=True)
                num_failed += 1
                if num_failed > self._settings.max_retries:
                    self._count_failure(str(failure))
                    raise CallFailed(failure.outcome, f"{failure} ({self._settings.max_retries} retries)") from None
                longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** (num_failed - 1))
                await asyncio.sleep(random.uniform(0, longest))
            else:
                self._throttle.count(is_failed=False)
                self._failures_in_a_row = 0
                return reply

    def _count_failure(self, message: str) -> None:
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _MAX_FAILURES_IN_A_ROW:
            raise EngineError(
                f"the server at {self._settings.base_url} seems dead: {self._failures_in_a_row} requests in a row "
                f"failed after their retries, the last with: {message}; run again to resume"
            )

    async def _attempt(self, request: Request) -> Reply:
        """One attempt, with every way in which it can fail sorted into transient, this request's, or everyone's."""
        import aiohttp

        await self._wait_until_open()
        try:
            status, headers, body = await self._send("POST", "/chat/completions", self._body(request))
        except TimeoutError:
            message = f"no reply within {self._settings.timeout_seconds:g} s"
            raise _Transient("timeout", message) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _Transient("error", f"connection failed: {error or type(error).__name__}") from None
        if status >= 300:
            await self._sort(status, headers, body)
        if len(body) > _MAX_BODY_BYTES:
            self._fail(f"the server's answer has more than {_MAX_BODY_BYTES >> 20} MiB; the rest was not read")
        return self._reply(self._read(headers, body), request.opening)

    async def _wait_until_open(self) -> None:
        """Hold every attempt, new ones too, until the server wants requests again; then let them in a little apart."""
        while (seconds := self._opens_at - time.monotonic()) > 0:
            await asyncio.sleep(seconds + random.uniform(0, _FIRST_WAIT_SECONDS))

    def _body(self, request: Request) -> bytes:
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        body: dict[str, object] = {
            "model": self.model,
            "messages": messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        optional = {
            "top_p": request.top_p,
            "min_p": request.min_p,
            "seed": request.seed,
            "stop": list(request.stop) or None,
            "frequency_penalty": request.frequency_penalty or None,
            "include_stop_str_in_output": request.keeps_stop or None,
            "min_tokens": request.min_tokens or None,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        if request.schema is not None:
            schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if request.opening:
            messages.append({"role": "assistant", "content": request.opening})
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        return json.dumps(body | request_options(self._settings)).encode()

    def _read(self, headers: Mapping[str, str], body: bytes) -> object:
        try:
            return read_json(body)
        except ValueError as error:
            said = body.decode(errors="replace")
            # What calls itself JSON was cut off on its way; anything else, such as a page to sign in, comes again.
            if "json" in headers.get("Content-Type", ""):
                raise _Transient("error", f"the server's reply is cut off: {error}") from None
            self._fail(f"the server answered 200 without a reply: {said}")

    def _reply(self, completion: object, opening: str) -> Reply:
        choices = field(completion, "choices")
        if not isinstance(choices, list) or not choices:
            self._fail(f"the server answered 200 without a reply: {field(completion, 'error') or completion!s}")
        message, usage = field(choices[0], "message"), field(completion, "usage")
        if not isinstance(message, dict):
            self._fail(f"the server answered 200 with a choice that has no message: {choices[0]!s}")
        refused, text = message.get("refusal"), content_text(message.get("content"))
        if text is None and not refused:
            self._fail(f"the server answered 200 with a content that is no text: {message.get('content')!s}")
        name = field(completion, "model")
        return Reply(
            text=str(refused or f"{opening}{text}"),
            finish_reason="content_filter"
            if refused
            else str(choices[0].get("finish_reason") or "unknown")[:_SHOWN_CHARS],
            prompt_tokens=whole_number(usage, "prompt_tokens"),
            cached_tokens=whole_number(field(usage, "prompt_tokens_details"), "cached_tokens"),
            completion_tokens=whole_number(usage, "completion_tokens"),
            model=name[:_SHOWN_CHARS] if isinstance(name, str) and name else None,
        )

    def _fail(self, message: str) -> NoReturn:
        shown = self._without_key(message)[:_SHOWN_CHARS]
        self._count_failure(shown)
        raise CallFailed("error", shown) from None

    async def _sort(self, status: int, headers: Mapping[str, str], body: bytes) -> NoReturn:
        said = self._without_key(body.decode(errors="replace"))[:_SHOWN_CHARS]
        wait, longest = retry_after_seconds(headers), self._settings.timeout_seconds
        # Some servers call a limit per minute a quota too, but name the moment when it is over.
        passes = status == 429 and wait is not None and wait <= longest
        if status == 402 or (not passes and _LIMITS & error_names(body)):
            raise EngineError(f"a usage limit is reached ({said}); run again to resume when it is lifted") from None
        if status in (401, 403):
            self._refuse_key(status)
        if status == 404:
            raise EngineError(
                f"the server at {self._settings.base_url} does not know the model '{self.model}' ({said}); "
                f"{await self._served()}"
            ) from None
        if status in _RETRIED or status >= 500:
            if wait is not None and wait > longest:
                raise EngineError(f"the server asks to wait {wait:g} s ({said}); run again then to resume") from None
            self._opens_at = max(self._opens_at, time.monotonic() + (wait or 0))
            raise _Transient("error", f"HTTP {status}: {said}") from None
        # A request that is refused as it stands would be refused again, and says nothing about the others.
        raise CallFailed("error", f"HTTP {status}: {said}") from None

    def _refuse_key(self, status: int) -> NoReturn:
        raise EngineError(
            f"the server at {self._settings.base_url} refuses the key (HTTP {status}); set the environment variable "
            f"{self._settings.api_key_env} to a valid one, or name another in engine.api_key_env"
        ) from None

    async def _served(self) -> str:
        import aiohttp

        try:
            _, _, body = await self._send("GET", "/models")
            names = sorted(str(field(model, "id")) for model in cast("list[object]", field(read_json(body), "data")))
        except (aiohttp.ClientError, OSError, ValueError, TypeError):
            return "it does not list what it serves"
        return f"it serves: {', '.join(names[:20]) or 'nothing'}"

    def _without_key(self, message: str) -> str:
        return message.replace(self._key, "***") if self._key != "none" else message


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for a server; `trust_env` would read ~/.netrc for every request."""
    parts = urlsplit(base_url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
