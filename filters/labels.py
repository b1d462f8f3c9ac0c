"""Labels that a recipe chooses by SQL, asked in the sandbox: a query reads this run and nothing else."""

from __future__ import annotations

from corpus.errors import QueryError, RecipeError
from corpus.inspect.sql import run_sql
from corpus.store import Store


def read_labels(store: Store, key: str, sql: str) -> set[str]:
    """The ids that a query gives, from its first column.

    Raises:
        RecipeError: not one statement that reads, it does not run, or its first column holds no text.
        CorruptFileError: a file of the run does not read back; nothing is learned from half of the labels.
    """
    try:
        answer = run_sql(store.root, sql)
    except QueryError as error:
        raise RecipeError(f"curate.filters: classifier.{key} does not run: {error}; the query: {sql!r:.120}") from None
    if answer.faults:
        raise answer.faults[0]
    ids = answer.table.column(0).to_pylist()
    if not all(isinstance(value, str) for value in ids):
        raise RecipeError(
            f"curate.filters: classifier.{key} gives '{answer.table.schema.names[0]}' of type "
            f"{answer.table.schema.types[0]}; its first column has to be doc_id (or chat_id)"
        )
    return set(ids)
