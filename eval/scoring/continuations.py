"""Log-probability of given continuations and of whole texts, the way lm-evaluation-harness 0.4 defines both.

Nothing here adds special tokens to what it is given: a chat prompt carries its own (`eval.scoring.chat`), and a text is
read behind one BOS, or EOS where the tokenizer has no BOS, so that its first token is scored too and no BOS comes
twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from corpus.errors import SetupError
from eval.scoring.trie import TokenSequence, log_probs

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

UNKNOWN_CONTEXT_TOKENS = 2048
"""Context of a model whose config names none (tokens); lm-evaluation-harness takes the same."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One continuation behind one context."""

    sum_logprob: float | None
    """Natural logarithm of the continuation's probability (nats). None where there is none: no token of its own is
    left after merging with the context, it is longer than the model's context, or the model gave no number."""
    num_tokens: int
    """Scored tokens, those of moved white space included."""
    num_bytes: int
    """UTF-8 bytes of the continuation as it was given."""
    num_unseen_tokens: int = 0
    """Tokens at the beginning of what stands before it that did not fit into the model's context."""

    @property
    def whole_logprob(self) -> float | None:
        """`sum_logprob` where the model saw all that stands before, else None: half a question is another one."""
        return None if self.num_unseen_tokens else self.sum_logprob


@dataclass(frozen=True, slots=True)
class Bits:
    """What one text costs a model."""

    bits: float | None
    """Minus log2 of the text's probability; None if the model gave no number."""
    num_bytes: int
    """UTF-8 bytes of the text."""
    num_tokens: int
    """Scored tokens: each of the text's, once."""


def score_continuations(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[str | Sequence[int], str]],
    max_batch_tokens: int,
) -> list[Scored]:
    """Log-probability of each continuation given its context, in the caller's order.

    White space at a context's end is counted with the continuation, and both are encoded as one text which is cut at
    the length of the context's own encoding, so that tokens fall as they do in training. A context of token ids
    stays as it is. An empty context is one BOS (or EOS). Contexts too long for the model lose their beginning, and
    how much of it is told.

    Args:
        model: a causal language model in eval mode.
        tokenizer: its tokenizer.
        pairs: context (text or token ids) and continuation.
        max_batch_tokens: tokens of one forward pass.
    """
    window = context_tokens(model)
    encoded = _encode_pairs(tokenizer, pairs)
    sequences: list[TokenSequence | None] = []
    for given, scored in encoded:
        whole = (*given, *scored)[-(window + 1) :]
        can_be_scored = 0 < len(scored) <= window
        sequences.append(TokenSequence(whole, len(whole) - len(scored)) if can_be_scored else None)
    answers = iter(log_probs(model, [sequence for sequence in sequences if sequence], max_batch_tokens))
    results = []
    for sequence, (given, scored), (_, continuation) in zip(sequences, encoded, pairs, strict=True):
        nats = next(answers) if sequence else math.nan
        unseen = max(0, len(given) + len(scored) - (window + 1))
        results.append(Scored(nats if math.isfinite(nats) else None, len(scored), len(continuation.encode()), unseen))
    return results


def text_bits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    max_batch_tokens: int,
    max_window_tokens: int | None = None,
) -> list[Bits]:
    """Bits of each text, each of its tokens scored once.

    The first token is read behind one BOS (or EOS). A text longer than the model's context, or than
    `max_window_tokens`, is read in windows: each scores the tokens that follow the window before, behind that
    window's last token, and the last window reaches back as far as it can. What looks like a special token is read as
    the characters it is, as training reads it.
    """
    window = min(context_tokens(model), max_window_tokens or context_tokens(model))
    prefix = _prefix_token(tokenizer)
    encoded = _encode(tokenizer, texts, reads_special=False)
    windows = [list(_windows(token_ids, prefix, window)) for token_ids in encoded]
    answers = iter(log_probs(model, [one for of_text in windows for one in of_text], max_batch_tokens))
    results = []
    for text, token_ids, of_text in zip(texts, encoded, windows, strict=True):
        bits = math.fsum(-next(answers) for _ in of_text) / math.log(2)
        results.append(Bits(bits if math.isfinite(bits) else None, len(text.encode()), len(token_ids)))
    return results


def context_tokens(model: PreTrainedModel) -> int:
    """How many tokens the model reads at once, by its config."""
    return int(getattr(model.config.get_text_config(), "max_position_embeddings", None) or UNKNOWN_CONTEXT_TOKENS)


def _windows(token_ids: Sequence[int], prefix: int, window: int) -> Iterator[TokenSequence]:
    whole = (prefix, *token_ids)
    for first in range(0, len(token_ids), window):
        last = min(first + window, len(token_ids))
        begin = 0 if first == 0 else last - window
        yield TokenSequence(whole[begin : last + 1], first + 1 - begin)


def _encode_pairs(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str | Sequence[int], str]]
) -> list[tuple[Sequence[int], Sequence[int]]]:
    """Given and scored token ids of each pair."""
    prefix = [_prefix_token(tokenizer)]
    texts: list[str] = []
    for context, continuation in pairs:
        stem = context.rstrip() if isinstance(context, str) else ""
        moved = context[len(stem) :] if isinstance(context, str) else ""
        texts.extend((stem, stem + moved + continuation))
    distinct = list(dict.fromkeys(texts))
    ids = dict(zip(distinct, _encode(tokenizer, distinct, reads_special=True), strict=True))
    result: list[tuple[Sequence[int], Sequence[int]]] = []
    for (context, _), stem, whole in zip(pairs, texts[::2], texts[1::2], strict=True):
        given: Sequence[int] = ids[stem] if isinstance(context, str) else context
        result.append((given or prefix, ids[whole][len(ids[stem]) :]))
    return result


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, reads_special: bool) -> list[list[int]]:
    """Token ids; `reads_special` for text that a template wrote, where special tokens are meant."""
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=not reads_special, verbose=False)
    return cast("list[list[int]]", encoded["input_ids"])


def _prefix_token(tokenizer: PreTrainedTokenizerBase) -> int:
    token = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if not isinstance(token, int):
        raise SetupError(
            f"the tokenizer of {tokenizer.name_or_path} has neither a BOS nor an EOS token, so the first token of a "
            f"text cannot be scored; give it one of them"
        )
    return token
