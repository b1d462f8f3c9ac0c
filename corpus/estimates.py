"""How many tokens an engine would write: by target lengths, corrected by what this run's own calls came to."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from corpus.compose import EXTRA_TOKENS
from corpus.ideas import LENGTHS
from corpus.plans import Plan
from corpus.store import Store

TOKENS_PER_WORD = 1.35
"""English prose under a byte-pair vocabulary of 50,000 entries: used until the run has measured its own yield."""
USED_FRACTION = 0.5
"""Share of a limit (of a question, an answer, a plan, an outline's reply) that is used, until it is measured (ours)."""
MIN_MEASURED = 5
"""Calls of a purpose from which its measured mean is used."""

Sampling = Mapping[str, object]


@dataclass(frozen=True)
class Measured:
    """What this run's calls came to, attempts that failed among them."""

    factors: Mapping[tuple[str, str], float]
    """Tokens written by tokens expected, by kind of brief and purpose."""
    outline_tokens: Mapping[str, float]
    """Mean tokens of one of the outline's calls, by purpose."""


def measure(store: Store | None) -> Measured:
    """Compare the calls of a run with what its briefs let expect; nothing is known without a run."""
    if store is None:
        return Measured({}, {})
    rows = store.rows(
        "SELECT kind, purpose, sampling, sum(completion_tokens) AS tokens, count(*) AS num_calls, "
        "count(DISTINCT item_id) AS num_items FROM calls "
        "LEFT JOIN (SELECT DISTINCT brief_id, kind, sampling FROM all_briefs) ON brief_id = item_id "
        "WHERE room = 'corpus' AND outcome NOT IN ('timeout', 'error') AND completion_tokens IS NOT NULL GROUP BY ALL"
    )
    written: dict[tuple[str, str], float] = defaultdict(float)
    hoped: dict[tuple[str, str], float] = defaultdict(float)
    num_calls: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        kind, purpose, num_items = str(row["kind"]), str(row["purpose"]), cast("int", row["num_items"])
        # Of the outline's calls, which belong to no brief, one token each is expected: their factor is the mean.
        each = 1.0 if row["kind"] is None else expected(kind, json.loads(str(row["sampling"]))).get(purpose, 0.0)
        written[kind, purpose] += float(str(row["tokens"]))
        hoped[kind, purpose] += num_items * each
        num_calls[kind, purpose] += cast("int", row["num_calls"])
    found = {key: written[key] / hoped[key] for key in written if hoped[key] and num_calls[key] >= MIN_MEASURED}
    return Measured(
        {key: factor for key, factor in found.items() if key[0] != "None"},
        {purpose: tokens for (kind, purpose), tokens in found.items() if kind == "None"},
    )


def expected(kind: str, sampling: Sampling) -> dict[str, float]:
    """Tokens of each call that a brief's text takes, by purpose, from its own lengths and limits alone."""
    limit = float(str(sampling["max_tokens"]))
    if kind != "document":
        reasoning = float(str(sampling.get("reasoning_max_tokens", 0)))
        return {"question": USED_FRACTION * limit, "answer": USED_FRACTION * (limit + reasoning)}
    text = min(float(str(sampling["target_words"])) * TOKENS_PER_WORD, limit)
    calls = {"document": text + (USED_FRACTION * EXTRA_TOKENS if sampling.get("plan") else 0)}
    if sampling.get("rewrite"):
        calls["rewrite"] = text + USED_FRACTION * EXTRA_TOKENS
    return calls


def estimate(wanted: Iterable[tuple[str, str, float]], measured: Measured) -> dict[str, float]:
    """Tokens by kind of brief, of (kind, purpose, tokens expected) for each call."""
    tokens: dict[str, float] = defaultdict(float)
    for kind, purpose, each in wanted:
        tokens[kind] += each * measured.factors.get((kind, purpose), 1.0)
    return tokens


def unknown_calls(plan: Plan) -> Iterable[tuple[str, str, float]]:
    """The calls for briefs that an outline has yet to give: documents of the mean length of the genres asked for."""
    settings = plan.recipe.generate
    weights = settings.genres or dict.fromkeys(plan.cards, 1.0)
    whole = sum(weights[name] for name in plan.cards)
    mean_words = sum(weights[name] * card.target_words for name, card in plan.cards.items()) / whole
    document = {
        "max_tokens": settings.max_tokens,
        "target_words": mean_words * settings.length_scale * sum(LENGTHS) / len(LENGTHS),
        "plan": settings.plan,
        "rewrite": settings.rewrite,
    }
    chat = {"max_tokens": settings.chat_max_tokens}
    if settings.reasoning:
        chat["reasoning_max_tokens"] = settings.reasoning_max_tokens
    num_chats = settings.chats if plan.open_steps else 0
    for kind, sampling, count in (("document", document, plan.num_unknown), ("chat", chat, num_chats)):
        yield from ((kind, purpose, count * tokens) for purpose, tokens in expected(kind, sampling).items())


def outline_tokens(plan: Plan, measured: Measured) -> float:
    """Tokens of the outline's calls that are known to be missing, and of those for ideas that documents wait for."""
    settings = plan.recipe.generate
    num_ideas = -(-plan.num_unknown // (settings.ideas_per_call * settings.variants))
    purposes = [*(step.purpose for step in plan.open_steps), *["ideas"] * num_ideas]
    guess = USED_FRACTION * settings.outline_max_tokens
    return sum(measured.outline_tokens.get(purpose, guess) for purpose in purposes)
