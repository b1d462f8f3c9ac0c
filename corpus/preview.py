"""What generating would do, with estimates that say what they rest on; writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.briefs import Brief, BriefsReport, compare_briefs, written_contexts
from corpus.clauses import SpecReport, describe
from corpus.errors import StoreError
from corpus.generate_report import brief_rows, clause_rows
from corpus.known import Known, load_known
from corpus.mix_names import UnknownName, unknown_names
from corpus.plans import library, make_plan
from corpus.recipe import Recipe
from corpus.run import run_folder
from corpus.store import Store, open_reader

TOKENS_PER_WORD = 1.35
"""English prose under a byte-pair vocabulary of 50,000 entries: used until the run has measured its own yield."""
MIN_MEASURED = 5
"""Calls of a purpose from which its measured mean is used."""


@dataclass(frozen=True)
class Preview:
    """What generating would do."""

    spec: SpecReport
    briefs: BriefsReport
    estimated_tokens: Mapping[str, int]
    """Tokens that the engine would write, by kind of brief."""
    estimated_seconds: float | None
    """None where this run has measured no speed yet."""
    basis: str
    """What the estimates rest on."""
    num_given_up: int = 0
    """Briefs without a text that have no attempt left: `generate --top-up` asks for them again."""
    unknown: Sequence[UnknownName] = ()
    """What mixes name and no row will be of."""

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person."""
        estimates: list[dict[str, object]] = [
            {"for what is not written yet": f"{kind} tokens (estimated)", "value": tokens}
            for kind, tokens in self.estimated_tokens.items()
        ]
        estimates.append({"for what is not written yet": "seconds (estimated)", "value": self.estimated_seconds})
        given_up: dict[str, object] = {"state": "failed, no attempt left", "briefs": self.num_given_up}
        return [
            ("clauses", clause_rows(self.spec)),
            ("briefs", [*brief_rows(self.briefs), given_up]),
            (f"estimated from {self.basis}", estimates),
            ("mixes name what no row will be of, unless it is imported", [one._asdict() for one in self.unknown]),
        ]


def preview(recipe: Recipe) -> Preview:
    """Plan in memory and compare with the run, if there is one."""
    store = _existing(recipe)
    plan = make_plan(recipe, load_known(store) if store else Known(), again="settled")
    spec = describe(plan.clauses, plan.split)
    num_given_up = 0
    if store is None:
        missing = plan.briefs
        compared = BriefsReport(len(missing), 0, 0, 0, 0, plan.num_unknown)
    else:
        written, given_up = written_contexts(store), _given_up(store, recipe.generate.max_attempts)
        without = [brief for brief in plan.briefs if brief.brief_id not in written]
        missing = [brief for brief in without if brief.brief_id not in given_up]
        num_given_up = len(without) - len(missing)
        compared = compare_briefs(store, plan.briefs, plan.num_unknown)
    measured = _measured_tokens(store) if store else {}
    tokens = _estimated_tokens(recipe, missing, measured)
    speed = _measured_speed(store) if store else None
    basis = "this run's own calls" if measured else f"target lengths, {TOKENS_PER_WORD} tokens a word"
    seconds = sum(tokens.values()) / speed if speed else None
    return Preview(spec, compared, tokens, seconds, basis, num_given_up, unknown_names(recipe))


def _existing(recipe: Recipe) -> Store | None:
    try:
        return open_reader(run_folder(recipe))
    except StoreError:
        return None


def _estimated_tokens(recipe: Recipe, missing: Sequence[Brief], measured: Mapping[str, float]) -> dict[str, int]:
    cards = library(recipe)
    tokens = {"document": 0.0, "chat": 0.0}
    for brief in missing:
        if brief.genre is not None:
            by_target = min(
                cards[brief.genre].target_words * recipe.generate.length_scale * TOKENS_PER_WORD,
                recipe.generate.max_tokens,
            )
            tokens["document"] += measured.get("document", by_target)
        else:
            tokens["chat"] += sum(
                measured.get(kind, recipe.generate.chat_max_tokens / 2) for kind in ("question", "answer")
            )
    return {kind: round(count) for kind, count in tokens.items()}


def _given_up(store: Store, max_attempts: int) -> set[str]:
    rows = store.rows(
        "SELECT DISTINCT item_id FROM (SELECT item_id FROM calls WHERE room = 'corpus' "
        "AND outcome NOT IN ('ok', 'timeout', 'error') GROUP BY item_id, purpose HAVING count(*) >= ?)",
        [max_attempts],
    )
    return {str(row["item_id"]) for row in rows}


def _measured_tokens(store: Store) -> dict[str, float]:
    """Mean tokens of one item's calls, retries included, by purpose."""
    rows = store.rows(
        "SELECT purpose, sum(completion_tokens) / count(DISTINCT item_id) AS tokens FROM calls "
        "WHERE room = 'corpus' AND completion_tokens IS NOT NULL GROUP BY purpose HAVING count(*) >= ?",
        [MIN_MEASURED],
    )
    return {str(row["purpose"]): float(str(row["tokens"])) for row in rows}


def _measured_speed(store: Store) -> float | None:
    """Tokens written a second over this run's `generate` invocations, start-up included."""
    rows = store.rows(
        "SELECT (SELECT sum(completion_tokens) FROM calls WHERE room = 'corpus') / sum(seconds) AS speed "
        "FROM invocations WHERE verb = 'generate' AND outcome = 'done' HAVING sum(seconds) > 0"
    )
    speed = rows[0]["speed"] if rows else None
    return None if speed is None else float(str(speed))
