"""Servers that answer 200 with what no reply should hold: a call fails alone, says why, and nothing else does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import date

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from corpus.engine import CallFailed, Message, Reply, Request, open_engine
from corpus.engine import openai as client
from corpus.engine.answers import error_names, listed_context
from corpus.errors import EngineError
from corpus.recipe import EngineSettings
from corpus.store.journal import encode

KEY_ENV = "SPECMILL_TEST_KEY"
REQUEST = Request((Message("user", "Write a memo."),), max_tokens=100, temperature=0.8, seed=5)
DEEP = b"[" * 100_000
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def completion(content: object = "A memo.", **more: object) -> dict[str, object]:
    return {"choices": [{"message": {"content": content}, "finish_reason": "stop"}], **more}


def as_json(body: object, status: int = 200) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=data, status=status, content_type="application/json")

    return answer


def asked(
    answer: Answer, *, models: bytes = b'{"data": []}', times: int = 1, **settings: object
) -> list[Reply | BaseException]:
    """What asking a server gives, one request after the other."""

    async def listed(_: web.Request) -> web.Response:
        return web.Response(body=models, content_type="application/json")

    async def ask() -> list[Reply | BaseException]:
        app = web.Application()
        app.add_routes([web.get("/v1/models", listed), web.post("/v1/chat/completions", answer)])
        async with TestServer(app) as server:
            told = {"kind": "openai", "model": "fake", "base_url": str(server.make_url("/v1")), "max_retries": 0}
            told |= {"api_key_env": KEY_ENV, **settings}
            async with open_engine(EngineSettings.model_validate(told), 1) as engine:
                return [
                    one for _ in range(times)
                    for one in await asyncio.gather(engine.complete(REQUEST), return_exceptions=True)
                ]  # fmt: skip

    return asyncio.run(ask())


@pytest.mark.parametrize("lie", [10**30, 2**63, -1, True, 1.5, "7", None, [1]])
def test_a_count_that_no_row_can_hold_is_left_out_and_the_reply_kept(lie: object) -> None:
    usage = {"prompt_tokens": lie, "completion_tokens": lie, "prompt_tokens_details": {"cached_tokens": lie}}
    (reply,) = asked(as_json(completion(usage=usage)))
    assert isinstance(reply, Reply)
    assert (reply.text, reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) == ("A memo.", *[None] * 3)


def test_the_largest_counts_are_kept() -> None:
    (reply,) = asked(as_json(completion(usage={"prompt_tokens": 2**63 - 1, "completion_tokens": 0})))
    assert isinstance(reply, Reply)
    assert (reply.prompt_tokens, reply.completion_tokens) == (2**63 - 1, 0)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "A memo"}, {"type": "text", "text": " in parts."}], "A memo in parts."),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "A."}], "A."),
        ([{"type": "reasoning", "text": "Hm."}], ""),
        ([], ""),
        (None, ""),
        ("", ""),
    ],
)
def test_a_content_in_parts_is_the_text_of_them(content: object, text: str) -> None:
    (reply,) = asked(as_json(completion(content)))
    assert isinstance(reply, Reply)
    assert reply.text == text


@pytest.mark.parametrize(
    "content",
    [
        {"text": "A memo."}, 7, True, False, 0, ["A memo."], [{"type": "text", "text": 7}], [{"type": "text"}],
        [{"type": "image_url", "image_url": "x"}, {"type": "text", "text": "A memo."}],
    ],
)  # fmt: skip
def test_a_content_that_is_no_text_is_a_failed_call_that_shows_it(content: object) -> None:
    (failure,) = asked(as_json(completion(content)))
    assert isinstance(failure, CallFailed)
    assert failure.outcome == "error"
    assert f"a content that is no text: {content!s}"[:200] in str(failure)


def test_a_body_nested_too_deep_fails_its_call_only() -> None:
    for status in (200, 429, 400):
        (failure,) = asked(as_json(DEEP, status))
        assert isinstance(failure, CallFailed), failure
    (reply,) = asked(as_json(completion()), models=DEEP)
    assert isinstance(reply, Reply)
    (failure,) = asked(as_json({}, 404), models=DEEP)
    assert isinstance(failure, EngineError)
    assert "does not list what it serves" in str(failure)
    assert listed_context(DEEP, "fake") is None
    assert error_names(DEEP) == set()


@pytest.mark.parametrize("listed", [True, -5, 10**30, 2.5])
def test_a_listed_context_that_cannot_be_is_none(listed: object) -> None:
    assert listed_context(json.dumps({"data": [{"id": "fake", "max_model_len": listed}]}).encode(), "fake") is None


def test_a_body_without_end_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_MAX_BODY_BYTES", 1 << 20)
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 64 << 20:
            await response.write(b"x" * (1 << 16))
            sent += 1 << 16
        return response

    (failure,) = asked(endless, max_retries=3)
    assert isinstance(failure, CallFailed)
    assert str(failure) == "the server's answer has more than 1 MiB; the rest was not read"
    assert sent < 32 << 20, "what sockets hold beyond the bound"


def test_a_body_that_drips_without_end_meets_the_deadline() -> None:
    async def drips(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    (failure,) = asked(drips, timeout_seconds=0.2)
    assert isinstance(failure, CallFailed)
    assert failure.outcome == "timeout"


def test_a_body_up_to_the_bound_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(completion("word " * 100_000)).encode()
    monkeypatch.setattr(client, "_MAX_BODY_BYTES", len(body))
    (reply,) = asked(as_json(body))
    assert isinstance(reply, Reply)
    monkeypatch.setattr(client, "_MAX_BODY_BYTES", len(body) - 1)
    (failure,) = asked(as_json(body))
    assert isinstance(failure, CallFailed)


@pytest.mark.parametrize(
    ("said", "kept"), [("other", "other"), (None, None), (7, None), ("", None), ([], None), ("m" * 999, "m" * 300)]
)
def test_the_name_that_a_server_answers_under_comes_with_the_reply(said: object, kept: str | None) -> None:
    (reply,) = asked(as_json(completion(model=said)))
    assert isinstance(reply, Reply)
    assert reply.model == kept


@pytest.mark.parametrize("key", ["sk-secret\n", " sk-secret", "sk-secret\r\n", "\tsk-secret "])
def test_white_space_around_a_key_does_no_harm(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(KEY_ENV, key)
    seen = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["Authorization"])
        return web.json_response(completion())

    asked(answer)
    assert seen == ["Bearer sk-secret"]


@pytest.mark.parametrize("key", ["sk-\nsecret", "sk secret", "sk-\x7fsecret", "sk-sécret", "sk-\udcffsecret"])
def test_a_key_that_no_header_can_hold_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(KEY_ENV, key)
    with pytest.raises(EngineError) as refused:
        asked(as_json(completion()))
    assert KEY_ENV in str(refused.value)
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [date(2024, 1, 1), {1, 2}, b"bytes", float("nan"), float("inf"), "half \ud83d", {"deep": [date(2024, 1, 1)]}],
)
@pytest.mark.parametrize("kind", ["openai", "vllm"])
def test_an_option_that_json_does_not_have_is_refused_by_its_name(value: object, kind: str) -> None:
    with pytest.raises(ValidationError, match="as_of") as refused:
        EngineSettings.model_validate({"kind": kind, "base_url": "http://h/v1", "options": {"k": 1, "as_of": value}})
    assert "which JSON does not have" in str(refused.value)


def test_an_option_that_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValidationError, match="which JSON does not have"):
        EngineSettings.model_validate({"options": {"loop": loop}})


def test_options_are_kept_as_json_has_them() -> None:
    given: Mapping[str, object] = {"logit_bias": {50256: -100}, "stop": ("a",), "top_p": 0.5, "none": None}
    kept = EngineSettings.model_validate({"options": given}).options
    assert kept == {"logit_bias": {"50256": -100}, "stop": ["a"], "top_p": 0.5, "none": None}
    encode({"briefs": [{"sampling": kept}]})


@pytest.mark.parametrize(
    "base_url", ["127.0.0.1:8000/v1", "http://[bad/v1", "ftp://host/v1", "http:///v1", "http://h:x"]
)
def test_a_base_url_that_is_no_address_is_refused(base_url: str) -> None:
    with pytest.raises(ValidationError, match="base_url"):
        EngineSettings.model_validate({"kind": "openai", "base_url": base_url})
