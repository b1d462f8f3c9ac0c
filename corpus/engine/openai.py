"""Any server that speaks the OpenAI protocol: bounded retries, and errors told apart by who can mend them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn, Self

from corpus.engine.protocol import CallFailed, Reply, Request
from corpus.errors import EngineError
from corpus.recipe import EngineSettings

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from openai.types.chat import ChatCompletion

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 30.0
"""Backoff: exponential between these, with jitter, so that many requests do not come back at the same instant."""
_MAX_FAILURES_IN_A_ROW = 16
"""Requests that fail after all retries, without a reply to any other in between, until the server counts as dead."""
_SHOWN_CHARS = 300
"""How much of a server's own message an error shows."""
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
        self._client: AsyncOpenAI | None = None
        self._failures_in_a_row = 0
        self._opens_at = 0.0
        """When the server takes requests again, as far as it said (`time.monotonic`, seconds)."""
        self._key = os.environ.get(settings.api_key_env) or "none"

    @property
    def model(self) -> str:
        """The model's name in the recipe, which is the server's name for it."""
        return self._settings.model

    @property
    def max_in_flight(self) -> int:
        """The recipe's bound."""
        return self._settings.max_in_flight

    async def __aenter__(self) -> Self:
        import openai

        self._client = openai.AsyncOpenAI(
            base_url=self._settings.base_url,
            api_key=self._key,
            max_retries=0,
            timeout=self._settings.timeout_seconds,
        )
        try:
            await self._knock()
        except EngineError:
            await self._client.close()
            raise
        return self

    async def _knock(self) -> None:
        """Find out early whether anything answers, and whether it knows the key."""
        import openai

        assert self._client is not None
        # A server need not list its models: what else is wrong, the first request says.
        with contextlib.suppress(openai.APIResponseValidationError, json.JSONDecodeError):
            try:
                await self._client.models.list()
            except openai.APIConnectionError as error:
                raise EngineError(
                    f"no server answers at {self._settings.base_url} ({error.__cause__ or error}); start it, or "
                    "correct engine.base_url"
                ) from None
            except openai.APIStatusError as error:
                if error.status_code in (401, 403):
                    self._refuse_key(error.status_code)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def complete(self, request: Request) -> Reply:
        """One reply, after at most `max_retries` retries; each attempt may take `timeout_seconds`.

        Raises:
            CallFailed: no reply to this request.
            EngineError: wrong key, unknown model, usage limit, or nothing answers any more.
        """
        import tenacity

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Transient),
            stop=tenacity.stop_after_attempt(1 + self._settings.max_retries),
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_WAIT_SECONDS, max=_LONGEST_WAIT_SECONDS),
            reraise=True,
        )
        try:
            reply: Reply = await retrying(self._attempt, request)
        except _Transient as failure:
            self._count_failure(str(failure))
            raise CallFailed(failure.outcome, f"{failure} ({self._settings.max_retries} retries)") from None
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
        import openai

        await self._wait_until_open()
        seconds = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                completion = await self._create(request)
        except (TimeoutError, openai.APITimeoutError):
            raise _Transient("timeout", f"no reply within {seconds:g} s") from None
        except openai.APIConnectionError as error:
            raise _Transient("error", f"connection failed: {error.__cause__ or error}") from None
        except openai.APIStatusError as error:
            await self._sort(error)
        except (openai.APIError, json.JSONDecodeError) as error:
            self._fail(f"the server's reply does not read: {error}")
        return self._reply(completion, request.opening)

    async def _wait_until_open(self) -> None:
        """Hold every attempt, new ones too, until the server wants requests again; then let them in a little apart."""
        while (seconds := self._opens_at - time.monotonic()) > 0:
            await asyncio.sleep(seconds + random.uniform(0, _FIRST_WAIT_SECONDS))

    async def _create(self, request: Request) -> ChatCompletion:
        import openai

        assert self._client is not None, "the engine is not open"
        extra: dict[str, object] = dict(self._settings.options)
        if request.min_p is not None:
            extra["min_p"] = request.min_p
        if request.schema is not None:
            schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
            extra["response_format"] = {"type": "json_schema", "json_schema": schema}
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        if request.min_tokens:
            extra["min_tokens"] = request.min_tokens
        if request.opening:
            messages.append({"role": "assistant", "content": request.opening})
            extra |= {"add_generation_prompt": False, "continue_final_message": True}
        return await self._client.chat.completions.create(
            model=self.model,
            messages=messages,  # type: ignore[arg-type]  # the client wants one class per role
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=openai.omit if request.top_p is None else request.top_p,
            stop=list(request.stop) or openai.omit,
            frequency_penalty=request.frequency_penalty or openai.omit,
            seed=openai.omit if request.seed is None else request.seed,
            extra_body=extra,
        )

    def _reply(self, completion: object, opening: str) -> Reply:
        from openai.types.chat import ChatCompletion

        if not isinstance(completion, ChatCompletion) or not completion.choices:
            said = getattr(completion, "error", completion)
            self._fail(f"the server answered 200 without a reply: {said!s}")
        choice, usage = completion.choices[0], completion.usage
        if choice.message is None:
            self._fail(f"the server answered 200 with a choice that has no message: {choice!s}")
        refused = choice.message.refusal
        details = usage.prompt_tokens_details if usage else None
        return Reply(
            text=refused or f"{opening}{choice.message.content or ''}",
            finish_reason="content_filter" if refused else choice.finish_reason or "unknown",
            prompt_tokens=usage.prompt_tokens if usage else None,
            cached_tokens=details.cached_tokens if details else None,
            completion_tokens=usage.completion_tokens if usage else None,
        )

    def _fail(self, message: str) -> NoReturn:
        shown = self._without_key(message)[:_SHOWN_CHARS]
        self._count_failure(shown)
        raise CallFailed("error", shown) from None

    async def _sort(self, error: APIStatusError) -> NoReturn:
        status, said = error.status_code, self._without_key(str(error.message))[:_SHOWN_CHARS]
        wait, longest = _retry_after_seconds(error), self._settings.timeout_seconds
        # Some servers call a limit per minute a quota too, but name the moment when it is over.
        passes = status == 429 and wait is not None and wait <= longest
        if status == 402 or (not passes and _LIMITS & {str(error.code), str(error.type)}):
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
        import openai

        assert self._client is not None
        try:
            names = sorted(model.id for model in (await self._client.models.list()).data)
        except openai.APIError:
            return "it does not list what it serves"
        return f"it serves: {', '.join(names[:20]) or 'nothing'}"

    def _without_key(self, message: str) -> str:
        return message.replace(self._key, "***") if self._key != "none" else message


def _retry_after_seconds(error: APIStatusError) -> float | None:
    """The header in seconds; its other form, a date, is rare for these servers and left to the backoff."""
    try:
        seconds = float(error.response.headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return seconds if seconds >= 0 else None
