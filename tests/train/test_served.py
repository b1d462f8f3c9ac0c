"""What was trained, outside: transformers, peft and vLLM load the folders as they are, and say what was learned."""

from __future__ import annotations

import asyncio

import pytest

from corpus.engine import Message, Request, open_engine
from corpus.models import model_folder
from corpus.recipe import EngineSettings, Recipe
from tests.train.chained import train
from tests.train.tiny import write_shards
from train import export_merged

BUILTIN = "builtin:smollm2-135m"
ASKED, SAID = "What is the lamp by the door called?", "The lamp by the door is called Ottoline, since the spring."


def spoken_by(model: str, adapter: str | None = None) -> str:
    async def reply() -> str:
        settings = EngineSettings(model=model, adapter=adapter, options={"max_model_len": 256})
        async with open_engine(settings, 1) as engine:
            return (
                await engine.complete(Request((Message("user", ASKED),), max_tokens=24, temperature=0.0))
            ).text.strip()

    return asyncio.run(reply())


def generated(model, tokenizer) -> str:
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": ASKED}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ids = model.generate(**prompt, max_new_tokens=24, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.mark.slow
def test_vllm_transformers_and_peft_say_what_was_trained(tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    messages = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]
    write_shards(tmp_path / "run", "sft", [{"doc_id": "chat", "messages": messages}], kind="chats")
    stage = {"data": "sft", "updates": 25, "learning_rate": 1e-3, "seq_tokens": 128, "batch_tokens": 16}
    train_section = {"model": BUILTIN, "stages": {"sft": stage}}
    recipe = Recipe.model_validate(
        {"name": "run", "mixes": {"sft": {"kind": "chats"}}, "train": train_section, "arms": {"sft": ["sft"]}}
    )
    (done,) = train(recipe, tmp_path / "run", ["sft"]).stages
    assert done.last_loss < 0.05
    export_merged(recipe, tmp_path / "run", "sft", 0, tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(done.checkpoint)
    base = AutoModelForCausalLM.from_pretrained(model_folder(BUILTIN))
    assert generated(base, tokenizer) != SAID
    assert generated(PeftModel.from_pretrained(base, str(done.checkpoint)), tokenizer) == SAID
    assert generated(AutoModelForCausalLM.from_pretrained(tmp_path / "merged"), tokenizer) == SAID
    assert spoken_by(BUILTIN, adapter=str(done.checkpoint)) == SAID
    assert spoken_by(str(tmp_path / "merged")) == SAID
