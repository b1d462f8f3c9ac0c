"""What generating would do, with estimates that say what they rest on; writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from corpus.briefs import Brief, BriefsReport, compare_briefs, written_contexts
from corpus.clauses import SpecReport, describe
from corpus.documents import missing_rewrites
from corpus.errors import StoreError
from corpus.estimates import TOKENS_PER_WORD, Measured, estimate, expected, measure, outline_tokens, unknown_calls
from corpus.generate_report import brief_rows, clause_rows
from corpus.known import Known, load_known
from corpus.plans import Plan, make_plan
from corpus.recipe import Recipe
from corpus.run import run_folder
from corpus.store import Store, open_reader
from corpus.writing import Effort

Call = tuple[str, str, float]
"""Kind of brief, purpose, tokens expected."""


@dataclass(frozen=True)
class Preview:
    """What generating would do."""

    spec: SpecReport
    briefs: BriefsReport
    estimated_tokens: Mapping[str, int]
    """Tokens that the engine would write, by kind of brief, and for the outline as far as its calls are known."""
    estimated_seconds: float | None
    """None where this run has measured no speed yet."""
    basis: str
    """What the estimates rest on."""
    num_given_up: int = 0
    """Briefs without a text that have no attempt left: `generate --top-up` asks for them again."""

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
    measured = measure(store)
    wanted = [*_wanted(missing), *unknown_calls(plan), *(_wanted_rewrites(recipe, store) if store else ())]
    tokens = _by_kind(recipe, plan, wanted, measured)
    speed = _measured_speed(store) if store else None
    seconds = sum(tokens.values()) / speed if speed else None
    return Preview(spec, compared, tokens, seconds, _basis(wanted, measured), num_given_up)


def _wanted(missing: Sequence[Brief]) -> Iterator[Call]:
    for brief in missing:
        for purpose, tokens in expected(brief.kind, json.loads(brief.sampling)).items():
            yield brief.kind, purpose, tokens


def _wanted_rewrites(recipe: Recipe, store: Store) -> Iterator[Call]:
    """Second versions of documents whose first one is there."""
    for job, _ in missing_rewrites(store, Effort(recipe.generate.max_attempts)):
        yield "document", "rewrite", expected("document", job.sampling)["rewrite"]


def _by_kind(recipe: Recipe, plan: Plan, wanted: Sequence[Call], measured: Measured) -> dict[str, int]:
    tokens = {"document": 0.0, "chat": 0.0}
    if recipe.generate.preferences:
        tokens["preference"] = 0.0
    if plan.outline is not None:
        tokens["outline"] = outline_tokens(plan, measured)
    return {kind: round(count) for kind, count in {**tokens, **estimate(wanted, measured)}.items()}


def _basis(wanted: Sequence[Call], measured: Measured) -> str:
    """What the estimates rest on: purpose by purpose, as one may have been measured and another not."""
    purposes = {(kind, purpose): None for kind, purpose, tokens in wanted if tokens}
    known = [f"{kind} {purpose}" if kind != purpose else kind for kind, purpose in measured.factors]
    guessed = [purpose for kind, purpose in purposes if (kind, purpose) not in measured.factors]
    parts = [f"this run's own calls ({', '.join(sorted(known))})"] if known else []
    if guessed or not known:
        of = f" for {', '.join(dict.fromkeys(guessed))}" if known else ""
        parts.append(f"target lengths, {TOKENS_PER_WORD} tokens a word, and half of the limits{of}")
    return "; ".join(parts)


def _existing(recipe: Recipe) -> Store | None:
    try:
        return open_reader(run_folder(recipe))
    except StoreError:
        return None


def _given_up(store: Store, max_attempts: int) -> set[str]:
    rows = store.rows(
        "SELECT DISTINCT item_id FROM (SELECT item_id FROM calls WHERE room = 'corpus' "
        "AND outcome NOT IN ('ok', 'timeout', 'error') GROUP BY item_id, purpose HAVING count(*) >= ?)",
        [max_attempts],
    )
    return {str(row["item_id"]) for row in rows}


def _measured_speed(store: Store) -> float | None:
    """Tokens written a second over this run's generating, also within `run` and when interrupted, start-up included."""
    rows = store.rows(
        "SELECT (SELECT sum(completion_tokens) FROM calls WHERE room = 'corpus') / sum(seconds) AS speed "
        "FROM invocations WHERE verb = 'generate' HAVING sum(seconds) > 0"
    )
    speed = rows[0]["speed"] if rows else None
    return None if speed is None else float(str(speed))
