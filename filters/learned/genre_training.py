"""Trains the models of `genre_fidelity`, one a fold, and measures how well genres are told apart."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.recipe import Duplicates
from corpus.stage import Progress
from corpus.store import Store
from corpus.store.identity import content_id, draw
from corpus.store.parts import TEMPORARY, replace_durably, write_durably
from filters.copies import duplicates
from filters.copies.candidates import rows_among
from filters.learned.classifier_training import FOLDER
from filters.learned.fasttext_model import PREFIX, Labelled, Try, save, train
from filters.learned.folds import Origin, deal
from filters.learned.genre_fidelity import SCORE, GenreFidelity, GenreFidelitySettings, dealt_path, fold_path
from filters.learned.guessing import as_line
from filters.rows import read_texts

_DOCUMENTS = "SELECT doc_id, genre, brief_id, parent_id FROM documents ORDER BY doc_id"


@dataclass(frozen=True)
class FidelityReport:
    """How well the genres are told apart, over documents that the models have not seen."""

    num_genres: int
    """Genres with enough documents to be learned."""
    num_scored: int
    num_unjudged: int
    """Documents of a genre with too few."""
    accuracy: float | None
    """Share of the scored documents that look most like their own genre; None where none was scored."""
    commonest_share: float | None
    """What always naming the commonest genre would give."""
    confused: Sequence[tuple[str, str, int]]
    """(own genre, genre it looks like, documents), the most frequent first."""
    tries: Sequence[Try]

    def tables(self, threshold: float) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person."""
        whole: dict[str, object] = {
            "genres": self.num_genres,
            "scored": self.num_scored,
            "too few of their genre": self.num_unjudged,
            "look like their genre": self.accuracy,
            "the commonest genre's share": self.commonest_share,
            "threshold": threshold,
            "trainings": len(self.tries),
        }
        pairs: list[dict[str, object]] = [
            {"genre": own, "looks like": other, "documents": num} for own, other, num in self.confused[:10]
        ]
        return [("genre_fidelity", [whole]), ("genres taken for another", pairs)]


def make_genre_fidelity(
    settings: GenreFidelitySettings, alike: Duplicates | None, store: Store, progress: Progress
) -> GenreFidelity:
    """The filter, its models trained on the documents there are now, or loaded where that was done.

    `alike` says what makes two texts near-duplicates; None: the recipe's defaults do.

    Raises:
        SetupError: fastText met a NaN in every try of a fold.
    """
    alike = alike or Duplicates()
    rows = store.query(_DOCUMENTS)
    columns = [column.to_pylist() for column in rows.columns]
    same = [duplicates.VERSION, alike.model_dump(mode="json")]
    model_id = content_id("genre fidelity", GenreFidelity.version, settings.trained_with(), same, columns)
    folder = store.root / FOLDER
    summary = _summary_path(folder, model_id)
    genres = _read_genres(summary)
    if genres is None:
        origins = _origins(store, columns, alike)
        _train_folds(settings, model_id, origins, folder, store, progress)
        genres = _read_genres(summary)
    assert genres is not None, summary
    return GenreFidelity(settings, model_id, folder, genres)


def _read_genres(summary: Path) -> list[str] | None:
    """The genres that folds were trained for; None where they were not to the end, or the disk has damaged it since."""
    try:
        genres: list[str] = json.loads(summary.read_bytes())["genres"]
    except (FileNotFoundError, ValueError):
        return None
    return genres


def measure_fidelity(store: Store, judging: GenreFidelity) -> FidelityReport:
    """From the scores of the run's present documents."""
    found = store.rows(
        "SELECT documents.genre AS own, label AS other, count(*) AS num, count(value) > 0 AS is_scored "
        "FROM all_scores JOIN documents USING (doc_id) "
        "WHERE scorer_hash = ? AND name = ? AND documents.genre IS NOT NULL GROUP BY ALL ORDER BY num DESC, own, other",
        [judging.scorer_hash, SCORE],
    )
    scored = [(str(row["own"]), str(row["other"]), cast("int", row["num"])) for row in found if row["is_scored"]]
    num_scored = sum(num for _, _, num in scored)
    by_genre: dict[str, int] = {}
    for own, _, num in scored:
        by_genre[own] = by_genre.get(own, 0) + num
    summary = json.loads(_summary_path(judging.folder, judging.model_id).read_bytes())
    return FidelityReport(
        num_genres=len(summary["genres"]),
        num_scored=num_scored,
        num_unjudged=sum(cast("int", row["num"]) for row in found) - num_scored,
        accuracy=sum(num for own, other, num in scored if own == other) / num_scored if num_scored else None,
        commonest_share=max(by_genre.values()) / num_scored if num_scored else None,
        confused=[each for each in scored if each[0] != each[1]],
        tries=tuple(Try(*one) for one in summary["tries"]),
    )


def _origins(store: Store, columns: Sequence[Sequence[str | None]], alike: Duplicates) -> list[Origin]:
    """The documents with a genre, each with its brief, its parent and the cluster of its near-duplicates."""
    with_genre = [one for one in zip(*columns, strict=True) if one[1] is not None]
    rows, read = rows_among(store, "documents", [str(doc_id) for doc_id, *_ in with_genre])
    found = duplicates.find_duplicates(rows, read, alike)
    cluster_of = dict(zip(found.column("doc_id").to_pylist(), found.column("cluster_id").to_pylist(), strict=True))
    return [
        Origin(
            str(doc_id),
            str(genre),
            tuple(
                f"{what} {which}"
                for what, which in (
                    ("brief", brief_id),
                    ("document", parent_id),
                    ("document", doc_id),
                    ("cluster", cluster_of.get(doc_id)),
                )
                if which is not None
            ),
        )
        for doc_id, genre, brief_id, parent_id in with_genre
    ]


def _train_folds(
    settings: GenreFidelitySettings,
    model_id: str,
    origins: Sequence[Origin],
    folder: Path,
    store: Store,
    progress: Progress,
) -> None:
    folds = deal(origins, settings.folds, settings.min_documents, settings.seed)
    # One genre alone is told apart from nothing.
    genres = list(folds.genres) if len(folds.genres) > 1 else []
    fold_of = folds.fold_of if genres else {}
    learned = _sample(settings, [one for one in origins if one.id in fold_of])
    ids = pa.array([one.id for one in learned], pa.string())
    lines = {
        learned[place].id: as_line(text)
        for places, texts in read_texts(store, "documents", ids)
        for place, text in zip(places.tolist(), texts.to_pylist(), strict=True)
    }
    labels = {genre: f"{PREFIX}{number}" for number, genre in enumerate(genres)}
    tries: list[Try] = []
    stage = "train genre_fidelity"
    used = sorted(set(fold_of.values()))
    progress.start(stage, len(used))
    folder.mkdir(parents=True, exist_ok=True)
    for fold in used:
        unseen = [Labelled(lines[one.id], labels[one.genre]) for one in learned if fold_of[one.id] != fold]
        model, of_fold = train(unseen, settings.fasttext_parameters())
        save(model, fold_path(folder, model_id, fold))
        for one in of_fold[:-1]:
            progress.note(f"genre_fidelity: a training failed ({one.outcome}) with seed {one.seed} and learning rate "
                          f"{one.learning_rate}; tried again")  # fmt: skip
        tries += of_fold
        progress.advance(stage, "ok")
    if not genres:
        progress.note(f"genre_fidelity: judges nothing: {_too_few(folds.num_groups, settings.min_documents)}")
    _write_dealt(dealt_path(folder, model_id), origins, fold_of, store)
    write_durably(_summary_path(folder, model_id), json.dumps({"genres": genres, "tries": tries}).encode())


def _sample(settings: GenreFidelitySettings, documents: Sequence[Origin]) -> list[Origin]:
    """At most `max_documents` of each genre, in an order of chance."""
    num_of: dict[str, int] = {}
    sample = []
    for one in sorted(documents, key=lambda one: (draw("learned", settings.seed, one.id), one.id)):
        num_of[one.genre] = num_of.get(one.genre, 0) + 1
        if num_of[one.genre] <= settings.max_documents:
            sample.append(one)
    return sample


def _write_dealt(path: Path, origins: Sequence[Origin], fold_of: Mapping[str, int], store: Store) -> None:
    genre_of = {one.id: one.genre for one in origins}
    ids = store.query("SELECT doc_id FROM documents ORDER BY doc_id").column(0).to_pylist()
    schema = pa.schema([("doc_id", pa.string()), ("genre", pa.string()), ("fold", pa.int64())])
    columns = [ids, [genre_of.get(one) for one in ids], [fold_of.get(one) for one in ids]]
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    pq.write_table(pa.table(columns, schema=schema), temporary)
    replace_durably(temporary, path)


def _too_few(num_groups: Mapping[str, int], min_documents: int) -> str:
    enough = sum(num >= min_documents for num in num_groups.values())
    return f"of {len(num_groups)} genres {enough} have {min_documents} documents of different origin; two are needed"


def _summary_path(folder: Path, model_id: str) -> Path:
    """Written last: it says that all else is there."""
    return folder / f"{model_id.removeprefix('b2:')}-folds.json"
