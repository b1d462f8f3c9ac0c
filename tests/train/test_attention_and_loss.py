from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from corpus.errors import TrainingError
from tests.train.tiny import packed, tiny_model
from train.attention import check_attention, hidden_states, proof_states, use_packed_attention
from train.loss import check_loss, cross_entropy_sum
from train.model import Compute
from train.plan import IGNORED

IDS = torch.randint(300, (24,), generator=torch.Generator().manual_seed(3))
POSITIONS = torch.cat([torch.arange(10), torch.arange(14)])


LENGTHS = [10, 14]
CPU = Compute(torch.device("cpu"), torch.float32)


def hidden_with_cache(model, input_ids, position_ids):
    """What a hand-written loop does: transformers' default makes a cache."""
    return model.base_model(input_ids=input_ids[None], position_ids=position_ids[None]).last_hidden_state[0]


def restarting(lengths):
    return torch.cat([torch.arange(length) for length in lengths])


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_a_packed_row_gives_what_its_segments_give_alone(kind, recompute):
    model = tiny_model(kind).eval()
    with torch.no_grad():
        alone = [model(input_ids=part[None], use_cache=False).logits[0] for part in (IDS[:10], IDS[10:])]
        contaminated = model.lm_head(hidden_with_cache(model, IDS, POSITIONS))
        use_packed_attention(model, CPU)
        if recompute:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        row = model.lm_head(hidden_states(model.train(recompute), IDS, POSITIONS, LENGTHS))
    assert (row - torch.cat(alone)).abs().max() <= 1e-5
    assert (contaminated - torch.cat(alone)).abs().max() > 0.1, "the control that shows what the guard is for"


def test_a_sliding_window_of_the_model_is_kept():
    """Mistral's and Gemma's layers see so many tokens back, also in a packed row."""
    from transformers import MistralConfig, MistralForCausalLM

    shape = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2}  # fmt: skip
    model = MistralForCausalLM(MistralConfig(**shape, sliding_window=5)).eval()
    wide = MistralForCausalLM(MistralConfig(**shape, sliding_window=None)).eval()
    wide.load_state_dict(model.state_dict())
    with torch.no_grad():
        alone = torch.cat([model.base_model(part[None], use_cache=False).last_hidden_state[0]
                           for part in (IDS[:10], IDS[10:])])  # fmt: skip
        for one in (model, wide):
            use_packed_attention(one, CPU)
        row = hidden_states(model, IDS, POSITIONS, LENGTHS)
        without = hidden_states(wide, IDS, POSITIONS, LENGTHS)
    assert (row - alone).abs().max() <= 1e-5
    assert (without - alone).abs().max() > 0.1


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_start_up_proof_passes_on_sound_models(kind, dtype):
    model = tiny_model(kind).to(dtype)
    check_loss(model)
    alone = proof_states(model)
    use_packed_attention(model, Compute(CPU.device, dtype))
    check_attention(model, lambda ids, lengths: hidden_states(model, ids, restarting(lengths), lengths), alone, dtype)


def proof_of(states, model=None):
    """The proof on a model whose hidden states are computed by `states(model, ids, positions)`."""
    model = model or tiny_model()
    alone = proof_states(model)
    check_attention(model, lambda ids, lengths: states(model, ids, restarting(lengths)), alone, torch.float32)


def test_the_start_up_proof_refuses_segments_that_see_each_other():
    with pytest.raises(TrainingError, match="see each other"):
        proof_of(hidden_with_cache)


def test_the_start_up_proof_refuses_tokens_that_see_later_ones():
    def bidirectional(model, input_ids, position_ids):
        segments = torch.cumsum(position_ids == 0, 0)
        mask = (segments[:, None] == segments[None, :])[None, None]
        return model.base_model(
            input_ids=input_ids[None], position_ids=position_ids[None], attention_mask=mask, use_cache=False
        ).last_hidden_state[0]

    with pytest.raises(TrainingError, match="see later tokens"):
        proof_of(bidirectional)


def test_the_start_up_proof_refuses_attention_of_another_scale():
    def unscaled(model, input_ids, position_ids):
        use_packed_attention(model, CPU)
        for layer in model.model.layers:
            layer.self_attn.scaling = 1.0
        return hidden_states(model, input_ids, position_ids, [8, 8])

    with pytest.raises(TrainingError, match="other hidden states than its segments alone"):
        proof_of(unscaled)


def test_the_start_up_proof_refuses_a_model_that_changes_its_logits_after_the_head():
    model = tiny_model()
    original = model.forward

    def scaled(*args, **kwargs):
        output = original(*args, **kwargs)
        output.logits = output.logits * 0.25
        return output

    model.forward = scaled
    with pytest.raises(TrainingError, match="after the output layer"):
        check_loss(model)


LABEL_CASES = {
    "all": IDS,
    "some": torch.where(torch.arange(24) % 3 == 0, IDS, IGNORED),
    "one": torch.where(torch.arange(24) == 17, IDS, IGNORED),
    "a chunk without targets": torch.where(torch.arange(24) > 16, IDS, IGNORED),
}


@pytest.mark.parametrize("chunk_tokens", [1, 5, 8, 1000])
@pytest.mark.parametrize("labels", LABEL_CASES.values(), ids=LABEL_CASES.keys())
def test_chunked_cross_entropy_equals_torch_in_loss_and_gradients(chunk_tokens, labels):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(24, 16, generator=generator)
    weight = torch.randn(300, 16, generator=generator)

    def run(loss_of):
        head = torch.nn.Linear(16, 300, bias=False)
        head.weight.data.copy_(weight)
        inputs = hidden.clone().requires_grad_()
        loss = loss_of(inputs, head)
        loss.backward()
        return loss.detach(), inputs.grad, head.weight.grad

    ours = run(lambda inputs, head: cross_entropy_sum(inputs, head, labels, chunk_tokens))
    reference = run(lambda inputs, head: functional.cross_entropy(
        head(inputs)[:-1], labels[1:], ignore_index=IGNORED, reduction="sum"))  # fmt: skip
    for one, other in zip(ours, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_row_without_targets_adds_nothing():
    hidden = torch.randn(4, 16, requires_grad=True)
    loss = cross_entropy_sum(hidden, torch.nn.Linear(16, 300), torch.full((4,), IGNORED))
    loss.backward()
    assert loss == 0
    assert not hidden.grad.any()


def test_the_label_at_t_is_predicted_from_t_minus_one():
    """Five tokens by hand: a head that reads off the hidden state makes the shift visible."""
    hidden = torch.eye(5)
    labels = torch.tensor([IGNORED, 4, 2, IGNORED, 1])
    head = torch.nn.Linear(5, 5, bias=False)
    head.weight.data = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    log_probs = head.weight.T.log_softmax(dim=1)  # row t: what the hidden state at t says
    by_hand = -(log_probs[0, 4] + log_probs[1, 2] + log_probs[3, 1])
    torch.testing.assert_close(cross_entropy_sum(hidden, head, labels), by_hand)


def test_a_packed_row_loses_what_its_segments_lose():
    model = tiny_model()
    labels = IDS.clone()
    labels[[0, 10]] = IGNORED
    packed(model)(IDS, POSITIONS, LENGTHS, labels).backward()
    in_a_row = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()
    model.set_attn_implementation("sdpa")
    for part in (slice(0, 10), slice(10, 24)):
        logits = model(input_ids=IDS[part][None], use_cache=False).logits[0]
        functional.cross_entropy(logits[:-1], IDS[part][1:], reduction="sum").backward()
    for name, value in model.named_parameters():
        torch.testing.assert_close(in_a_row[name], value.grad, rtol=1e-4, atol=1e-4 * float(value.grad.abs().max()))
