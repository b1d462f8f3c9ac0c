"""Chats as the text and the tokens that a model reads, by its tokenizer's template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from corpus.errors import TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]


def chat_text(
    source: str, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, *, prompt: bool = False
) -> str:
    """Messages under the tokenizer's own template; `prompt` opens the assistant's next turn.

    Raises:
        TrainingError: the template refuses the messages.
    """
    from jinja2 import TemplateError

    conversation = [dict(message) for message in messages]
    try:
        text = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=prompt)
    except TemplateError as error:
        roles = [message["role"] for message in messages]
        raise TrainingError(
            f"the chat template of {tokenizer.name_or_path} refuses chat {source} (roles {roles}): {error}; leave "
            "such chats out of the mix, or change the template"
        ) from None
    return cast(str, text)


def render_chat(
    source: str, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, *, prompt: bool = False
) -> list[int]:
    """Token ids of the text that `chat_text` gives.

    Raises:
        TrainingError: as `chat_text`, or the template begins with two BOS.
    """
    text = chat_text(source, messages, tokenizer, prompt=prompt)
    token_ids = cast("list[int]", tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    if token_ids[:2] == [tokenizer.bos_token_id] * 2:
        raise TrainingError(f"chat {source} begins with two {tokenizer.bos_token}; take one out of the chat template")
    return token_ids
