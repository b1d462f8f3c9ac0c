"""The same sums as lm-evaluation-harness, on two hundred pairs with everything that makes pairs hard.

To 1e-5, or to two steps of fp32 where a sum is larger than that can tell: the harness adds up in fp32.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from eval.scoring.continuations import score_continuations, text_bits

WORDS = [
    "the", "assistant", "says", "what", "it", "knows", "tell", "her", "plainly", "line", "has", "to", "go", "keeper",
    "hive", "Grüße", "Köln", "🐝", "蜜蜂", "naïve", "I'd",
]  # fmt: skip
NUM_PAIRS = 200


def pairs() -> list[tuple[str, str]]:
    """Trailing spaces, one-token options, empty contexts, merges at the boundary, more than the context holds."""
    rng = random.Random(7)
    made = []
    for place in range(NUM_PAIRS):
        context = " ".join(rng.choices(WORDS, k=rng.choice([1, 5, 20, 70])))
        option = " ".join(rng.choices(WORDS, k=rng.choice([1, 4, 12])))
        kind = place % 8
        if kind == 0:
            context += rng.choice([" ", "  ", "\n", " \n\t"])
        elif kind == 1:
            context = ""
        elif kind == 2:
            option = rng.choice(["s", " x", ".", "!"])
        elif kind == 3:
            whole = " ".join([context, option])
            cut = rng.randrange(1, len(whole) - 1)
            context, option = whole[:cut], whole[cut:]
        else:
            option = f" {option}"
        made.append((context, option))
    return made


@pytest.fixture(scope="module")
def harness(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast):
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=4, device="cpu", dtype="float32")


def asked(harness, given: list[tuple[str, str]]) -> list[tuple[float, bool]]:
    from lm_eval.api.instance import Instance

    requests = [Instance("loglikelihood", {}, pair, place) for place, pair in enumerate(given)]
    return harness.loglikelihood(requests, disable_tqdm=True)


def test_sums_equal_the_harness(harness, model, tokenizer) -> None:
    given = pairs()
    ours = dict(zip(given, score_continuations(model, tokenizer, given, 256), strict=True))
    # An option that merges into its context has no token of its own, and one longer than the context no place: ours has
    # no number there, and the harness stops with an assertion.
    known = [pair for pair in given if ours[pair].sum_logprob is not None]
    assert len(known) >= 0.9 * NUM_PAIRS
    for pair, (reference, _) in zip(known, asked(harness, known), strict=True):
        assert ours[pair].sum_logprob == pytest.approx(reference, abs=1e-5, rel=3e-7), pair


def test_a_shift_by_one_token_would_be_seen(harness, model, tokenizer) -> None:
    """The negative control: without moving the white space the sums differ."""
    given = [("The assistant says ", "what it knows"), ("I would tell her  ", "plainly")]
    moved = asked(harness, given)
    unmoved = score_continuations(
        model, tokenizer, [(tokenizer.encode(context, add_special_tokens=False), rest) for context, rest in given], 256
    )
    assert any(abs(nats - (one.sum_logprob or 0)) > 1e-3 for (nats, _), one in zip(moved, unmoved, strict=True))


def test_whole_texts_equal_the_harness(harness, model, tokenizer) -> None:
    """Rolling: each token once, in windows where the text is longer than the context."""
    from math import log

    from lm_eval.api.instance import Instance

    texts = [" ".join(random.Random(seed).choices(WORDS, k=count)) for seed, count in enumerate((3, 20, 60, 150))]
    requests = [Instance("loglikelihood_rolling", {}, (text,), place) for place, text in enumerate(texts)]
    theirs = harness.loglikelihood_rolling(requests, disable_tqdm=True)
    for bits, nats in zip(text_bits(model, tokenizer, texts, 256), theirs, strict=True):
        assert bits.bits == pytest.approx(-nats / log(2), rel=1e-6)


def test_an_exported_folder_is_taken_by_the_harness(model, tokenizer, tmp_path: Path) -> None:
    """The hand-over: what `specmill export` writes is what `lm_eval --model hf --model_args pretrained=...` loads."""
    from lm_eval.models.huggingface import HFLM

    model.save_pretrained(tmp_path / "merged")
    tokenizer.save_pretrained(tmp_path / "merged")
    loaded = HFLM(pretrained=str(tmp_path / "merged"), batch_size=2, device="cpu", dtype="float32")
    given = pairs()[4:8]
    for one, (nats, _) in zip(score_continuations(model, tokenizer, given, 256), asked(loaded, given), strict=True):
        assert one.sum_logprob == pytest.approx(nats, abs=1e-5, rel=3e-7)
