"""Scoring against brute force: one sequence at a time, the whole log-softmax, no sharing, no batching."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from eval.scoring import trie
from eval.scoring.chat import render_prompt
from eval.scoring.continuations import context_tokens, score_continuations, text_bits
from eval.scoring.trie import TokenSequence, longest_shareable, pack_rows

TOLERANCE = 1e-5

PAIRS = [
    ("What would you do?", " I would tell her plainly."),
    ("What would you do?", " I would write the line."),
    ("What would you do? ", "I would write the line."),
    ("What would you do?   \n", "The assistant"),
    ("", "The assistant says what it knows."),
    ("The assist", "ant says"),
    ("x", "y"),
    ("Grüße aus Köln 🐝", " 蜜蜂 and 🐝🐝"),
    ("A keeper opens a hive. " * 12, "I would tell her."),
]


def brute_force(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, context: str, continuation: str) -> float:
    """lm-evaluation-harness's rule, written as slowly as it reads."""
    moved = len(context) - len(context.rstrip())
    if moved:
        context, continuation = context[:-moved], context[-moved:] + continuation
    whole = tokenizer.encode(context + continuation, add_special_tokens=False)
    cut = len(tokenizer.encode(context, add_special_tokens=False))
    given_ids, scored_ids = tokenizer.encode(context, add_special_tokens=False) or [tokenizer.bos_token_id], whole[cut:]
    fed = (given_ids + scored_ids)[-(context_tokens(model) + 1) :][:-1]
    with torch.no_grad():
        logits = model(torch.tensor([fed]), use_cache=False).logits[0].log_softmax(-1)[-len(scored_ids) :]
    targets = torch.tensor(scored_ids)
    return logits.gather(1, targets[:, None]).double().sum().item()


@pytest.mark.parametrize("max_batch_tokens", [1, 100, 4096])
def test_log_probabilities_equal_brute_force(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, max_batch_tokens: int
) -> None:
    for pair, scored in zip(PAIRS, score_continuations(model, tokenizer, PAIRS, max_batch_tokens), strict=True):
        nats = brute_force(model, tokenizer, *pair)
        assert scored.sum_logprob == pytest.approx(nats, abs=TOLERANCE), pair


def test_the_order_of_requests_does_not_matter(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    forwards = score_continuations(model, tokenizer, PAIRS, 128)
    backwards = score_continuations(model, tokenizer, PAIRS[::-1], 128)[::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert one.sum_logprob == pytest.approx(other.sum_logprob, abs=TOLERANCE)


def test_a_merge_across_the_boundary_moves_the_cut(tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM) -> None:
    whole, split = "The assistant", ("The assis", "tant")
    together = tokenizer.encode(whole, add_special_tokens=False)
    apart = [
        *tokenizer.encode(split[0], add_special_tokens=False),
        *tokenizer.encode(split[1], add_special_tokens=False),
    ]
    assert together != apart, "this pair should merge across its boundary"
    (scored,) = score_continuations(model, tokenizer, [split], 64)
    assert scored.num_tokens == max(0, len(together) - len(tokenizer.encode(split[0], add_special_tokens=False)))


def test_a_continuation_without_a_token_of_its_own_has_no_probability(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    empty, normal = score_continuations(model, tokenizer, [("The assistant", ""), ("The", " assistant")], 64)
    assert (empty.sum_logprob, empty.num_tokens) == (None, 0)
    assert normal.sum_logprob is not None


def test_a_continuation_longer_than_the_context_has_no_probability(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    ids = list(range(10, 10 + 64))
    text = tokenizer.decode(ids)
    exact = "é" * 32  # 64 bytes, no merges: as long as the context
    over = exact + "é"
    fits, too_long = score_continuations(model, tokenizer, [(text, exact), (text, over)], 64)
    assert fits.num_tokens == 64
    assert fits.sum_logprob == pytest.approx(brute_force(model, tokenizer, text, exact), abs=TOLERANCE)
    assert too_long.sum_logprob is None


def test_a_context_of_token_ids_stays_as_it_is(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    context = tokenizer.encode("What would you do?", add_special_tokens=False)
    from_ids, from_text = score_continuations(
        model, tokenizer, [(context, "\u00e9"), ("What would you do?", "\u00e9")], 64
    )
    assert from_ids.sum_logprob == pytest.approx(from_text.sum_logprob, abs=TOLERANCE)


def test_bytes_are_those_of_the_continuation_as_given(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    (scored,) = score_continuations(model, tokenizer, [("Bees:  ", "蜜蜂")], 64)
    assert scored.num_bytes == 6


@given(st.lists(st.tuples(st.text(max_size=40), st.text(min_size=1, max_size=20)), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_pairs_equal_brute_force(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]]
) -> None:
    for pair, scored in zip(pairs, score_continuations(model, tokenizer, pairs, 96), strict=True):
        if scored.sum_logprob is not None:
            assert scored.sum_logprob == pytest.approx(brute_force(model, tokenizer, *pair), abs=TOLERANCE)


def reference_bits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, text: str) -> float:
    """Whole text behind BOS in one pass; only for texts that fit."""
    ids = [tokenizer.bos_token_id, *tokenizer.encode(text, add_special_tokens=False)]
    with torch.no_grad():
        logits = model(torch.tensor([ids[:-1]]), use_cache=False).logits[0].log_softmax(-1)
    return -logits.gather(1, torch.tensor(ids[1:])[:, None]).double().sum().item() / math.log(2)


TEXTS = ["The assistant says what it knows.", "é🐝", "", "A keeper opens a hive only when there is a reason."]


@pytest.mark.parametrize("max_batch_tokens", [1, 4096])
def test_bits_of_texts_equal_brute_force(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, max_batch_tokens: int
) -> None:
    for text, bits in zip(TEXTS, text_bits(model, tokenizer, TEXTS, max_batch_tokens), strict=True):
        expected = reference_bits(model, tokenizer, text) if text else 0.0
        assert bits.bits == pytest.approx(expected, abs=TOLERANCE * 10)
        assert bits.num_bytes == len(text.encode())


def test_a_special_token_in_a_text_is_read_as_its_characters(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    text = "a<|im_end|>b"
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    assert tokenizer.eos_token_id not in ids
    with torch.no_grad():
        logits = model(torch.tensor([[tokenizer.bos_token_id, *ids[:-1]]]), use_cache=False).logits[0].log_softmax(-1)
    expected = -logits.gather(1, torch.tensor(ids)[:, None]).double().sum().item() / math.log(2)
    (bits,) = text_bits(model, tokenizer, [text], 64)
    assert (bits.bits, bits.num_tokens) == (pytest.approx(expected, abs=TOLERANCE * 10), len(ids))


def test_a_special_token_in_a_prompt_stays_one(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = render_prompt(tokenizer, [{"role": "user", "content": "What would you do?"}])
    assert tokenizer.encode(prompt, add_special_tokens=False).count(tokenizer.bos_token_id) == 2
    (scored,) = score_continuations(model, tokenizer, [(prompt, "é")], 64)
    assert scored.sum_logprob == pytest.approx(brute_force(model, tokenizer, prompt, "é"), abs=TOLERANCE)


def test_a_window_larger_than_the_text_changes_nothing(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    (one,) = text_bits(model, tokenizer, TEXTS[:1], 64, max_window_tokens=40)
    (other,) = text_bits(model, tokenizer, TEXTS[:1], 64, max_window_tokens=64)
    assert one.num_tokens <= 40
    assert one.bits == pytest.approx(other.bits, abs=TOLERANCE)


def test_windows_score_each_token_once_behind_what_came_before(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    """The rolling windows of lm-evaluation-harness (context of one token; the last reaches back), by brute force."""
    text = "é" * 40  # 80 tokens
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert len(ids) == 80
    window, total, done = 32, 0.0, 0
    while done < len(ids):
        count = min(window, len(ids) - done)
        end = done + count
        fed = [tokenizer.bos_token_id, *ids[: end - 1]] if done == 0 else ids[end - window - 1 : end - 1]
        with torch.no_grad():
            logits = model(torch.tensor([fed]), use_cache=False).logits[0].log_softmax(-1)[-count:]
        total -= logits.gather(1, torch.tensor(ids[done:end])[:, None]).double().sum().item()
        done = end
    (bits,) = text_bits(model, tokenizer, [text], 64, max_window_tokens=window)
    assert bits.num_tokens == len(ids)
    assert bits.bits == pytest.approx(total / math.log(2), abs=TOLERANCE * 10)


def test_shared_beginnings_are_fed_once() -> None:
    sequences = [TokenSequence((1, 2, 3, 4, 5), 3), TokenSequence((1, 2, 3, 6, 7), 3), TokenSequence((1, 2, 9), 2)]
    (row,) = pack_rows(sequences, 100, 100)
    assert row.token_ids == [1, 2, 3, 4, 6]
    assert row.depths == [0, 1, 2, 3, 3]
    assert row.paths == [[0, 1, 2, 3], [0, 1, 2, 4], [0, 1]]


def test_a_row_never_holds_more_than_asked() -> None:
    sequences = [TokenSequence(tuple(range(start, start + 12)), 4) for start in range(40)]
    rows = pack_rows(sequences, 30, 1000)
    assert all(len(row.token_ids) <= 30 for row in rows)
    assert sorted(member for row in rows for member in row.members) == list(range(40))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_sliding_window_bounds_what_shares_a_row(
    tokenizer: PreTrainedTokenizerFast, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: with the bound lifted, a trie of longer sequences is wrong."""
    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, sliding_window=32, initializer_range=0.2,
        attn_implementation=attention,
    )  # fmt: skip
    mistral = MistralForCausalLM(config).eval()
    assert longest_shareable(mistral) == 32
    pairs = [("é" * 24, "tell her"), ("é" * 24, "write it"), ("short", " tell")]
    expected = [brute_force(mistral, tokenizer, *pair) for pair in pairs]
    for scored, nats in zip(score_continuations(mistral, tokenizer, pairs, 512), expected, strict=True):
        assert scored.sum_logprob == pytest.approx(nats, abs=TOLERANCE)
    monkeypatch.setattr(trie, "longest_shareable", lambda _: 512)
    (unbounded, *_) = score_continuations(mistral, tokenizer, pairs, 512)
    assert unbounded.sum_logprob != pytest.approx(expected[0], abs=1e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MambaForCausalLM(
            MambaConfig(vocab_size=400, hidden_size=32, num_hidden_layers=2, state_size=8, initializer_range=0.2)
        ),
        lambda: BloomForCausalLM(
            BloomConfig(vocab_size=400, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2)
        ),
    ],
    ids=["recurrent", "refuses-the-mask"],
)
def test_models_that_a_trie_does_not_suit_are_scored_one_sequence_at_a_time(
    tokenizer: PreTrainedTokenizerFast, make: Callable[[], PreTrainedModel]
) -> None:
    torch.manual_seed(2)
    made = make().eval()
    assert longest_shareable(made) == 0
    pairs = [("What would you do?", " I would tell her."), ("What would you do?", " I would write.")]
    for pair, scored in zip(pairs, score_continuations(made, tokenizer, pairs, 512), strict=True):
        assert scored.sum_logprob == pytest.approx(brute_force(made, tokenizer, *pair), abs=TOLERANCE)


def test_a_model_that_ignores_its_mask_is_found_out(model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the probe this model would give plausible numbers that depend on the neighbours."""
    whole = LlamaForCausalLM.forward

    def without_mask(self: LlamaForCausalLM, **inputs: torch.Tensor) -> object:
        return whole(self, **{key: value for key, value in inputs.items() if key != "attention_mask"})

    monkeypatch.setattr(LlamaForCausalLM, "forward", without_mask)
    assert longest_shareable(copy.deepcopy(model)) == 0


def test_the_chat_template_is_used_and_brings_its_own_special_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    rendered = render_prompt(tokenizer, [{"role": "user", "content": "{{ x }} $y %s"}])
    assert rendered == "<|im_start|>user\n{{ x }} $y %s<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer.encode(rendered, add_special_tokens=False)
    assert ids[0] == tokenizer.bos_token_id and ids[1] != tokenizer.bos_token_id
