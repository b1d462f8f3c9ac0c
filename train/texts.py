"""From documents and chats to segments: special tokens, and which tokens are learned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, cast

from corpus.errors import TrainingError
from corpus.models import puts_bos
from train.packing import piece_lengths
from train.plan import Segment, Segments, flatten

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]
MIN_SEQ_TOKENS = 8
"""A row shorter than this holds no text worth learning (tokens)."""
OVER_LONG = "longer than seq_tokens"
NO_ANSWER = "no assistant turn"
CONTROL_TOKEN = "a control token of the model in its text"
_BATCH_DOCUMENTS = 512


def document_segments(
    documents: Iterable[tuple[str, str]], tokenizer: PreTrainedTokenizerBase, seq_tokens: int
) -> Segments:
    """Segments of (id, text) pairs: BOS if the tokenizer puts one, the text, EOS; every token but the first learned.

    A document longer than `seq_tokens` is split and loses no token; each piece is a segment of its own. Text that
    looks like a control token is tokenized as the ordinary characters it is.

    Raises:
        TrainingError: the tokenizer has no end-of-text token, or `seq_tokens` is under MIN_SEQ_TOKENS.
    """
    if tokenizer.eos_token_id is None:
        raise TrainingError(f"the tokenizer of {tokenizer.name_or_path} has no eos_token; set one in its folder")
    _check_seq_tokens(seq_tokens)
    before, after = ([tokenizer.bos_token_id] if puts_bos(tokenizer) else []), [tokenizer.eos_token_id]

    def segments() -> Iterator[Segment]:
        waiting = iter(documents)
        while batch := list(islice(waiting, _BATCH_DOCUMENTS)):
            texts = [text for _, text in batch]
            encoded = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
            for (source, _), text_ids in zip(batch, cast("list[list[int]]", encoded["input_ids"]), strict=True):
                token_ids = before + text_ids + after
                start = 0
                for length in piece_lengths(len(token_ids), seq_tokens):
                    yield Segment(source, token_ids[start : start + length], [False] + [True] * (length - 1))
                    start += length

    return flatten(segments(), {})


def chat_segments(
    chats: Iterable[tuple[str, Sequence[Message]]],
    tokenizer: PreTrainedTokenizerBase,
    seq_tokens: int,
    stop_ids: frozenset[int],
) -> Segments:
    """Segments of (id, messages) pairs, rendered by the tokenizer's template; assistant turns learned, no other token.

    A chat is never cut: one that does not fit, has no answer, or would smuggle in a control token is dropped and
    counted. `stop_ids` are the tokens at which generation stops; each assistant turn must close with one of them.

    Raises:
        TrainingError: no chat template, or one that does not lead from prompt to answer; the message names the fix.
    """
    if tokenizer.chat_template is None:
        raise TrainingError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template, so chats cannot be trained on; take an "
            "instruct model, or put a chat_template.jinja into a copy of the model's folder"
        )
    _check_seq_tokens(seq_tokens)
    control_tokens = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    dropped: dict[str, list[str]] = {OVER_LONG: [], NO_ANSWER: [], CONTROL_TOKEN: []}

    def segments() -> Iterator[Segment]:
        for source, messages in chats:
            if not any(message["role"] == "assistant" for message in messages):
                dropped[NO_ANSWER].append(source)
            elif any(token in message["content"] for message in messages for token in control_tokens):
                dropped[CONTROL_TOKEN].append(source)
            else:
                token_ids, is_target = chat_tokens(source, messages, tokenizer, stop_ids)
                if len(token_ids) > seq_tokens:
                    dropped[OVER_LONG].append(source)
                else:
                    yield Segment(source, token_ids, is_target)

    return flatten(segments(), dropped)


def chat_tokens(
    source: str, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, stop_ids: frozenset[int]
) -> tuple[list[int], list[bool]]:
    """Token ids of a chat, and which of them are learned: each assistant turn, its closing token included.

    A turn's first learned token comes right after what the model is given when it is to answer, so that training
    and inference cannot disagree.

    Raises:
        TrainingError: what the model is given to answer is not how the whole chat begins, or a turn does not close.
    """
    whole = render_chat(source, messages, tokenizer)
    is_target = [False] * len(whole)
    for turn, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        start = _prefix_length(source, turn, whole, render_chat(source, messages[:turn], tokenizer, prompt=True))
        stop = _prefix_length(source, turn, whole, render_chat(source, messages[: turn + 1], tokenizer))
        closing = [place for place in range(start, stop) if whole[place] in stop_ids]
        if not closing:
            raise TrainingError(
                f"in chat {source} the assistant's turn {turn} does not close with a token that stops generation "
                f"(ids {sorted(stop_ids)}), so the model would never learn to stop; close the turn with the eos token "
                "in the chat template, or name its closing token in the model's generation_config.json (eos_token_id)"
            )
        is_target[start : closing[-1] + 1] = [True] * (closing[-1] + 1 - start)
    return whole, is_target


def render_chat(
    source: str, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, *, prompt: bool = False
) -> list[int]:
    """Token ids of messages under the tokenizer's own template; `prompt` opens the assistant's next turn.

    Raises:
        TrainingError: the template refuses the messages, or begins with two BOS.
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
    token_ids = cast("list[int]", tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    if token_ids[:2] == [tokenizer.bos_token_id] * 2:
        raise TrainingError(f"chat {source} begins with two {tokenizer.bos_token}; take one out of the chat template")
    return token_ids


def _prefix_length(source: str, turn: int, whole: list[int], prefix: list[int]) -> int:
    if whole[: len(prefix)] != prefix:
        differs = next(
            (place for place, (one, other) in enumerate(zip(whole, prefix, strict=False)) if one != other), len(whole)
        )
        raise TrainingError(
            f"the chat template does not keep the beginning of a chat as it was: in chat {source} the text up to the "
            f"assistant's turn {turn} differs from the whole chat at token {differs} of {len(whole)} (templates that "
            "drop earlier thoughts do so); train on chats of one answer, or put a template that only ever appends "
            "into a copy of the model's folder"
        )
    return len(prefix)


def _check_seq_tokens(seq_tokens: int) -> None:
    if seq_tokens < MIN_SEQ_TOKENS:
        raise TrainingError(f"seq_tokens is {seq_tokens}; give the stage at least {MIN_SEQ_TOKENS}")
