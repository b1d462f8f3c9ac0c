"""Scores and verdicts: what is missing is made, a block of rows at a time, each block one part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import cast

import pyarrow as pa

from corpus.stage import Done, Progress, Rows, run_each
from corpus.store import Store, WritingStore
from corpus.store.schema import TABLES
from filters.base import KINDS, Filter, Kind, Row, Score, TextFilter, Verdict
from filters.gate import Gate
from filters.rows import in_blocks, read_rows

NOT_APPLICABLE = Verdict("keep", "not applicable")
"""A filter for documents says nothing against a chat, and the other way round."""
NOT_REACHED = Verdict("keep", "not reached")
"""A filter before has dropped the row already, or it was written anew: this one adds nothing."""


def score_missing(store: WritingStore, filters: Sequence[TextFilter], gate: Gate, progress: Progress) -> set[str]:
    """Score every row that a filter has not scored with its present hash; each text is read once for all filters.

    Returns the ids of the rows that lacked a score.
    """
    by_hash = {scoring.scorer_hash: scoring for scoring in filters}
    scored: set[str] = set()
    for kind, lacking in missing(store, "scores", list(by_hash)).items():
        reached = set(gate.ids(store, kind)) if lacking else set()
        scorers = {
            row_id: [by_hash[made_by] for made_by in hashes if kind in by_hash[made_by].applies_to]
            for row_id, hashes in lacking.items()
            if row_id in reached
        }
        ids = [row_id for row_id, wanted in scorers.items() if wanted]
        if ids:
            run_each(
                f"score {kind}", in_blocks(ids), _scorer(store, kind, scorers), part_writer(store), progress=progress
            )
        scored |= set(ids)
    return scored


def judge_missing(store: WritingStore, filters: Sequence[Filter], gate: Gate, progress: Progress) -> None:
    """Judge every row that has no verdict under a filter's present hash, from its scores alone."""
    by_hash = {judging.filter_hash: judging for judging in filters}
    for kind, lacking in missing(store, "verdicts", list(by_hash)).items():
        if lacking:
            judge = _judge(store, kind, by_hash, lacking, set(gate.ids(store, kind)))
            run_each(f"judge {kind}", in_blocks(list(lacking)), judge, part_writer(store), progress=progress)


def missing(store: Store, table: str, hashes: Sequence[str]) -> dict[Kind, dict[str, list[str]]]:
    """Which of the hashes have no row in `table` (scores or verdicts) yet, by kind and id, sorted by id."""
    column = {"scores": "scorer_hash", "verdicts": "filter_hash"}[table]
    found = store.query(
        f"""
        WITH found AS (
            SELECT 'documents' AS kind, doc_id AS id FROM documents UNION ALL SELECT 'chats', chat_id FROM chats
        )
        SELECT kind, id, made_by FROM found CROSS JOIN (SELECT unnest($hashes) AS made_by)
        WHERE NOT EXISTS (SELECT 1 FROM all_{table} AS made WHERE made.doc_id = id AND made.{column} = made_by)
        ORDER BY id, made_by
        """,
        {"hashes": list(hashes)},
    )
    lacking: dict[Kind, dict[str, list[str]]] = {kind: {} for kind in KINDS}
    for kind, row_id, made_by in zip(*(column.to_pylist() for column in found.columns), strict=True):
        lacking[kind].setdefault(row_id, []).append(made_by)
    return lacking


def _scorer(store: Store, kind: Kind, scorers: Mapping[str, Sequence[TextFilter]]) -> Callable[[Sequence[str]], Done]:
    def score(ids: Sequence[str]) -> Done:
        by_filter: dict[TextFilter, list[Row]] = {}
        for row in read_rows(store, kind, ids):
            for scoring in scorers[row.id]:
                by_filter.setdefault(scoring, []).append(row)
        made = [
            score_row(row.id, scoring.name, scoring.scorer_hash, one)
            for scoring, rows in by_filter.items()
            for row, scores in zip(rows, scoring.score(rows), strict=True)
            for one in scores
        ]
        return Done({"scores": made})

    return score


def _judge(
    store: Store, kind: Kind, by_hash: Mapping[str, Filter], lacking: Mapping[str, Sequence[str]], reached: Set[str]
) -> Callable[[Sequence[str]], Done]:
    def verdict(row_id: str, judging: Filter, scores: Mapping[str, Score]) -> Verdict:
        if kind not in judging.applies_to:
            return NOT_APPLICABLE
        return judging.judge(scores) if row_id in reached else NOT_REACHED

    def judge(ids: Sequence[str]) -> Done:
        scored = {judging.scorer_hash for judging in by_hash.values()}
        scores: dict[tuple[str, str], dict[str, Score]] = {}
        for row in store.rows(
            "SELECT doc_id, scorer_hash, name, value, label, evidence FROM all_scores "
            "WHERE scorer_hash IN (SELECT unnest($hashes)) AND doc_id IN (SELECT unnest($ids))",
            {"hashes": sorted(scored), "ids": list(ids)},
        ):
            name, value = str(row["name"]), cast("float | None", row["value"])
            label, evidence = cast("str | None", row["label"]), cast("str | None", row["evidence"])
            of_row = scores.setdefault((str(row["doc_id"]), str(row["scorer_hash"])), {})
            of_row[name] = Score(name, value, label, evidence)
        made: list[dict[str, object]] = []
        for row_id in ids:
            for made_by in lacking[row_id]:
                judging = by_hash[made_by]
                found = verdict(row_id, judging, scores.get((row_id, judging.scorer_hash), {}))
                made.append(
                    {
                        "doc_id": row_id,
                        "filter": judging.name,
                        "outcome": found.outcome,
                        "reason": found.reason,
                        "filter_hash": made_by,
                    }
                )
        return Done({"verdicts": made})

    return judge


def part_writer(store: WritingStore) -> Callable[[Rows], None]:
    """Writes many rows that were made at once, each table's as one part."""
    writer = store.writer("filters")

    def write(rows: Rows) -> None:
        for table, made in rows.items():
            writer.add_part(table, pa.Table.from_pylist([dict(row) for row in made], schema=TABLES[table].schema))

    return write


def score_row(row_id: str, scorer: str, scorer_hash: str, score: Score) -> dict[str, object]:
    """A row of the table `scores`."""
    return {
        "doc_id": row_id,
        "scorer": scorer,
        "name": score.name,
        "value": score.value,
        "label": score.label,
        "evidence": score.evidence,
        "scorer_hash": scorer_hash,
    }
