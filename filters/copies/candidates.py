"""Which rows may be duplicates: those that every filter keeps, and the curated rows of other runs that they yield to.

A row of another run has the id `RUN:ID`, where RUN is the name of that run's folder: the same import in two runs has
the same ids in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import DataError, RecipeError, nearest
from corpus.recipe import Duplicates, Recipe
from corpus.store import Store, open_reader
from filters.base import Kind
from filters.copies.duplicates import CANDIDATES, Read
from filters.copies.minhash import Places
from filters.gate import Gate
from filters.rows import KEYS, PAIRS, read_texts

_SUBGENRES: Mapping[Kind, str] = {"documents": "genre", "chats": "question_kind"}
_CURATED: Mapping[Kind, str] = {"documents": "curated", "chats": "curated_chats"}


def candidates(
    store: Store, kind: Kind, gate: Gate, settings: Duplicates, scorers: Mapping[str, str]
) -> tuple[pa.Table, Read]:
    """The rows of this run that come through the gate, with those of the runs that they are held against, and a reader.

    Args:
        store: this run.
        kind: which rows.
        gate: the one behind the last filter.
        settings: the recipe's.
        scorers: the `scorer_hash` of each filter by its name.

    Raises:
        RecipeError: `score` names a filter that the recipe has not, `against` names this run or two of one name.
        StoreError: a folder of `against` holds no run.
        DataError: a run of `against` was not curated.
    """
    found = gate.table(
        store, kind, f"coalesce({_SUBGENRES[kind]}, set) AS genre, clause_ids, {PAIRS[kind]} AS pair"
    )  # fmt: skip
    found = found.append_column("score", _scores(store, found["id"], settings, scorers))
    tables, stores = [found.append_column("run", pa.nulls(len(found), pa.string())).cast(CANDIDATES)], {"": store}
    for folder in settings.against:
        other = _open(folder, store)
        if folder.name in stores:
            raise RecipeError(f"curate.duplicates.against names two runs called {folder.name}; rename one's folder")
        stores[folder.name] = other
        tables.append(_of_run(other, kind, folder.name))

    def read(asked: pa.Table) -> Iterator[tuple[Places, pa.Array]]:
        runs = pc.fill_null(asked["run"], "")
        for name, of_run in stores.items():
            places = np.flatnonzero(pc.equal(runs, name).to_numpy())
            ids = asked["id"].take(pa.array(places))
            ids = pc.utf8_slice_codeunits(ids, len(name) + 1) if name else ids
            if len(places):
                for within, texts in read_texts(of_run, kind, ids):
                    yield places[within], texts

    return pa.concat_tables(tables), read


def check_against(recipe: Recipe, store: Store) -> None:
    """See early that every run of `curate.duplicates.against` is there; raises what `candidates` would."""
    for folder in recipe.curate.duplicates.against if recipe.curate.duplicates else ():
        _open(folder, store)


def rows_among(store: Store, kind: Kind, ids: Sequence[str]) -> tuple[pa.Table, Read]:
    """These rows of the run, whatever filters say of them, and a reader."""
    found = store.query(
        f"SELECT {KEYS[kind]} AS id, coalesce({_SUBGENRES[kind]}, set) AS genre, clause_ids, {PAIRS[kind]} AS pair, "
        f"NULL AS score, NULL AS run FROM {kind} WHERE {KEYS[kind]} IN (SELECT unnest($ids)) ORDER BY id",
        {"ids": list(ids)},
    )
    return found.cast(CANDIDATES), lambda asked: read_texts(store, kind, asked["id"])


def _open(folder: Path, store: Store) -> Store:
    if folder.resolve() == store.root.resolve():
        raise RecipeError(f"curate.duplicates.against names this run itself, {folder}; name other runs")
    other = open_reader(folder)
    if not other.current("verdicts"):
        raise DataError(
            f"curate.duplicates.against: {folder} was never curated, so none of its rows counts; "
            f"run: specmill curate {folder}"
        )
    return other


def _of_run(other: Store, kind: Kind, name: str) -> pa.Table:
    columns = (
        f"$name || ':' || {KEYS[kind]} AS id, set AS genre, NULL AS clause_ids, $name || ':' || {PAIRS[kind]} AS pair"
    )
    found = other.query(
        f"SELECT {columns}, NULL AS score, $name AS run FROM {_CURATED[kind]} AS {kind} ORDER BY id", {"name": name}
    )
    return found.cast(CANDIDATES)


def _scores(store: Store, ids: pa.ChunkedArray, settings: Duplicates, scorers: Mapping[str, str]) -> pa.ChunkedArray:
    """The score of each row that decides between equally rare ones; null where there is none."""
    if settings.score is None:
        return pa.chunked_array([pa.nulls(len(ids), pa.float64())])
    scorer, _, name = settings.score.rpartition(".")
    found = store.query(
        "SELECT doc_id, any_value(value) AS score FROM all_scores WHERE scorer_hash = $made_by AND name = $name "
        "GROUP BY doc_id",
        {"made_by": scorers[scorer], "name": name},
    )
    if len(ids) and not len(found):
        known = store.rows(
            "SELECT DISTINCT name FROM all_scores WHERE scorer_hash = ? ORDER BY name", [scorers[scorer]]
        )
        names = [str(row["name"]) for row in known]
        raise RecipeError(
            f"curate.duplicates.score is {settings.score}, but {scorer} gives no score '{name}'; {nearest(name, names)}"
        )
    return found["score"].take(pc.index_in(ids, found["doc_id"]))
