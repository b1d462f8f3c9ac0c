"""Scores and verdicts: what is missing is made, a block of rows at a time, each block one part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

import pyarrow as pa

from corpus.stage import Done, Progress, Rows, run_each
from corpus.store import Store, WritingStore
from corpus.store.schema import TABLES
from filters.base import KINDS, Filter, Kind, Row, Score, TextFilter, Verdict
from filters.gate import Gate
from filters.rows import KEYS, STREAMED_ROWS, comes_in, stream_rows

BLOCK_ROWS = 8_192
"""Rows whose scores, or verdicts, become one part: what a kill costs, and what many parts would cost every query."""
NOT_APPLICABLE = Verdict("keep", "not applicable")
"""A filter for documents says nothing against a chat, and the other way round."""
NOT_REACHED = Verdict("keep", "not reached")
"""A filter before has dropped the row already: this one adds nothing."""


def score_missing(store: WritingStore, filters: Sequence[TextFilter], gate: Gate, progress: Progress) -> set[str]:
    """Score every row that a filter has not scored with its present hash; each text is read once for all filters.

    Returns the ids of the rows that lacked a score.
    """
    scored: set[str] = set()
    for kind in KINDS:
        scorers = [scoring for scoring in filters if kind in scoring.applies_to]
        lacking = Lacking(kind, "scores", tuple(scoring.scorer_hash for scoring in scorers), gate, only_reached=True)
        ids = lacking.ids(store)
        if ids:
            blocks = range(-(-len(ids) // BLOCK_ROWS))
            score = _scorer(stream_rows(store, kind, lacking.sql, lacking.parameters), scorers, len(blocks))
            run_each(f"score {kind}", blocks, score, part_writer(store), progress=progress)
        scored |= ids
    return scored


def judge_missing(store: WritingStore, filters: Sequence[Filter], gate: Gate, progress: Progress) -> None:
    """Judge every row that has no verdict under a filter's present hash, from its scores alone."""
    for kind in KINDS:
        lacking = Lacking(kind, "verdicts", tuple(judging.filter_hash for judging in filters), gate)
        num_rows = len(lacking.ids(store))
        if num_rows:
            blocks = range(-(-num_rows // BLOCK_ROWS))
            judge = _judge(_scored_rows(store, lacking, filters), kind, dict(zip(lacking.hashes, filters, strict=True)))
            run_each(f"judge {kind}", blocks, judge, part_writer(store), progress=progress)


@dataclass(frozen=True)
class Lacking:
    """The rows for which one of some hashes has no row in a table yet."""

    kind: Kind
    table: Literal["scores", "verdicts"]
    hashes: tuple[str, ...]
    gate: Gate
    only_reached: bool = False
    """Whether rows that do not come through the gate are left out."""

    @property
    def sql(self) -> str:
        """A query for `id`, `lacking` (bit N: nothing was made by hash N) and `reached` (it comes through the gate)."""
        column = {"scores": "scorer_hash", "verdicts": "filter_hash"}[self.table]
        key, reached = KEYS[self.kind], self.gate.condition(self.kind)
        return f"""
            WITH made AS (
                SELECT doc_id AS made_id, bit_or(1::BIGINT << (list_position($hashes, {column}) - 1)) AS bits
                FROM all_{self.table} WHERE {column} IN (SELECT unnest($hashes)) GROUP BY doc_id
            )
            SELECT {key} AS id, $all_bits & ~coalesce(bits, 0) AS lacking, {reached} AS reached
            FROM {self.kind} LEFT JOIN made ON made_id = {key}
            WHERE lacking <> 0 AND {comes_in(self.kind)} {"AND reached" if self.only_reached else ""}
        """

    @property
    def parameters(self) -> dict[str, object]:
        """What `sql` names."""
        return {"hashes": list(self.hashes), "all_bits": (1 << len(self.hashes)) - 1, **self.gate.parameters()}

    def ids(self, store: Store) -> set[str]:
        """The ids of these rows."""
        if not self.hashes:
            return set()
        return set(store.query(f"SELECT id FROM ({self.sql})", self.parameters).column("id").to_pylist())


def missing(store: Store, table: Literal["scores", "verdicts"], hashes: Sequence[str]) -> dict[Kind, set[str]]:
    """The ids of the rows for which one of the hashes has no row in `table` yet, by kind."""
    return {kind: Lacking(kind, table, tuple(hashes), Gate("keep")).ids(store) for kind in KINDS}


def _scorer(
    rows: Iterator[list[tuple[Row, int]]], scorers: Sequence[TextFilter], num_blocks: int
) -> Callable[[int], Done]:
    """Scores the rows that come next, a block of them at a time."""

    def score(block: int) -> Done:
        made: list[dict[str, object]] = []
        num_batches = BLOCK_ROWS // STREAMED_ROWS if block < num_blocks - 1 else None
        for batch in islice(rows, num_batches):
            for number, scoring in enumerate(scorers):
                of_filter = [row for row, lacking in batch if lacking >> number & 1]
                made += (
                    score_row(row.id, scoring.name, scoring.scorer_hash, one)
                    for row, scores in zip(of_filter, scoring.score(of_filter), strict=True)
                    for one in scores
                )
        return Done({"scores": made})

    return score


class _Scored(NamedTuple):
    """What is known of one row when it is judged."""

    id: str
    lacking: int
    """Bit N: filter N has not judged it."""
    reached: bool
    scores: dict[str, dict[str, Score]]
    """By scorer and name."""


def _scored_rows(store: Store, lacking: Lacking, filters: Sequence[Filter]) -> Iterator[_Scored]:
    """The rows in the order of their ids, with their scores. DuckDB sorts: one pass, whatever order they lie in."""
    sql = f"""
        SELECT id, lacking, reached, scorer_hash, name, value, label, evidence
        FROM ({lacking.sql}) LEFT JOIN (
            SELECT doc_id, scorer_hash, name, value, label, evidence FROM all_scores
            WHERE scorer_hash IN (SELECT unnest($scorers))
        ) ON doc_id = id
        ORDER BY id
    """
    parameters = {**lacking.parameters, "scorers": [judging.scorer_hash for judging in filters]}
    before = None
    for batch in store.batches(sql, parameters, num_rows=BLOCK_ROWS):
        for row_id, bits, reached, made_by, *score in zip(*(c.to_pylist() for c in batch.columns), strict=True):
            if before is None or before.id != row_id:
                if before is not None:
                    yield before
                before = _Scored(row_id, bits, reached, {})
            if made_by is not None:
                before.scores.setdefault(made_by, {})[score[0]] = Score(*score)
    if before is not None:
        yield before


def _judge(rows: Iterator[_Scored], kind: Kind, filters: Mapping[str, Filter]) -> Callable[[int], Done]:
    """Judges the rows that come next, a block of them at a time."""

    def verdict(row: _Scored, judging: Filter) -> Verdict:
        if kind not in judging.applies_to:
            return NOT_APPLICABLE
        return judging.judge(row.scores.get(judging.scorer_hash, {})) if row.reached else NOT_REACHED

    def judge(_: int) -> Done:
        made: list[dict[str, object]] = []
        for row in islice(rows, BLOCK_ROWS):
            for number, (made_by, judging) in enumerate(filters.items()):
                if row.lacking >> number & 1:
                    found = verdict(row, judging)
                    made.append(
                        {
                            "doc_id": row.id,
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
