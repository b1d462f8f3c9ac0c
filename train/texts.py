"""From documents and chats to segments: special tokens, and which tokens are learned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal, cast

from corpus.chat_template import puts_bos
from corpus.errors import TrainingError
from train.packing import piece_lengths
from train.render import Message, chat_text, render_chat
from train.segments import Segment

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Answers = Literal["all", "last", "each"]
OverLong = Literal["drop", "refuse"]
MIN_SEQ_TOKENS = 8
"""A row shorter than this holds no text worth learning (tokens)."""
OVER_LONG = "longer than seq_tokens"
NO_ANSWER = "no assistant turn"
CONTROL_TOKEN = "a control token of the model in its text"
JOINED = "an answer whose first characters share a token with what comes before it"
_BATCH_DOCUMENTS = 512


class JoinedError(TrainingError):
    """An answer begins in the middle of a token, mostly because it begins with white space; the model never could."""


def document_segments(
    documents: Iterable[tuple[str, str]], tokenizer: PreTrainedTokenizerBase, seq_tokens: int, tag: str = ""
) -> Iterator[Segment]:
    """Segments of (id, text) pairs: BOS if the tokenizer puts one, `tag`, the text, EOS; text and EOS are learned.

    A document longer than `seq_tokens` is split and loses no token; each piece is a segment of its own, whose first
    token nothing comes before, so that it is not learned. Text that looks like a control token is tokenized as the
    ordinary characters it is; in the tag it is one.

    Raises:
        TrainingError: the tokenizer has no end-of-text token, `seq_tokens` is under MIN_SEQ_TOKENS, or the tag takes
            half of it or more.
    """
    if tokenizer.eos_token_id is None:
        raise TrainingError(f"the tokenizer of {tokenizer.name_or_path} has no eos_token; set one in its folder")
    _check_seq_tokens(seq_tokens)
    tagged = tokenizer(tag, add_special_tokens=False, split_special_tokens=False, verbose=False)
    tag_ids = cast("list[int]", tagged["input_ids"])
    if len(tag_ids) >= seq_tokens // 2:
        raise TrainingError(
            f"the document_tag {tag!r:.60} is {len(tag_ids)} tokens long, and seq_tokens is {seq_tokens}; give a tag "
            f"of fewer than {seq_tokens // 2} tokens, or a larger seq_tokens"
        )
    given = ([tokenizer.bos_token_id] if puts_bos(tokenizer) else []) + tag_ids

    def segments() -> Iterator[Segment]:
        waiting = iter(documents)
        while batch := list(islice(waiting, _BATCH_DOCUMENTS)):
            texts = [text for _, text in batch]
            encoded = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
            for (source, _), text_ids in zip(batch, cast("list[list[int]]", encoded["input_ids"]), strict=True):
                token_ids = [*given, *text_ids, tokenizer.eos_token_id]
                start, num_given = 0, max(1, len(given))
                for length in piece_lengths(len(token_ids), seq_tokens):
                    is_target = [False] * min(num_given, length) + [True] * (length - num_given)
                    yield Segment(source, token_ids[start : start + length], is_target)
                    start, num_given = start + length, 1

    return segments()


def chat_segments(
    chats: Iterable[tuple[str, Sequence[Message]]],
    tokenizer: PreTrainedTokenizerBase,
    seq_tokens: int,
    stop_ids: frozenset[int],
    dropped: dict[str, list[str]],
    *,
    answers: Answers = "all",
    over_long: OverLong = "drop",
) -> Iterator[Segment]:
    """Segments of (id, messages) pairs, rendered by the tokenizer's template; assistant turns learned, no other token.

    `answers` as in the recipe: with `all` a chat is one segment; with `each` every answer has one, of the messages up
    to it, and with `last` the last answer alone. An assistant turn that opens a chat answers nothing, so that it is
    not learned.

    A chat is never cut: one that does not fit, has no answer, or would smuggle in a control token is left out, and its
    id added to `dropped` by reason (with `each`, once for every answer that does not fit). `stop_ids` are the tokens at
    which generation stops; each assistant turn must close with one of them.

    Raises:
        TrainingError: no chat template, or one that does not lead from prompt to answer; a chat longer than
            `seq_tokens`, with `over_long` "refuse". The message names the fix.
    """
    if tokenizer.chat_template is None:
        raise TrainingError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template, so chats cannot be trained on; name one "
            "in train.chat_template, or take an instruct model"
        )
    _check_seq_tokens(seq_tokens)
    added = tokenizer.added_tokens_decoder.items()
    control_tokens = [token.content for token_id, token in added if token.special or token_id in stop_ids]
    dropped |= {OVER_LONG: [], NO_ANSWER: [], CONTROL_TOKEN: [], JOINED: []}

    def segments() -> Iterator[Segment]:
        for source, messages in chats:
            parts = _parts(messages, answers)
            if not parts:
                dropped[NO_ANSWER].append(source)
            elif any(token in message["content"] for message in messages for token in control_tokens):
                dropped[CONTROL_TOKEN].append(source)
            else:
                for part, turns in parts:
                    try:
                        token_ids, is_target = chat_tokens(source, part, tokenizer, stop_ids, turns)
                    except JoinedError:
                        dropped[JOINED].append(source)
                    else:
                        if _fits(source, len(token_ids), seq_tokens, over_long):
                            yield Segment(source, token_ids, is_target)
                        else:
                            dropped[OVER_LONG].append(source)

    return segments()


def _parts(messages: Sequence[Message], answers: Answers) -> list[tuple[Sequence[Message], list[int]]]:
    """What becomes a segment each: messages, and which of them are learned."""
    turns = [turn for turn, message in enumerate(messages) if turn > 0 and message["role"] == "assistant"]
    if answers == "all":
        return [(messages, turns)] if turns else []
    return [(messages[: turn + 1], [turn]) for turn in (turns if answers == "each" else turns[-1:])]


def _fits(source: str, num_tokens: int, seq_tokens: int, over_long: OverLong) -> bool:
    if num_tokens > seq_tokens and over_long == "refuse":
        raise TrainingError(
            f"chat {source} is {num_tokens} tokens long, and seq_tokens is {seq_tokens}; give the stage a larger "
            "seq_tokens, keep such chats out of its mix, or have them left out and counted: over_long: drop"
        )
    return num_tokens <= seq_tokens


def chat_tokens(
    source: str,
    messages: Sequence[Message],
    tokenizer: PreTrainedTokenizerBase,
    stop_ids: frozenset[int],
    turns: Sequence[int],
) -> tuple[list[int], list[bool]]:
    """Token ids of a chat, and which of them are learned: the assistant's `turns`, closing token included.

    A turn's first learned token comes right after what the model is given when it is to answer, and its last is the
    first at which generation stops, so that training and inference cannot disagree.

    Raises:
        JoinedError: an answer's first characters share a token with what the model is given.
        TrainingError: what the model is given to answer is not how the whole chat begins, or a turn does not close.
    """
    whole = render_chat(source, messages, tokenizer)
    is_target = [False] * len(whole)
    for turn in turns:
        given = render_chat(source, messages[:turn], tokenizer, prompt=True)
        if whole[: len(given)] != given and chat_text(source, messages, tokenizer).startswith(
            chat_text(source, messages[:turn], tokenizer, prompt=True)
        ):
            raise JoinedError(
                f"in chat {source} the assistant's turn {turn} is {JOINED}; let the template trim answers"
            )
        _check_beginning(source, turn, len(messages), whole, given)
        answered = whole if turn + 1 == len(messages) else render_chat(source, messages[: turn + 1], tokenizer)
        start = len(given)
        stop = next((place + 1 for place in range(start, len(answered)) if answered[place] in stop_ids), None)
        if stop is None:
            raise TrainingError(
                f"in chat {source} the assistant's turn {turn} does not close with a token that stops generation "
                f"(ids {sorted(stop_ids)}), so the model would never learn to stop; close the turn with the eos token "
                "in the chat template, or name its closing token in the model's generation_config.json (eos_token_id)"
            )
        _check_beginning(source, turn, len(messages), whole, answered[:stop])
        is_target[start:stop] = [True] * (stop - start)
    return whole, is_target


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, num_embeddings: int, tag: str = "") -> None:
    """Check that no token of a text, of the chat template or of `tag` lies beyond a model's embeddings.

    Special tokens that none of them has do not count: the tokenizer of gemma-3-1b has one more, for images, than the
    model has embeddings.

    Raises:
        TrainingError: one does.
    """
    special = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    special -= {tokenizer.bos_token_id, tokenizer.eos_token_id}
    written = f"{tokenizer.chat_template or ''}{tag}"
    beyond = {
        token_id: token
        for token, token_id in tokenizer.get_vocab().items()
        if token_id >= num_embeddings and (token_id not in special or token in written)
    }
    if beyond:
        highest = max(beyond)
        raise TrainingError(
            f"the tokenizer of {tokenizer.name_or_path} gives ids up to {highest} ({beyond[highest]!r}), and the model "
            f"has {num_embeddings} embeddings; take the tokenizer that the model came with, or resize the embeddings "
            f"in a copy of its folder to at least {highest + 1}"
        )


def _check_beginning(source: str, turn: int, num_turns: int, whole: list[int], beginning: list[int]) -> None:
    if whole[: len(beginning)] == beginning:
        return
    differs = next(
        (place for place, (one, other) in enumerate(zip(whole, beginning, strict=False)) if one != other), len(whole)
    )
    each = (
        "learn each answer after what the model is given for it (answers: each), or only the last (answers: last), or "
    )
    raise TrainingError(
        f"the chat template does not keep the beginning of a chat as it was: in chat {source} what there is up to the "
        f"assistant's turn {turn} differs from the whole chat at token {differs} of {len(whole)} (templates do so that "
        f"drop earlier thoughts, or open a thought that the answer has not); {each if turn + 1 < num_turns else ''}"
        "set an option of the template in train.template_options, such as enable_thinking: false, or name a template "
        "that only ever appends in train.chat_template"
    )


def _check_seq_tokens(seq_tokens: int) -> None:
    if seq_tokens < MIN_SEQ_TOKENS:
        raise TrainingError(f"seq_tokens is {seq_tokens}; give the stage at least {MIN_SEQ_TOKENS}")
