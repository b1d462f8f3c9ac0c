"""Asking for one text: judging each reply, trying again a bounded number of times, and a row for every call."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from corpus.engine.protocol import CallFailed, Engine, Outcome, Reply, Request
from corpus.foreign import has_half_character, without_half_characters
from corpus.store.identity import content_id, draw

_MAX_REFUSAL_WORDS = 120
"""A longer text that opens like a refusal is a document with one in it."""
_LOOP_WORDS = 8
_MAX_REPEATED_FRACTION = 0.4
"""Share of 8-word sequences that stood in the text before. Over 2,943 pieces (120 to 800 words) of technical prose
and package descriptions the largest was 0.36; loops that fill half of a 300-word text were all found."""
_MIN_COMPRESSED_CHARS = 200
"""Shorter texts compress badly whatever they say (zlib's own overhead)."""
_MAX_COMPRESSION = 6.0
"""UTF-8 bytes per byte after zlib, which also sees loops without words. The same pieces: 99 % below 4.8, and only
three above 6, of which one looked at was a table of benchmark output."""

_UNABLE = r"(?:can'?t|cannot|can not|won't|will not|(?: am|'m| are|'re) (?:unable|not able) to)(?: be able to)?"
_SORRY = (
    r"(?:(?:(?:i'm|i am|we're|we are) )?(?:very |so |really |truly )?sorry|(?:my )?apologies|i apologi[sz]e"
    r"|unfortunately|as an? (?:ai|artificial intelligence|language model|assistant)[\w ]*)"
)
_HELP = (
    r"(?:help (?:you|with)|help\W*$|assist|comply|fulfil|provide (?:that|this|any|you|assistance|information|content))"
)
_DO = (
    r"(?:help|assist|comply|fulfil|provide|write|create|generate|produce|complete|continue|engage|answer|respond"
    r"|discuss|share|support|do (?:that|this))"
)
_REFUSAL = re.compile(rf"(?:{_SORRY}\W+(?:but |however\W+)?(?:i|we) ?{_UNABLE} {_DO}|(?:i|we) ?{_UNABLE} {_HELP})")
_THOUGHT = re.compile(
    r"(?P<open><(?:seed:)?(?:think|thinking|thoughts?|reasoning)(?:\s[^<>]*)?>|\[THINK\]|\u25c1think\u25b7"
    r"|<\|begin_of_thought\|>|<\|channel\|>\s*analysis\b)"
    r"|</(?:seed:)?(?:think|thinking|thoughts?|reasoning)\s*>|\[/THINK\]|\u25c1/think\u25b7|<\|end_of_thought\|>"
    r"|<\|channel\|>\s*final\b",
    re.IGNORECASE,
)
"""Marks of reasoning: DeepSeek's, Qwen's and most others', Seed's, Mistral's, Kimi's, Open Thoughts', gpt-oss's."""
_ENDS = re.compile(r"[.!?\u2026\"'\u201d\u2019\u00bb)\]][*_]*\Z")
"""How a sentence ends. A stop string ends a reply wherever it comes, after a lead-in or a greeting too."""
_WHOLE = {"stop", "eos", "eos_token", "stop_sequence", "unknown"}
"""Finish reasons of a reply that came to its own end: OpenAI's and vLLM's, Together's `eos`, and the next two of Text
Generation Inference. `unknown` is ours, for an engine that does not say."""
_FAILED = {"abort", "error"}
"""Finish reasons with which vLLM and gateways say that they broke off themselves."""
_SEED_BITS = 31
"""Every server takes seeds of 31 bits; some refuse longer ones."""


@dataclass(frozen=True)
class Asked:
    """What asking gave."""

    text: str | None
    """The reply without the white space around it; None unless its outcome is ok."""
    outcome: Outcome
    """The last call's."""
    calls: list[dict[str, object]]
    """One row of the calls table per call, in order."""


def outcome_of(reply: Reply, request: Request, *, may_decline: bool = False, may_reason: bool = False) -> Outcome:
    """Judge a reply by its form: refusal, error, empty, unparsable, degenerate, truncated, or ok.

    `error` is a reply that the engine broke off, `unparsable` one that holds half a character or, without
    `may_reason`, reasoning (see `stray_reasoning`). A loop that ran into the limit is degenerate, not truncated: more
    tokens would not mend it. Any end but the model's own is truncated. Replies under a schema are only looked at for
    being complete. With `may_decline` (an assistant's answer, of which declining is one) only the server's own
    `content_filter` is a refusal.
    """
    text = reply.text.strip()
    if reply.finish_reason == "content_filter":
        return "refusal"
    if reply.finish_reason in _FAILED:
        return "error"
    if text == request.opening.strip():
        return "empty"
    if has_half_character(text):
        return "unparsable"
    said: Outcome = "ok"
    if request.schema is None:
        said = outcome_of_text(text, opening=request.opening, may_decline=may_decline, may_reason=may_reason)
    if reply.finish_reason == "repetition" or said == "degenerate":
        return "degenerate"
    if reply.finish_reason not in _WHOLE or (request.stop and not _ENDS.search(text)):
        return "truncated"
    return said


def outcome_of_text(
    text: str, *, opening: str = "", may_decline: bool = False, may_reason: bool = False
) -> Literal["ok", "degenerate", "unparsable", "refusal"]:
    """Judge words by themselves: a whole reply, or the part of one that becomes a row. See `outcome_of`."""
    if is_degenerate(text):
        return "degenerate"
    if not may_reason and stray_reasoning(text, opening):
        return "unparsable"
    return "refusal" if not may_decline and opens_as_refusal(text) else "ok"


def stray_reasoning(text: str, opening: str = "") -> str | None:
    """The mark by which a text holds reasoning: it begins with it, behind its `opening`, or it has no other half.

    A whole block in front is no less a fault than one that was cut off. It was not asked for, it was paid for, and a
    text from which it was taken without a word would hide both: so no part of such a reply is used, and the call says
    how to turn reasoning off. A pair of tags further on is a text about reasoning.
    """
    said = text.strip().removeprefix(opening.strip()).lstrip()
    opened: str | None = None
    for mark in _THOUGHT.finditer(said):
        is_opening = mark["open"] is not None
        if mark.start() == 0 or (not is_opening and opened is None):
            return mark.group()
        opened = (opened or mark.group()) if is_opening else None
    return opened


def opens_as_refusal(text: str) -> bool:
    """Whether a short text begins by declining to do what was asked, in the first person and unquoted."""
    opening = text.lstrip("*_# ").lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return len(text.split()) <= _MAX_REFUSAL_WORDS and _REFUSAL.match(opening) is not None


def is_degenerate(text: str) -> bool:
    """Whether a text loops: much of it was said before word for word, or it compresses as no prose does."""
    return repeated_fraction(text) > _MAX_REPEATED_FRACTION or compression(text) > _MAX_COMPRESSION


def repeated_fraction(text: str) -> float:
    """Share of the 8-word sequences that occurred earlier in the text (fraction; 0 for a text of fewer words)."""
    words = text.lower().split()
    num_sequences = len(words) - _LOOP_WORDS + 1
    sequences = set(zip(*(words[start:] for start in range(_LOOP_WORDS)), strict=False))
    return 1 - len(sequences) / num_sequences if num_sequences > 0 else 0.0


def compression(text: str) -> float:
    """UTF-8 bytes per byte after zlib (ratio; 1 for short texts)."""
    if len(text) < _MIN_COMPRESSED_CHARS:
        return 1.0
    data = text.encode()
    return len(data) / len(zlib.compress(data))


async def ask(
    engine: Engine,
    request: Request,
    *,
    room: str,
    purpose: str,
    item_id: str,
    max_attempts: int,
    first_attempt: int = 0,
    accept: Callable[[str], str | None] | None = None,
    texts_in: Callable[[str], Sequence[str]] | None = None,
    may_decline: bool = False,
) -> Asked:
    """Ask for one text until a reply is ok, at most `max_attempts` times.

    Args:
        engine: who is asked.
        request: what is asked; its seed becomes another one for every attempt.
        room: the room that asks, for the calls table.
        purpose: what the text is for, such as `document`.
        item_id: the brief or item that the text is for.
        max_attempts: replies to ask for now (replies).
        first_attempt: replies that earlier runs had for this item and purpose: attempts count on from there.
        accept: says what is wrong with a text, or None; what it names becomes the outcome `unparsable`.
        texts_in: the texts that rows are made of, out of a reply in a form that `accept` has found right. Each is
            judged as a whole reply is: a refusal between two tags is one.
        may_decline: see `outcome_of`.

    A failure to get any whole reply is the outcome `timeout` or `error`: a row, and no attempt, so that the same
    request is asked again by a later run.

    Raises:
        EngineError: the engine can do nothing more.
    """
    assert max_attempts > 0, (purpose, item_id, max_attempts)
    calls: list[dict[str, object]] = []
    outcome: Outcome = "error"
    for attempt in range(first_attempt, first_attempt + max_attempts):
        began = time.monotonic()
        reply, problem = None, None
        try:
            reply = await engine.complete(_seeded(request, attempt))
        except CallFailed as failure:
            outcome, problem = failure.outcome, str(failure)
        else:
            outcome = outcome_of(reply, request, may_decline=may_decline, may_reason=texts_in is not None)
            texts = [reply.text]
            if outcome == "ok" and accept is not None and (problem := accept(reply.text)) is not None:
                outcome = "unparsable"
            elif outcome == "ok" and texts_in is not None:
                texts = list(texts_in(reply.text))
                outcomes = [outcome_of_text(text, may_decline=may_decline) for text in texts]
                outcome = next((each for each in outcomes if each != "ok"), "ok")
            if outcome == "unparsable" and problem is None:
                problem = _why_unparsable(texts, request.opening)
        failed = outcome in ("timeout", "error")
        calls.append(
            call_row(
                engine,
                room=room,
                purpose=purpose,
                item_id=item_id,
                attempt=attempt,
                outcome=outcome,
                began=began,
                reply=reply,
                problem=problem,
            )
        )
        if outcome == "ok":
            assert reply is not None
            return Asked(reply.text.strip(), outcome, calls)
        if failed:
            break
    return Asked(None, outcome, calls)


def call_row(
    engine: Engine,
    *,
    room: str,
    purpose: str,
    item_id: str,
    attempt: int,
    outcome: Outcome,
    began: float,
    reply: Reply | None,
    problem: str | None,
) -> dict[str, object]:
    """One row of the calls table, of a call that began at `began` (`time.monotonic`) and ends now."""
    # The same attempt may fail to get a reply in several runs: each failure is a row of its own.
    failed_at = time.time_ns() if outcome in ("timeout", "error") else None
    return {
        "call_id": content_id("call", room, purpose, item_id, attempt, engine.model, failed_at),
        "room": room,
        "purpose": purpose,
        "item_id": item_id,
        "outcome": outcome,
        "finish_reason": without_half_characters(reply.finish_reason) if reply else None,
        "prompt_tokens": reply.prompt_tokens if reply else None,
        "cached_tokens": reply.cached_tokens if reply else None,
        "completion_tokens": reply.completion_tokens if reply else None,
        "seconds": time.monotonic() - began,
        "attempt": attempt,
        "model": engine.model,
        "served_model": without_half_characters(reply.model) if reply and reply.model else None,
        "reply": without_half_characters(reply.text) if reply and outcome != "ok" else None,
        "error": None if problem is None else without_half_characters(problem),
    }


def _why_unparsable(texts: Sequence[str], opening: str) -> str:
    mark = next(filter(None, (stray_reasoning(text, opening) for text in texts)), None)
    if mark is None:
        return "the reply holds half of a surrogate pair"
    return (
        f"the text holds reasoning ({mark}), which was not asked for: have the server keep it apart, turn it off in "
        "engine.template_options ({enable_thinking: false} for Qwen3 and others), or take another model"
    )


def _seeded(request: Request, attempt: int) -> Request:
    if request.seed is None:
        return request
    return replace(request, seed=draw("attempt", request.seed, attempt) >> (64 - _SEED_BITS))
