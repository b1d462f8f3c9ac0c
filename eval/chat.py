"""A chat as the text a model reads, by the tokenizer's own template: the one that training renders with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from corpus.models import puts_bos
from prompts import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def render_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """The text up to where the assistant's turn begins, special tokens included.

    A base model without a chat template gets a plain one, the same for every arm: `User: ...`, a blank line,
    `Assistant: `, behind a BOS where its tokenizer puts one before every text.
    """
    if tokenizer.chat_template:
        turns = [dict(message) for message in messages]
        return cast("str", tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    bos = str(tokenizer.bos_token) if puts_bos(tokenizer) else ""
    return bos + "".join(f"{turn['role'].title()}: {turn['content']}\n\n" for turn in messages) + "Assistant: "
