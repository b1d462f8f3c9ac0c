"""vLLM itself, with the builtin model: one engine for the whole session (`vllm_engine`, see tests/conftest.py)."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from corpus.engine import CallFailed, Message, Request, open_engine
from corpus.engine.vllm import VllmEngine
from corpus.engine.watchdog import MARK
from corpus.errors import RecipeError, SetupError
from corpus.recipe import EngineSettings


def request(text: str, **changes) -> Request:
    return Request((Message("user", text),), **({"max_tokens": 24, "temperature": 0.8} | changes))


def test_a_reply_says_how_it_ended_and_what_it_cost(vllm_engine):
    short, cut = vllm_engine.ask(
        [
            request("What is the capital of France? One sentence.", temperature=0.0),
            request("Write a long story about a lighthouse.", max_tokens=5),
        ]
    )
    assert "Paris" in short.text
    assert (short.finish_reason, cut.finish_reason) == ("stop", "length")
    assert cut.completion_tokens == 5
    assert short.prompt_tokens > 10


def test_a_shared_beginning_is_computed_once(vllm_engine):
    rules = "Rule: say what you know, and say what you do not know. " * 20
    first, second = (vllm_engine.ask([request(rules + end)])[0] for end in ("Why?", "How would you explain this?"))
    assert second.cached_tokens >= 128 > first.cached_tokens


def test_a_schema_is_followed_without_white_space(vllm_engine):
    schema = {
        "type": "object",
        "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "fair": {"type": "boolean"}},
        "required": ["score", "fair"],
        "additionalProperties": False,
    }
    (reply,) = vllm_engine.ask([request("Judge this sentence: the sky is blue.", schema=schema)])
    judged = json.loads(reply.text)
    assert 1 <= judged["score"] <= 5
    assert isinstance(judged["fair"], bool)
    assert "\n" not in reply.text


def test_a_prompt_that_leaves_no_room_fails_alone_and_says_by_how_much(vllm_engine):
    async def both() -> list[object]:
        asked = [request("word " * 40_000), request("Say hello.")]
        return await asyncio.gather(*map(vllm_engine.complete, asked), return_exceptions=True)

    failure, reply = asyncio.run(both())
    assert isinstance(failure, CallFailed)
    assert "exceed the context" in str(failure)
    assert str(failure).endswith(" tokens")
    assert reply.text


def test_a_request_given_up_does_not_stop_the_others(vllm_engine):
    async def work() -> str:
        given_up = asyncio.ensure_future(vllm_engine.complete(request("Write a very long story.", max_tokens=400)))
        kept = asyncio.ensure_future(vllm_engine.complete(request("Say hello.")))
        await asyncio.sleep(0.05)
        given_up.cancel()
        return (await kept).text

    assert asyncio.run(work())


def open_with(**options) -> None:
    async def start() -> None:
        async with open_engine(EngineSettings(options=options), 1):
            raise AssertionError("the engine should not have started")

    asyncio.run(start())


def test_the_chat_template_gets_its_options():
    """Models that reason first are told not to by their own template."""

    class Tokenizer:
        def apply_chat_template(self, messages, **given):
            assert given.pop("tokenize") is False
            return f"{messages[0]['content']} {given}"

        def encode(self, text, **_):
            return text.split()

    engine = VllmEngine(EngineSettings(template_options={"enable_thinking": False}), 1)
    engine._tokenizer = Tokenizer()
    prompt = " ".join(engine._prompt_tokens(Request((Message("user", "Hello."),), max_tokens=5, temperature=1.0)))
    assert prompt == "Hello. {'add_generation_prompt': True, 'enable_thinking': False}"


def test_an_unknown_option_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match=r"no option 'max_model_length'.*'max_model_len'"):
        open_with(max_model_length=512)


def test_options_that_are_keys_of_the_recipe_are_sent_there():
    with pytest.raises(RecipeError, match=r"engine\.options\.revision belongs one level up"):
        open_with(revision="main")


def test_a_value_that_vllm_refuses_is_the_recipes_fault():
    with pytest.raises(RecipeError, match="vLLM refuses"):
        open_with(max_model_len=10_000_000)


def test_without_vllm_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm.v1.engine.async_llm", None)
    with pytest.raises(SetupError, match="make setup EXTRA=gpu"):
        open_with()


OWNER = """
import asyncio
from corpus.engine import Message, Request, open_engine
from corpus.recipe import EngineSettings

async def main():
    async with open_engine(EngineSettings(options={"max_model_len": 1024}), 1) as engine:
        story = Request((Message("user", "Write a very long story."),), max_tokens=900, temperature=1.0)
        await engine.complete(Request((Message("user", "Say hello."),), max_tokens=4, temperature=1.0))
        print("ready", flush=True)
        while True:
            await asyncio.gather(*[engine.complete(story) for _ in range(8)])

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_engine_process_outlives_a_killed_owner(tmp_path):
    """The owner is killed while its engine computes; its stdout carried nothing of vLLM's."""
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    owner = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    assert owner.stdout.readline() == "ready\n"
    children = _marked_by(owner.pid)
    assert len(children) >= 2, "the engine core and its worker"
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    deadline = time.monotonic() + 5
    while (left := [pid for pid in children if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert _marked_by(owner.pid) == []


def _marked_by(owner: int) -> list[int]:
    wanted = f"{MARK}={owner}-".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_a_reply_goes_on_from_its_opening_and_ends_at_a_stop_string(vllm_engine):
    asked = request("Count from one to twenty in words.", temperature=0.0, max_tokens=40)
    (free,) = vllm_engine.ask([asked])
    stopping = replace(asked, stop=(free.text[5:9],))
    begun, stopped, whole = vllm_engine.ask(
        [replace(asked, opening="One, two, three,"), stopping, replace(stopping, keeps_stop=True)]
    )
    assert begun.text.startswith("One, two, three,")
    assert len(begun.text) > len("One, two, three,")
    assert stopped.text == free.text[: free.text.index(free.text[5:9])]
    assert whole.text == stopped.text + free.text[5:9]
    assert stopped.finish_reason == whole.finish_reason == "stop"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    """A LoRA adapter of rank 24 whose weights are not nothing: it writes other words than its base."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from corpus.models import model_folder

    base = AutoModelForCausalLM.from_pretrained(model_folder("builtin:smollm2-135m"), dtype=torch.float32)
    torch.manual_seed(0)
    model = get_peft_model(base, LoraConfig(r=24, lora_alpha=48, target_modules=["q_proj", "down_proj"]))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_an_adapter_writes_in_the_models_place(adapter):
    settings = EngineSettings(adapter=str(adapter), options={"max_model_len": 256})

    async def replies() -> tuple[int, list[str]]:
        async with open_engine(settings, 1) as engine:
            asked = [request("Tell me about the sea.", temperature=0.0) for _ in range(2)]
            return engine.max_in_flight, [(await engine.complete(each)).text for each in asked]

    async def base() -> str:
        async with open_engine(settings.model_copy(update={"adapter": None}), 1) as engine:
            return (await engine.complete(request("Tell me about the sea.", temperature=0.0))).text

    window, (first, second) = asyncio.run(replies())
    assert first == second != asyncio.run(base())
    assert window == 128 + 16


@pytest.mark.parametrize("text", [None, "{}", "no JSON", '{"r": 1024}'])
def test_what_is_no_adapter_is_refused_by_name(tmp_path, text):
    if text is not None:
        (tmp_path / "adapter_config.json").write_text(text)

    async def opens() -> None:
        async with open_engine(EngineSettings(adapter=str(tmp_path)), 1):
            pass

    with pytest.raises(RecipeError, match=r"engine\.adapter"):
        asyncio.run(opens())
