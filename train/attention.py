"""A packed row through the model, each segment seeing only itself; and the proof of that on the loaded model.

transformers keeps segments apart on SDPA only where positions restart, no attention mask is given and no cache is
made; its default makes a cache, and then segments see each other without a word, at a healthy-looking loss. Here the
lengths of the segments go to the attention itself, which has no way to look across.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch.nn.functional import scaled_dot_product_attention

from corpus.errors import TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.model import Compute

EACH_SEGMENT, VARLEN, FLEX = "specmill_each_segment", "specmill_varlen", "flex_attention"
"""Names of the ways to attend, in transformers' registry; the last is transformers' own."""
LEAK_FRACTION = 1e-3
"""Largest change, where none may be, as a share of the change where there must be one."""
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""How far hidden states of a packed row may be from those of its segments alone, as a share of the largest of them:
bf16 keeps eight bits, and kernels add in different orders."""
_HALF = 8
"""Tokens of each of the two segments that the proof packs."""

HiddenStates = Callable[[torch.Tensor, Sequence[int]], torch.Tensor]
"""Last hidden states [row_tokens, width] of token ids [row_tokens] and the lengths of the row's segments."""


def use_packed_attention(model: PreTrainedModel, compute: Compute) -> str:
    """Make `model` attend within segments in the quickest way there is where it will compute; returns the way's name.

    The model itself may still be elsewhere: weights that are to be sharded begin on the CPU.
    """
    way = _way(compute.device, compute.dtype)
    from transformers import AttentionInterface

    AttentionInterface.register(EACH_SEGMENT, attend_each_segment)
    AttentionInterface.register(VARLEN, attend_varlen)
    model.set_attn_implementation(way)
    return way


def _way(device: torch.device, dtype: torch.dtype) -> str:
    """FlashAttention of varying lengths, in torch since 2.10, wants 16 bits and compute capability 8; flex does not."""
    if device.type != "cuda":
        return EACH_SEGMENT
    has_flash = dtype == torch.bfloat16 and torch.cuda.get_device_capability(device) >= (8, 0)
    return VARLEN if has_flash and varlen_attention() is not None else FLEX


def varlen_attention() -> Callable[..., torch.Tensor] | None:
    """The `varlen_attn` of torch, where this one has it."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return cast("Callable[..., torch.Tensor]", varlen_attn)


def hidden_states(
    model: PreTrainedModel, input_ids: torch.Tensor, position_ids: torch.Tensor, lengths: Sequence[int]
) -> torch.Tensor:
    """Last hidden states [row_tokens, width] of a packed row.

    `input_ids` and `position_ids` are [row_tokens]; positions restart with each segment, and `lengths` (tokens) sum
    to the row.
    """
    ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    output = model.base_model(
        input_ids=input_ids[None],
        position_ids=position_ids[None],
        attention_mask=None,
        use_cache=False,
        segment_lengths=tuple(lengths),
        segment_ends=ends.to(input_ids.device, non_blocking=True),
    )
    return cast(torch.Tensor, output.last_hidden_state[0])


def attend_each_segment(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: object,
    *,
    segment_lengths: Sequence[int] | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Causal attention of one segment after the other; query [1, heads, tokens, width], keys may have fewer heads.

    Without lengths the whole row is one segment, as in a call of the model that is none of training's.
    """
    _refuse(module, attention_mask=attention_mask, softcap=softcap)
    key, value = _every_head(query, key, 1), _every_head(query, value, 1)
    lengths, parts = list(segment_lengths or [query.shape[2]]), []
    for q, k, v in zip(*(torch.split(whole, lengths, dim=2) for whole in (query, key, value)), strict=True):
        band = _band(q.shape[2], sliding_window, q.device)
        parts.append(
            scaled_dot_product_attention(
                q, k, v, attn_mask=band, is_causal=band is None, scale=scaling, dropout_p=dropout
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def attend_varlen(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: object,
    *,
    segment_lengths: Sequence[int] = (),
    segment_ends: torch.Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """The same by one call of FlashAttention; its signature changed from release to release of torch."""
    if segment_ends is None:
        return attend_each_segment(
            module, query, key, value, attention_mask,
            scaling=scaling, dropout=dropout, sliding_window=sliding_window, softcap=softcap,
        )  # fmt: skip
    _refuse(module, attention_mask=attention_mask, softcap=softcap, dropout=dropout)
    attend = varlen_attention()
    assert attend is not None, "use_packed_attention looked"
    known = inspect.signature(attend).parameters
    asked: dict[str, object] = {}
    if "window_size" in known:
        asked["window_size"] = (-1 if sliding_window is None else sliding_window - 1, 0)
    else:
        asked["is_causal"] = True
        _refuse(
            module, sliding_window=sliding_window if sliding_window and max(segment_lengths) > sliding_window else 0
        )
    if "scale" in known:
        asked["scale"] = scaling
    elif scaling is not None:
        query = query * (scaling * query.shape[-1] ** 0.5)
    if query.shape[1] != key.shape[1] and "enable_gqa" in known:
        asked["enable_gqa"] = True
    else:
        key, value = _every_head(query, key, 1), _every_head(query, value, 1)
    device = query.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype
    q, k, v = (whole[0].transpose(0, 1).to(dtype) for whole in (query, key, value))  # [tokens, heads, width]
    longest = max(segment_lengths)
    return attend(q, k, v, segment_ends, segment_ends, longest, longest, **asked)[None], None


def _every_head(query: torch.Tensor, fewer: torch.Tensor, dim: int) -> torch.Tensor:
    return fewer.repeat_interleave(query.shape[dim] // fewer.shape[dim], dim=dim)


def _band(num_tokens: int, sliding_window: int | None, device: torch.device) -> torch.Tensor | None:
    """Which keys a query sees where a window is shorter than the segment; None: all before it."""
    if sliding_window is None or num_tokens <= sliding_window:
        return None
    places = torch.arange(num_tokens, device=device)
    back = places[:, None] - places[None, :]
    return (back >= 0) & (back < sliding_window)


def _refuse(module: torch.nn.Module, **unknown: object) -> None:
    asked = {name: value for name, value in unknown.items() if value is not None and value != 0.0}
    if asked:
        raise TrainingError(
            f"{type(module).__name__} asks its attention for {asked}, which training on packed rows does not do; "
            "choose another base model, of the Llama, Qwen, Mistral or Gemma 3 kind"
        )


def proof_states(model: PreTrainedModel) -> torch.Tensor:
    """Hidden states [2 * _HALF, width] of the proof's two segments, each alone and in the model's own attention.

    To be taken before `use_packed_attention`; `check_attention` compares with them.
    """
    was_training = model.training
    model.eval()
    with torch.no_grad():
        alone = [
            model.base_model(input_ids=half[None], use_cache=False).last_hidden_state[0]
            for half in torch.split(_proof_ids(model).to(model.device), _HALF)
        ]
    model.train(was_training)
    return torch.cat(alone).float()


def _proof_ids(model: PreTrainedModel) -> torch.Tensor:
    vocab_size = model.get_input_embeddings().weight.shape[0]
    return torch.randint(vocab_size, (2 * _HALF,), generator=torch.Generator().manual_seed(0))


def check_attention(model: PreTrainedModel, states: HiddenStates, alone: torch.Tensor, dtype: torch.dtype) -> None:
    """Prove on this model, dtype and device that a packed row is its segments, each as if it were alone.

    Two segments are packed. Changing the first must change nothing in the second; changing a later token must
    change nothing before it; and both must be what they are `alone` (from `proof_states`), which finds a scale, a
    window or a cap of the attention that was lost.

    Raises:
        TrainingError: something changed where nothing may; training would teach the wrong thing.
    """
    vocab_size, ids = model.get_input_embeddings().weight.shape[0], _proof_ids(model)

    def states_of(token_ids: torch.Tensor) -> torch.Tensor:
        return states(token_ids, (_HALF, _HALF)).float()

    def change_at(places: slice) -> torch.Tensor:
        changed = ids.clone()
        changed[places] = (changed[places] + 1) % vocab_size
        return (states_of(changed) - before).abs().amax(dim=1)

    was_training = model.training
    model.eval()
    with torch.no_grad():
        before = states_of(ids)
        first_changed = change_at(slice(0, _HALF))
        last_changed = change_at(slice(2 * _HALF - 1, 2 * _HALF))
    model.train(was_training)
    _demand("segments of a packed row see each other", first_changed[_HALF:], first_changed[:_HALF], model)
    _demand("tokens see later tokens", last_changed[:-1], last_changed[-1:], model)
    difference, largest = float((before - alone.to(before.device)).abs().max()), float(alone.abs().max())
    if not difference <= TOLERANCE[dtype] * largest:
        raise TrainingError(
            f"a packed row gives {type(model).__name__} other hidden states than its segments alone (they differ by "
            f"{difference:.3g}, the largest is {largest:.3g}); choose another base model"
        )


def _demand(fault: str, still: torch.Tensor, moved: torch.Tensor, model: PreTrainedModel) -> None:
    leak, change = float(still.max()), float(moved.max())
    if not (change > 0 and leak <= LEAK_FRACTION * change):
        raise TrainingError(
            f"{fault} in {type(model).__name__} with this version of transformers: a change of {change:.3g} leaks as "
            f"{leak:.3g}, where 0 is right; choose another base model, or the transformers that pyproject.toml names"
        )
