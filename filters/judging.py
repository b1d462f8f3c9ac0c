"""Scores and verdicts: what is missing is made, a block of rows at a time, each block one part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import pyarrow as pa

from corpus.stage import Done, Progress, Rows, run_each
from corpus.store import Store, WritingStore
from corpus.store.schema import TABLES
from filters.base import KINDS, Filter, Kind, Row, Score, Verdict
from filters.rows import in_blocks, read_rows

NOT_APPLICABLE = Verdict("keep", "not applicable")
"""A filter for documents says nothing against a chat, and the other way round."""


def score_missing(store: WritingStore, filters: Sequence[Filter], progress: Progress) -> int:
    """Score every row that a filter has not scored with its present hash; each text is read once for all filters.

    Returns the number of rows that lacked a score.
    """
    by_hash = {scoring.scorer_hash: scoring for scoring in filters}
    num_rows = 0
    for kind, lacking in missing(store, "scores", list(by_hash)).items():
        scorers = {
            row_id: [by_hash[made_by] for made_by in hashes if kind in by_hash[made_by].applies_to]
            for row_id, hashes in lacking.items()
        }
        ids = [row_id for row_id, wanted in scorers.items() if wanted]
        if ids:
            run_each(
                f"score {kind}", in_blocks(ids), _scorer(store, kind, scorers), _part_writer(store), progress=progress
            )
        num_rows += len(ids)
    return num_rows


def judge_missing(store: WritingStore, filters: Sequence[Filter], progress: Progress) -> None:
    """Judge every row that has no verdict under a filter's present hash, from its scores alone."""
    by_hash = {judging.filter_hash: judging for judging in filters}
    for kind, lacking in missing(store, "verdicts", list(by_hash)).items():
        judges = {row_id: [by_hash[made_by] for made_by in hashes] for row_id, hashes in lacking.items()}
        if judges:
            run_each(
                f"judge {kind}", in_blocks(list(judges)), _judge(store, kind, judges), _part_writer(store),
                progress=progress,
            )  # fmt: skip


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


def _scorer(store: Store, kind: Kind, scorers: Mapping[str, Sequence[Filter]]) -> Callable[[Sequence[str]], Done]:
    def score(ids: Sequence[str]) -> Done:
        by_filter: dict[Filter, list[Row]] = {}
        for row in read_rows(store, kind, ids):
            for scoring in scorers[row.id]:
                by_filter.setdefault(scoring, []).append(row)
        made = [
            _score_row(row.id, scoring, one)
            for scoring, rows in by_filter.items()
            for row, scores in zip(rows, scoring.score(rows), strict=True)
            for one in scores
        ]
        return Done({"scores": made})

    return score


def _judge(store: Store, kind: Kind, judges: Mapping[str, Sequence[Filter]]) -> Callable[[Sequence[str]], Done]:
    def judge(ids: Sequence[str]) -> Done:
        scored = {judging.scorer_hash for row_id in ids for judging in judges[row_id]}
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
        made = [
            _verdict_row(
                row_id,
                judging,
                judging.judge(scores[row_id, judging.scorer_hash]) if kind in judging.applies_to else NOT_APPLICABLE,
            )
            for row_id in ids
            for judging in judges[row_id]
        ]
        return Done({"verdicts": made})

    return judge


def _part_writer(store: WritingStore) -> Callable[[Rows], None]:
    writer = store.writer("filters")

    def write(rows: Rows) -> None:
        for table, made in rows.items():
            writer.add_part(table, pa.Table.from_pylist([dict(row) for row in made], schema=TABLES[table].schema))

    return write


def _score_row(row_id: str, scoring: Filter, score: Score) -> dict[str, object]:
    return {
        "doc_id": row_id,
        "scorer": scoring.name,
        "name": score.name,
        "value": score.value,
        "label": score.label,
        "evidence": score.evidence,
        "scorer_hash": scoring.scorer_hash,
    }


def _verdict_row(row_id: str, judging: Filter, verdict: Verdict) -> dict[str, object]:
    return {
        "doc_id": row_id,
        "filter": judging.name,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "filter_hash": judging.filter_hash,
    }
