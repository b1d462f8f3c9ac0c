"""A packed row through the model, each segment seeing only itself; and the proof of that on the loaded model.

transformers keeps segments apart on SDPA only where positions restart, no attention mask is given and no cache is
made. Its default makes a cache, and then segments see each other without a word, at a healthy-looking loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from corpus.errors import TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LEAK_FRACTION = 1e-3
"""Largest change, where none may be, as a share of the change where there must be one."""
_HALF = 8
"""Tokens of each of the two segments that the proof packs."""


def hidden_states(model: PreTrainedModel, input_ids: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
    """Last hidden states [row_tokens, width] of a packed row; `input_ids` and `position_ids` are [row_tokens]."""
    output = model.base_model(
        input_ids=input_ids[None], position_ids=position_ids[None], attention_mask=None, use_cache=False
    )
    return cast(torch.Tensor, output.last_hidden_state[0])


def check_attention(model: PreTrainedModel) -> None:
    """Prove on this model, dtype and device that segments of a row do not see each other, nor any token later ones.

    Two segments are packed. Changing the first must change nothing in the second; changing a later token must
    change nothing before it.

    Raises:
        TrainingError: something changed where nothing may; training would teach the wrong thing.
    """
    vocab_size = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    device = model.device
    ids = torch.randint(vocab_size, (2 * _HALF,), generator=generator).to(device)
    positions = torch.arange(_HALF, device=device).repeat(2)

    def change_at(places: slice) -> torch.Tensor:
        changed = ids.clone()
        changed[places] = (changed[places] + 1) % vocab_size
        return (hidden_states(model, changed, positions).float() - before).abs().amax(dim=1)

    was_training = model.training
    model.eval()
    with torch.no_grad():
        before = hidden_states(model, ids, positions).float()
        first_changed = change_at(slice(0, _HALF))
        last_changed = change_at(slice(2 * _HALF - 1, 2 * _HALF))
    model.train(was_training)
    _demand("segments of a packed row see each other", first_changed[_HALF:], first_changed[:_HALF], model)
    _demand("tokens see later tokens", last_changed[:-1], last_changed[-1:], model)


def _demand(fault: str, still: torch.Tensor, moved: torch.Tensor, model: PreTrainedModel) -> None:
    leak, change = float(still.max()), float(moved.max())
    if not (change > 0 and leak <= LEAK_FRACTION * change):
        raise TrainingError(
            f"{fault} in {type(model).__name__} with this version of transformers: a change of {change:.3g} leaks as "
            f"{leak:.3g}, where 0 is right; choose another base model, or the transformers that pyproject.toml names"
        )
