"""A chat as the text a model reads, by the tokenizer's own template: the one that training renders with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from prompts import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def render_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """The text up to where the assistant's turn begins, special tokens included.

    A tokenizer that was loaded for scoring has a template: the recipe's, its own, or Specmill's plain one.
    """
    turns = [dict(message) for message in messages]
    return cast("str", tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
