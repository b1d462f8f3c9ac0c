"""What vLLM samples is what the model's probabilities say, and at temperature 0 its most likely words."""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import pytest
import torch

from corpus.engine import Message, Request, open_engine
from corpus.models import model_folder
from corpus.recipe import EngineSettings

BUILTIN = "builtin:smollm2-135m"
NUM_DRAWS = 2_000
QUESTIONS = (
    "Name a colour.",
    "Which is larger, a horse or a mouse? Answer with one word.",
    "Say yes or no.",
)


def replies(requests: list[Request]) -> list[str]:
    async def ask() -> list[str]:
        options = {"max_model_len": 256, "dtype": "float32"}
        async with open_engine(EngineSettings(model=BUILTIN, options=options), 11) as engine:
            slots = asyncio.Semaphore(engine.max_in_flight)

            async def one(request: Request) -> str:
                async with slots:
                    return (await engine.complete(request)).text

            return await asyncio.gather(*map(one, requests))

    return asyncio.run(ask())


def asking(question: str, max_tokens: int, temperature: float) -> Request:
    return Request((Message("user", question),), max_tokens=max_tokens, temperature=temperature)


@pytest.mark.slow
@pytest.mark.xdist_group("engine")
def test_draws_follow_the_probabilities_and_temperature_zero_is_greedy() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = model_folder(BUILTIN)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    drawn = [asking(QUESTIONS[2], 1, 1.0)] * NUM_DRAWS
    greedy = [asking(question, 12, 0.0) for question in QUESTIONS]
    said = replies([*drawn, *greedy])

    for question, reply in zip(QUESTIONS, said[NUM_DRAWS:], strict=True):
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        ids = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
        assert reply == tokenizer.decode(ids, skip_special_tokens=True), question

    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTIONS[2]}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.no_grad():
        probabilities = model(**prompt).logits[0, -1].double().softmax(-1)
    counts = Counter(said[:NUM_DRAWS])
    likely = [token for token in probabilities.topk(5).indices.tolist() if tokenizer.decode(token)]
    assert len(likely) >= 3
    for token in likely:
        p = float(probabilities[token])
        share = counts[tokenizer.decode(token)] / NUM_DRAWS
        assert abs(share - p) <= 3.5 * math.sqrt(p * (1 - p) / NUM_DRAWS), (tokenizer.decode(token), share, p)
