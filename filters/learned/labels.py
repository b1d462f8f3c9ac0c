"""Labels that a recipe chooses by SQL, asked in the sandbox: a query reads this run and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.errors import QueryError, RecipeError
from corpus.inspect.sql import run_sql
from corpus.stage import Progress
from corpus.store import Store
from filters.base import Kind
from filters.rows import KEYS


@dataclass(frozen=True)
class Labels:
    """The ids that two queries give, those that both give left out."""

    positives: frozenset[str]
    negatives: frozenset[str]


def read_labels(store: Store, name: str, kind: Kind, positives: str, negatives: str, progress: Progress) -> Labels:
    """What the queries of the classifier `name` label; what labels nothing is noted.

    Raises:
        RecipeError: not one statement that reads, it does not run, or its first column holds no text.
        CorruptFileError: a file of the run does not read back; nothing is learned from half of the labels.
    """
    found = {
        "positives": _ids(store, name, "positives", positives),
        "negatives": _ids(store, name, "negatives", negatives),
    }
    there = {str(one["id"]) for one in store.rows(f"SELECT {KEYS[kind]} AS id FROM {kind}")}
    for key, ids in found.items():
        unknown = ids - there
        if unknown:
            progress.note(
                f"{name}: {len(unknown)} of the {key} are no {kind} of this run, such as {min(unknown)!r:.60}"
            )
    positive, negative = found["positives"] & there, found["negatives"] & there
    both = positive & negative
    if both:
        progress.note(f"{name}: {len(both)} rows are positive and negative at once; they count as neither")
    return Labels(frozenset(positive - both), frozenset(negative - both))


def _ids(store: Store, name: str, key: str, sql: str) -> set[str]:
    """The ids that a query gives, from its first column."""
    where = f"curate.filters: {name}.{key}"
    try:
        answer = run_sql(store.root, sql)
    except QueryError as error:
        raise RecipeError(f"{where} does not run: {error}; the query: {sql!r:.120}") from None
    if answer.faults:
        raise answer.faults[0]
    ids = answer.table.column(0).to_pylist()
    if not all(isinstance(value, str) for value in ids):
        raise RecipeError(
            f"{where} gives '{answer.table.schema.names[0]}' of type {answer.table.schema.types[0]}; "
            f"its first column has to be doc_id (or chat_id)"
        )
    return set(ids)
