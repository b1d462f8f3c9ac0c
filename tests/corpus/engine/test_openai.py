"""The client of OpenAI-compatible servers, against a real server in another process."""

import asyncio
import json
import socket
from types import SimpleNamespace

import pytest
from fakes.openai_server import FakeServer

from corpus.engine import CallFailed, Message, Reply, Request, open_engine
from corpus.engine import openai as client
from corpus.errors import EngineError
from corpus.recipe import EngineSettings

KEY_ENV = "SPECMILL_TEST_KEY"


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch):
    monkeypatch.setattr(client, "_FIRST_WAIT_SECONDS", 0.001)


def request(n: int = 0, **changes) -> Request:
    values = {"max_tokens": 400, "temperature": 0.8, "seed": n} | changes
    return Request((Message("user", f"Write about item {n}."),), **values)


def settings(server: FakeServer, **changes) -> EngineSettings:
    values = {"kind": "openai", "model": "fake", "base_url": server.base_url, "api_key_env": KEY_ENV} | changes
    return EngineSettings.model_validate(values)


def complete(settings: EngineSettings, *requests: Request) -> list[Reply | BaseException]:
    async def ask() -> list[Reply | BaseException]:
        async with open_engine(settings, 1) as engine:
            return await asyncio.gather(*map(engine.complete, requests), return_exceptions=True)

    return asyncio.run(ask())


def test_a_reply_is_a_function_of_the_request_and_carries_its_usage():
    with FakeServer() as server:
        first, again, other = complete(settings(server), request(1), request(1), request(2))
    assert first == again != other
    assert first.finish_reason == "stop"
    assert first.completion_tokens > 100
    assert first.cached_tokens == first.prompt_tokens // 2


def test_the_request_says_all_that_was_asked():
    schema = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
    with FakeServer() as server:
        options = {"options": {"top_k": 20}, "template_options": {"enable_thinking": False}}
        (reply,) = complete(settings(server, **options), request(3, min_p=0.1, top_p=0.9, schema=schema))
        (line,) = server.requests()
    sent = line["request"]
    assert (sent["seed"], sent["min_p"], sent["top_p"], sent["top_k"], sent["max_tokens"]) == (3, 0.1, 0.9, 20, 400)
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    assert set(json.loads(reply.text)) == {"score"}


def test_what_was_not_asked_for_is_not_sent():
    with FakeServer() as server:
        complete(settings(server), request(seed=None))
        (line,) = server.requests()
    optional = {"seed", "top_p", "min_p", "response_format", "stop", "include_stop_str_in_output", "min_tokens"}
    assert not optional & set(line["request"])


@pytest.mark.parametrize("fault", ["busy", "error", "hang_up", "cut_off"])
def test_what_may_pass_is_retried_to_the_same_reply(fault):
    with FakeServer(faults={fault: 0.4}) as server:
        replies = complete(settings(server, max_retries=20), *map(request, range(12)))
        seen = len(server.requests())
    with FakeServer() as server:
        assert replies == complete(settings(server), *map(request, range(12)))
    assert seen > 12


@pytest.mark.parametrize(
    ("fault", "said"),
    [("busy", "HTTP 429"), ("error", "HTTP 500"), ("hang_up", "connection"), ("cut_off", "cut off")],
)
def test_retries_are_bounded(fault, said):
    with FakeServer(faults={fault: 1.0}) as server:
        (failure,) = complete(settings(server, max_retries=2), request())
        assert len(server.requests()) == 3
    assert isinstance(failure, CallFailed)
    assert failure.outcome == "error"
    assert said in str(failure)


class Clock:
    """A clock that only sleeping moves on."""

    def __init__(self, monkeypatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: self.now), raising=False)
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_server_that_says_when_to_come_back_is_obeyed(monkeypatch):
    clock = Clock(monkeypatch)
    with FakeServer(faults={"busy": 1.0}, retry_after_seconds=7) as server:
        complete(settings(server, max_retries=2), request())
        assert len(server.requests()) == 3
    assert 1014 <= clock.now < 1015


def test_new_requests_wait_too_until_the_server_wants_some_again(monkeypatch):
    clock = Clock(monkeypatch)

    async def work(server: FakeServer) -> list[float]:
        began = []
        async with open_engine(settings(server, max_retries=0), 1) as engine:
            for n in range(3):
                with pytest.raises(CallFailed):
                    await engine.complete(request(n))
                began.append(clock.now)
        return began

    with FakeServer(faults={"busy": 1.0}, retry_after_seconds=20) as server:
        first, second, third = asyncio.run(work(server))
    assert first == 1000
    assert 20 <= second - first < 21
    assert 20 <= third - second < 21


def test_an_error_that_names_no_time_holds_nobody_up(monkeypatch):
    clock = Clock(monkeypatch)
    with FakeServer(faults={"error": 1.0}) as server:
        complete(settings(server, max_retries=0), request(1), request(2))
    assert clock.now == 1000


def test_a_wait_longer_than_the_deadline_stops_the_run():
    with FakeServer(faults={"busy": 1.0}, retry_after_seconds=3600) as server:
        (failure,) = complete(settings(server), request())
    assert isinstance(failure, EngineError)
    assert "wait 3600 s" in str(failure)


def test_a_request_that_hangs_ends_at_its_deadline():
    with FakeServer(faults={"hang": 1.0}) as server:
        (failure,) = complete(settings(server, timeout_seconds=0.2, max_retries=1), request())
        assert len(server.requests()) == 2
    assert isinstance(failure, CallFailed)
    assert failure.outcome == "timeout"


@pytest.mark.parametrize(("fault", "said"), [("html", "Sign in"), ("error_body", "upstream failed")])
def test_a_200_without_a_reply_fails_that_request_alone(fault, said):
    with FakeServer(faults={fault: 1.0}) as server:
        failures = complete(settings(server), request(1), request(2))
        assert len(server.requests()) == 2
    assert all(isinstance(failure, CallFailed) and said in str(failure) for failure in failures)


def test_a_wrong_key_stops_before_anything_and_is_not_shown(monkeypatch):
    monkeypatch.setenv(KEY_ENV, "sk-very-secret")
    with FakeServer(key="sk-right") as server, pytest.raises(EngineError) as caught:
        complete(settings(server), request())
    assert KEY_ENV in str(caught.value)
    assert "sk-very-secret" not in str(caught.value)


def test_the_key_is_taken_from_the_named_variable(monkeypatch):
    monkeypatch.setenv(KEY_ENV, "sk-right")
    with FakeServer(key="sk-right") as server:
        (reply,) = complete(settings(server), request())
    assert isinstance(reply, Reply)


def test_a_local_server_needs_no_key(monkeypatch):
    monkeypatch.delenv(KEY_ENV, raising=False)
    with FakeServer() as server:
        (reply,) = complete(settings(server), request())
    assert isinstance(reply, Reply)


def test_an_unknown_model_names_those_that_are_served():
    with FakeServer(models=("small", "large")) as server:
        (failure,) = complete(settings(server, model="huge"), request())
    assert isinstance(failure, EngineError)
    assert "'huge'" in str(failure)
    assert "large, small" in str(failure)


@pytest.mark.parametrize("fault", ["quota", "billing", "no_balance", "no_user_quota", "no_credits"])
def test_a_usage_limit_stops_the_run_without_retries(fault):
    with FakeServer(faults={fault: 1.0}) as server:
        (failure,) = complete(settings(server), request())
        assert len(server.requests()) == 1
    assert isinstance(failure, EngineError)
    assert "a usage limit is reached" in str(failure)
    assert "run again to resume" in str(failure)


@pytest.mark.parametrize("fault", ["billing_hint", "quota_hint"])
def test_a_rate_limit_is_retried_whatever_it_advertises(fault):
    with FakeServer(faults={fault: 0.4}) as server:
        replies = complete(settings(server, max_retries=20), *map(request, range(12)))
        assert len(server.requests()) > 12
    assert all(isinstance(reply, Reply) for reply in replies)


def test_a_limit_that_ends_in_a_moment_is_a_rate_limit_whatever_its_name():
    with FakeServer(faults={"quota": 0.4}, retry_after_seconds=0.01) as server:
        replies = complete(settings(server, max_retries=20), *map(request, range(12)))
    assert all(isinstance(reply, Reply) for reply in replies)


def test_half_a_character_comes_through_as_it_was_sent():
    with FakeServer(faults={"half_character": 1.0}) as server:
        (reply,) = complete(settings(server), request())
    assert reply.text.endswith("\ud83d")


def test_a_server_that_is_not_there_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(EngineError, match="no server answers at " + base_url):
        complete(EngineSettings(kind="openai", model="fake", base_url=base_url), request())


def test_a_server_that_dies_stops_the_run_after_some_failures_in_a_row(monkeypatch):
    monkeypatch.setattr(client, "_MAX_FAILURES_IN_A_ROW", 3)
    outcomes: list[type] = []

    async def work(server: FakeServer) -> None:
        async with open_engine(settings(server, max_retries=1), 1) as engine:
            await engine.complete(request())
            server.stop()
            for n in range(3):
                try:
                    await engine.complete(request(n))
                except (CallFailed, EngineError) as error:
                    outcomes.append(type(error))

    with FakeServer() as server:
        asyncio.run(work(server))
    assert outcomes == [CallFailed, CallFailed, EngineError]


def test_one_reply_between_failures_shows_that_the_server_lives(monkeypatch):
    monkeypatch.setattr(client, "_MAX_FAILURES_IN_A_ROW", 3)

    async def work(server: FakeServer) -> int:
        failed = 0
        async with open_engine(settings(server, max_retries=0), 1) as engine:
            for n in range(40):
                try:
                    await engine.complete(request(n))
                except CallFailed:
                    failed += 1
        return failed

    with FakeServer(faults={"error": 0.15}) as server:
        assert asyncio.run(work(server)) >= 3


def test_what_a_reply_is_begun_with_goes_last_and_comes_first():
    with FakeServer() as server:
        (reply,) = complete(settings(server), request(opening="It began", stop=("END",), keeps_stop=True, min_tokens=3))
        (line,) = server.requests()
    sent = line["request"]
    assert reply.text.startswith("It began")
    assert sent["messages"][-1] == {"role": "assistant", "content": "It began"}
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)
    assert (sent["stop"], sent["include_stop_str_in_output"], sent["min_tokens"]) == (["END"], True, 3)


def test_a_proxy_of_the_environment_is_used_but_for_what_it_leaves_out(monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with FakeServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        behind = EngineSettings(kind="openai", model="fake", base_url="http://models.invalid/v1")
        (reply,) = complete(behind, request())
        monkeypatch.setenv("no_proxy", "models.invalid")
        with pytest.raises(EngineError, match="no server answers"):
            complete(behind, request())
    assert isinstance(reply, Reply)


@pytest.mark.parametrize(("listed", "found"), [(512, 512), (0, None)])
def test_the_context_is_what_the_server_lists(listed, found):
    async def context(server: FakeServer) -> int | None:
        async with open_engine(settings(server), 1) as engine:
            return engine.context_tokens

    with FakeServer(context_tokens=listed) as server:
        assert asyncio.run(context(server)) == found
