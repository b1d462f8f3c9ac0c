"""Widening and merging must not change what is measured."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from eval.scoring.continuations import score_continuations
from eval.scoring.precision import ready_to_score

PAIRS = [("What would you do?", " I would tell her."), ("What would you do?", " I would write the line.")]


def test_on_the_cpu_an_adapter_is_merged_in_fp32_and_scores_the_same(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(copy.deepcopy(model).bfloat16(), config).eval()
    beside = [one.sum_logprob for one in score_continuations(copy.deepcopy(adapted).float(), tokenizer, PAIRS, 64)]
    ready = ready_to_score(adapted)
    assert ready.dtype == torch.float32
    assert not any("lora" in name for name, _ in ready.named_parameters())
    merged = [one.sum_logprob for one in score_continuations(ready, tokenizer, PAIRS, 64)]
    assert merged == pytest.approx(beside, abs=1e-4)
    base = [one.sum_logprob for one in score_continuations(model, tokenizer, PAIRS, 64)]
    assert merged != pytest.approx(base, abs=1e-2), "the adapter does nothing, so this test would prove nothing"


def test_a_base_model_is_widened_to_fp32(model: LlamaForCausalLM) -> None:
    ready = ready_to_score(copy.deepcopy(model).bfloat16())
    assert ready.dtype == torch.float32
