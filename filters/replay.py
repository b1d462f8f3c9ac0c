"""The verdicts of a whole run as columns, as they are and as other thresholds would make them; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus.errors import DataError, RecipeError
from corpus.recipe import Recipe, Section
from corpus.store import Store
from filters.base import Filter, Kind, Score, TextFilter, Verdict
from filters.judges.judge import NOT_ASKED
from filters.judges.rubric import Rubric
from filters.judging import NOT_REACHED
from filters.registry import FILTERS, filter_of, turns
from filters.rows import KEYS, comes_in

Codes = NDArray[np.int32]
"""A verdict of each row: its place in `Replayed.verdicts`."""
Mask = NDArray[np.bool_]
CodeOf = Callable[[Verdict], int]


@dataclass
class Replayed:
    """The rows of one kind, sorted by id, and their verdicts."""

    kind: Kind
    ids: list[str]
    ids_column: pa.Array
    genres: list[str]
    """Genre or question kind; a row without one has its set's name."""
    num_tokens: NDArray[np.int64]
    verdicts: list[Verdict] = field(default_factory=list)
    """Each different verdict once."""
    now: dict[str, Codes] = field(default_factory=dict)
    """By filter, as the run was curated."""
    then: dict[str, Codes] = field(default_factory=dict)
    """By filter, with the other thresholds."""
    kept_now: Mask = field(default_factory=lambda: np.ones(0, dtype=bool))
    """Rows that every filter keeps."""
    kept_then: Mask = field(default_factory=lambda: np.ones(0, dtype=bool))
    num_to_ask: int = 0
    """Rows that reach the judge only then, and that it was never asked about; here they count as unjudged."""

    def outcomes(self, codes: Codes) -> list[str]:
        """What a person is told of each verdict."""
        names = ["not reached" if one == NOT_REACHED else one.outcome for one in self.verdicts]
        return [names[code] for code in codes.tolist()]


def replay(
    recipe: Recipe, store: Store, kind: Kind, now: Mapping[str, Section], then: Mapping[str, Section]
) -> Replayed:
    """Judge all rows of a kind with the settings `then`, as curation would, from the scores there are.

    Args:
        recipe: The one that the run was curated with.
        store: The run.
        kind: Which rows.
        now: The settings of each filter, by its name.
        then: The same filters with other thresholds.

    Raises:
        RecipeError: a filter that compares the rows with one another would see others.
        DataError: the run is being curated meanwhile.
    """
    subgenre = "genre" if kind == "documents" else "question_kind"
    found = store.query(
        f"SELECT {KEYS[kind]} AS id, coalesce({subgenre}, set) AS genre, coalesce(num_tokens, 0) AS num_tokens "
        f"FROM {kind} WHERE {comes_in(kind)} ORDER BY id"
    )
    rows = Replayed(
        kind,
        found.column(0).to_pylist(),
        found.column(0).combine_chunks(),
        found.column(1).to_pylist(),
        found.column(2).to_numpy().astype(np.int64),
    )
    rows.kept_now = rows.kept_then = np.ones(len(rows.ids), dtype=bool)
    codes: dict[Verdict, int] = {}

    def code_of(verdict: Verdict) -> int:
        if verdict not in codes:
            codes[verdict] = len(codes)
            rows.verdicts.append(verdict)
        return codes[verdict]

    def is_shown() -> Mask:
        """Which rows a judge can be asked about."""
        rubric = Rubric(recipe, store)
        clause_ids = store.query(f"SELECT clause_ids FROM {kind} WHERE {comes_in(kind)} ORDER BY {KEYS[kind]}")
        return np.array([rubric.is_shown(one or []) for one in clause_ids.column(0).to_pylist()], dtype=bool)

    for of_turn in turns(then):
        for name, settings in of_turn.items():
            rows.now[name] = _read_verdicts(store, rows, name, code_of)
            judging = FILTERS[filter_of(settings)].to_judge(settings)
            rows.then[name] = _judge(store, rows, judging, settings != now[name], code_of, is_shown)
        kept = ("keep", "unjudged") if recipe.curate.unjudged == "keep" else ("keep",)
        keeps = np.array([one.outcome in kept for one in rows.verdicts], dtype=bool)
        for name in of_turn:
            rows.kept_now = rows.kept_now & keeps[rows.now[name]]
            rows.kept_then = rows.kept_then & keeps[rows.then[name]]
    return rows


def read_scores(store: Store, kind: Kind, scorer_hash: str, name: str) -> tuple[list[str], NDArray[np.float64]]:
    """The ids that have this score, sorted, and its values; NaN where it has none."""
    found = store.query(
        f"SELECT doc_id, value FROM all_scores WHERE scorer_hash = ? AND name = ? "
        f"AND doc_id IN ({_judged(kind)}) ORDER BY doc_id",
        [scorer_hash, name],
    )
    return found.column(0).to_pylist(), found.column(1).to_numpy(zero_copy_only=False).astype(np.float64)


def _read_verdicts(store: Store, rows: Replayed, name: str, code_of: CodeOf) -> Codes:
    found = store.query(
        f"SELECT doc_id, outcome, reason FROM all_verdicts WHERE filter_hash = ? "
        f"AND doc_id IN ({_judged(rows.kind)}) ORDER BY doc_id",
        [store.current("verdicts").get(name, "")],
    )
    if not found.column(0).combine_chunks().equals(rows.ids_column):
        raise DataError(f"{store.root} is being curated meanwhile; ask again when that is done")
    groups, firsts = _groups(found.select(["outcome", "reason"]))
    codes = [code_of(Verdict(row["outcome"], row["reason"])) for row in found.take(firsts).to_pylist()]
    return np.array(codes, dtype=np.int32)[groups]


def _judged(kind: Kind) -> str:
    """SQL for the ids of the rows that are judged at all."""
    return f"SELECT {KEYS[kind]} FROM {kind} WHERE {comes_in(kind)}"


def _judge(
    store: Store, rows: Replayed, judging: Filter, is_changed: bool, code_of: CodeOf, is_shown: Callable[[], Mask]
) -> Codes:
    now = rows.now[judging.name]
    if rows.kind not in judging.applies_to:
        return now
    then = now.copy()
    if not np.array_equal(rows.kept_now, rows.kept_then):
        if isinstance(judging, TextFilter):
            raise RecipeError(
                f"other {rows.kind} would reach {judging.name}, which compares them with one another: that needs new "
                f"scores; curate with -o instead"
            )
        then[~rows.kept_then] = code_of(NOT_REACHED)
    wanted = rows.kept_then if is_changed else rows.kept_then & ~rows.kept_now
    if not wanted.any():
        return then
    names, found = _read_all_scores(store, rows.kind, store.current("scores").get(judging.name, ""))
    places = pc.index_in(found.column("doc_id"), value_set=rows.ids_column).to_numpy()
    found, places = found.filter(pa.array(wanted[places])), places[wanted[places]]
    groups, firsts = _groups(found.drop_columns(["doc_id"]))
    codes = [code_of(judging.judge(_scores(names, row))) for row in found.take(firsts).to_pylist()]
    then[places] = np.array(codes, dtype=np.int32)[groups]
    missing = wanted.copy()
    missing[places] = False
    if missing.any():
        if isinstance(judging, TextFilter):
            raise DataError(f"{store.root} is being curated meanwhile; ask again when that is done")
        shown = is_shown()
        rows.num_to_ask += int((missing & shown).sum())
        then[missing & shown] = code_of(judging.judge({}))
        then[missing & ~shown] = code_of(judging.judge({NOT_ASKED.name: NOT_ASKED}))
    return then


def _read_all_scores(store: Store, kind: Kind, scorer_hash: str) -> tuple[list[str], pa.Table]:
    """The names of a scorer's scores, and one row per text: `doc_id`, and of score N `vN`, `lN`, `eN`, `pN`.

    They are value, label, evidence and whether it is there. Evidence is left out beside a value: see `Filter.judge`.
    """
    asked = "SELECT DISTINCT name FROM all_scores WHERE scorer_hash = ? ORDER BY name"
    names = [str(row["name"]) for row in store.rows(asked, [scorer_hash])]
    columns = "".join(
        f", max(value) FILTER (WHERE name = $n{at}) AS v{at}, max(label) FILTER (WHERE name = $n{at}) AS l{at}"
        f", max(evidence) FILTER (WHERE name = $n{at} AND value IS NULL) AS e{at}"
        f", count(*) FILTER (WHERE name = $n{at}) > 0 AS p{at}"
        for at in range(len(names))
    )
    found = store.query(
        f"SELECT doc_id{columns} FROM all_scores WHERE scorer_hash = $hash "
        f"AND doc_id IN ({_judged(kind)}) GROUP BY doc_id",
        {"hash": scorer_hash, **{f"n{at}": name for at, name in enumerate(names)}},
    )
    return names, found


def _scores(names: Sequence[str], row: Mapping[str, Any]) -> dict[str, Score]:
    return {
        name: Score(name, row[f"v{at}"], row[f"l{at}"], row[f"e{at}"]) for at, name in enumerate(names) if row[f"p{at}"]
    }


def _groups(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which rows are alike: of each row the number of its group, and of each group its first row.

    Many rows have the same scores: one of them is judged for all.
    """
    groups = np.zeros(len(table), dtype=np.int64)
    for column in table.columns:
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy()
        groups = np.unique(groups * (len(table) + 1) + encoded, return_inverse=True)[1]
    firsts = np.unique(groups, return_index=True)[1]
    return groups, firsts
