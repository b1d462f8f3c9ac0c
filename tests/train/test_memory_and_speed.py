"""What a row takes and what an update costs: told before it is too late, and by a formula that counts right."""

from __future__ import annotations

import gc

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from corpus.errors import TrainingError
from tests.train.test_loop import SETTINGS, UNEQUAL, plan_with, segments_of
from tests.train.tiny import packed, tiny_model, trainer_of
from train import memory
from train.memory import check_memory, kept_bytes
from train.model import Compute
from train.speed import Costs, matrix_rate, peak_memory_bytes

CPU = Compute(torch.device("cpu"), torch.float32)


def live_tensors():
    """Each tensor that something holds, but for lone numbers, by its identity: tensors do not compare by ``==``."""
    gc.collect()
    return {id(one): one for one in gc.get_objects() if type(one) is torch.Tensor and one.ndim}


def long_plan():
    segments = segments_of([11] * 40)
    return plan_with(segments, [list(range(40))], [[0]])


def test_a_row_that_does_not_fit_is_refused_with_a_length_that_does(monkeypatch):
    model, plan = packed(tiny_model()), long_plan()
    check_memory(model, plan, CPU, "midtrain")
    per_token, once = kept_bytes(model, CPU)
    monkeypatch.setattr(memory, "free_bytes", lambda _: int(350 * per_token + once) + 2_200_000)
    with pytest.raises(
        TrainingError, match=r"a row of 480 tokens.*lower train.stages.midtrain.seq_tokens to about"
    ) as e:
        check_memory(model, plan, CPU, "midtrain")
    fits = int(str(e.value).partition("to about ")[2].partition(",")[0])
    assert 0 < fits < 480


def test_what_a_token_keeps_grows_with_the_layers_and_recomputing_keeps_less():
    model = tiny_model(num_hidden_layers=6)
    kept, _ = kept_bytes(packed(model), CPU)
    assert kept == pytest.approx(kept_bytes(packed(tiny_model(num_hidden_layers=12)), CPU)[0] / 2, rel=0.15)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    assert kept_bytes(packed(model), CPU)[0] < kept / 4


def test_measuring_what_is_kept_keeps_nothing():
    """A graph that holds itself is out of reach of the collector: each stage of a run once left its model behind."""
    # Held, so that no new tensor takes the identity of one that is gone.
    before = live_tensors()
    kept_bytes(packed(tiny_model()), CPU)
    assert [one for name, one in live_tensors().items() if name not in before] == []


def test_casts_of_weights_are_not_taken_for_what_tokens_keep():
    """All weights trained in bf16: each matrix is kept once more, in 16 bits, whatever the row's length."""
    model = tiny_model(num_hidden_layers=6)
    fp32, once_in_fp32 = kept_bytes(packed(model), CPU)
    bf16, once = kept_bytes(packed(model), Compute(CPU.device, torch.bfloat16))
    matrices = sum(value.numel() for value in model.model.layers.parameters() if value.ndim == 2)
    assert once == pytest.approx(2 * (matrices + model.lm_head.weight.numel()), rel=0.01)
    assert once_in_fp32 < once / 10
    assert bf16 < fp32


def test_running_out_of_memory_names_the_row_and_what_to_lower():
    trainer = trainer_of(tiny_model(), plan_with(segments_of(UNEQUAL), [[0, 1, 2]], [[0]]), SETTINGS)

    def greedy(*_):
        return torch.empty(2**60)

    trainer.module.model.lm_head.register_forward_pre_hook(greedy)
    with pytest.raises(
        TrainingError, match=r"update 0, of rows up to 36 tokens, does not fit into memory .*lower the stage's seq_tok"
    ):
        trainer.update(0)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    trainer = trainer_of(tiny_model(), plan_with(segments_of(UNEQUAL), [[0, 1, 2]], [[0]]), SETTINGS)

    def broken(*_):
        raise RuntimeError("something else")

    trainer.module.model.lm_head.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="something else"):
        trainer.update(0)


@pytest.mark.parametrize("lora", [False, True])
def test_the_costs_are_what_torch_counts(lora):
    """torch counts the products of an update as they run; attention it counts whole, ours is the causal half."""
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "head_dim": 16, "vocab_size": 320}
    model = tiny_model(**shape, tie_word_embeddings=False)
    if lora:
        from peft import LoraConfig, get_peft_model

        model.requires_grad_(False)
        get_peft_model(model, LoraConfig(r=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "up_proj"]))
    plan = plan_with(segments_of([11, 5, 11, 3]), [[0, 1], [2, 3]], [[0, 1]])
    costs = Costs.of(model)
    trainer = trainer_of(model, plan, SETTINGS)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        trainer.update(0)
    counts = {str(name): flops for name, flops in counter.get_flop_counts()["Global"].items()}
    attention = counts.pop("aten.bmm")
    matrices = sum(counts.values())
    squares = 4 * 12**2
    ours = costs.of_update(plan, 0)
    # The first layer's input needs no gradient; with adapters torch saves that part of the backward pass.
    assert ours - costs.per_pair * squares == pytest.approx(matrices, rel=0.12 if lora else 0.02)
    assert attention == pytest.approx(2 * costs.per_pair * squares)


def test_the_matrix_rate_is_a_rate_and_memory_is_counted():
    assert 1e8 < matrix_rate(CPU) < 1e14
    before = peak_memory_bytes(CPU.device)
    held = torch.ones((before + 100_000_000) // 4)
    assert before + 100_000_000 <= peak_memory_bytes(CPU.device) < before + 2 * held.nbytes
