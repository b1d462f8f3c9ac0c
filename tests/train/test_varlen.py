"""The way to attend on CUDA, run here on a stand-in for torch's kernel that is written from its documentation."""

from __future__ import annotations

import inspect
from itertools import pairwise

import pytest
import torch

from corpus.errors import TrainingError
from train import attention
from train.attention import EACH_SEGMENT, FLEX, VARLEN, attend_each_segment, attend_varlen

LENGTHS = (5, 1, 9)
ENDS = torch.tensor([0, 5, 6, 15], dtype=torch.int32)


def attended(query, key, value, starts, scale, window, causal, gqa):
    """Softmax attention of [tokens, heads, width] tensors, segment by segment, position by position."""
    if gqa:
        key, value = (t.repeat_interleave(query.shape[1] // t.shape[1], dim=1) for t in (key, value))
    assert key.shape == query.shape
    out = torch.empty_like(query)
    for first, last in pairwise(starts):
        for place in range(first, last):
            low = first if window is None else max(first, place - window)
            high = place + 1 if causal else last
            scores = torch.einsum("hd,khd->hk", query[place], key[low:high]) * (scale or query.shape[-1] ** -0.5)
            out[place] = torch.einsum("hk,khd->hd", scores.softmax(-1), value[low:high])
    return out


def newest(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1), enable_gqa=False):
    """The signature of torch 2.12 and 2.13."""
    assert max_q == max_k == max(LENGTHS)
    assert cu_seq_q.dtype == torch.int32
    left, right = window_size
    return attended(query, key, value, cu_seq_q.tolist(), scale, None if left == -1 else left, right == 0, enable_gqa)


def without_gqa(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1)):
    """A window, but as many keys' heads as queries'."""
    return newest(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale=scale, window_size=window_size)


def oldest(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False):
    """The signature of torch 2.10: neither scale nor window."""
    return attended(query, key, value, cu_seq_q.tolist(), None, None, is_causal, False)


def tensors():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, heads, sum(LENGTHS), 8, generator=generator) for heads in (4, 2, 2)]


def attend(function, monkeypatch=None, kernel=None, **options):
    if kernel is not None:
        monkeypatch.setattr(attention, "varlen_attention", lambda: kernel)
    query, key, value = tensors()
    module = torch.nn.Linear(1, 1)
    return function(module, query, key, value, None, segment_lengths=LENGTHS, segment_ends=ENDS, **options)[0]


@pytest.mark.parametrize("kernel", [newest, without_gqa, oldest])
@pytest.mark.parametrize("scaling", [None, 0.2])
def test_every_signature_gives_what_one_segment_after_the_other_does(monkeypatch, kernel, scaling):
    ours = attend(attend_varlen, monkeypatch, kernel, scaling=scaling)
    torch.testing.assert_close(ours, attend(attend_each_segment, scaling=scaling), rtol=1e-5, atol=1e-6)
    other = attend(attend_each_segment, scaling=0.5)
    assert (ours - other).abs().max() > 1e-2, "the control: the scale matters"


@pytest.mark.parametrize("kernel", [newest, without_gqa])
def test_a_window_sees_as_far_back(monkeypatch, kernel):
    ours = attend(attend_varlen, monkeypatch, kernel, sliding_window=3)
    torch.testing.assert_close(ours, attend(attend_each_segment, sliding_window=3), rtol=1e-5, atol=1e-6)
    assert (ours - attend(attend_each_segment, sliding_window=4)).abs().max() > 1e-3


def test_a_kernel_without_windows_refuses_segments_longer_than_one(monkeypatch):
    attend(attend_varlen, monkeypatch, oldest, sliding_window=9)
    with pytest.raises(TrainingError, match=r"asks its attention for \{'sliding_window': 8\}"):
        attend(attend_varlen, monkeypatch, oldest, sliding_window=8)


@pytest.mark.parametrize("function", [attend_varlen, attend_each_segment])
def test_what_neither_can_do_is_refused(monkeypatch, function):
    with pytest.raises(TrainingError, match="softcap"):
        attend(function, monkeypatch, newest, softcap=30.0)


def test_the_stand_in_takes_what_this_torch_takes():
    """The names that are asked for are those of the installed torch, whose kernel runs on CUDA alone."""
    known = inspect.signature(attention.varlen_attention()).parameters
    for name in inspect.signature(newest).parameters:
        assert name in known


@pytest.mark.parametrize(("capability", "dtype", "has_varlen", "way"), [
    ((9, 0), torch.bfloat16, True, VARLEN), ((8, 0), torch.bfloat16, True, VARLEN),
    ((7, 5), torch.bfloat16, True, FLEX),
    ((9, 0), torch.float32, True, FLEX), ((9, 0), torch.bfloat16, False, FLEX),
])  # fmt: skip
def test_the_way_is_chosen_by_what_the_device_can(monkeypatch, capability, dtype, has_varlen, way):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(attention, "varlen_attention", lambda: newest if has_varlen else None)
    assert attention._way(torch.device("cuda"), dtype) == way
    assert attention._way(torch.device("cpu"), dtype) == EACH_SEGMENT


def test_flex_keeps_segments_apart_too(monkeypatch):
    """transformers' own flex attention, the way of older devices; it has no backward pass on the CPU.

    Not compiled here: that takes a compiler of C++ and a minute.
    """
    from tests.train.tiny import tiny_model
    from train.attention import check_attention, hidden_states, proof_states

    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiled(function, backend="eager"))
    model = tiny_model(head_dim=16, hidden_size=64)
    alone = proof_states(model)
    model.set_attn_implementation(FLEX)

    def states(ids, lengths):
        return hidden_states(model, ids, torch.cat([torch.arange(length) for length in lengths]), lengths)

    check_attention(model, states, alone, torch.float32)
