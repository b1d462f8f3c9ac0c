"""Genres told apart by cross-validation: no document is scored by a model that has seen it or its like."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import curate_corpus, train_classifier
from filters.learned import genre_training
from filters.learned.fasttext_model import load
from filters.learned.folds import Origin, deal
from filters.learned.guessing import as_line

MARKS = {"memo": "agenda budget quarter team deadline", "tale": "dragon castle forest witch crown",
         "code": "def return import class lambda"}  # fmt: skip


def text(genre: str, seed: int, extra: str = "") -> str:
    rng = random.Random(f"{genre} {seed}")
    found = [f"noise{rng.randrange(300)}" for _ in range(40)] + rng.choices(MARKS[genre].split(), k=20)
    rng.shuffle(found)
    return f"{' '.join(found)} {extra}"


def fill(run, num_documents: int = 30) -> None:
    for genre in MARKS:
        run.add_documents({f"{genre}{n:03d}": text(genre, n) for n in range(num_documents)}, genre=genre)


def recipe(run, duplicates: object = None, **settings: object):
    given = {"buckets": 1000, "epochs": 10, "folds": 3, **settings}
    return run.recipe(curate={"filters": [{"genre_fidelity": given}], "duplicates": duplicates})


def test_a_text_under_the_wrong_genre_is_found_and_named(run) -> None:
    fill(run)
    run.add_documents({"odd": text("tale", 999)}, genre="memo")
    run.add_documents({"none": text("tale", 998)}, genre=None)
    report = curate_corpus(recipe(run, min_probability=0.3), run.store, run.progress)
    [odd] = run.store.rows("SELECT value, label FROM scores WHERE doc_id = 'odd'")
    assert odd["label"] == "tale"
    assert odd["value"] < 0.3
    assert run.column("SELECT reason FROM verdicts WHERE outcome = 'drop'") == ["unlike its genre"]
    assert run.column("SELECT reason FROM verdicts WHERE doc_id = 'none'") == ["no genre"]
    assert report.fidelity is not None
    fidelity, _ = report.fidelity
    assert (fidelity.num_genres, fidelity.num_scored) == (3, 91)
    assert fidelity.accuracy == pytest.approx(90 / 91)
    assert fidelity.confused == [("memo", "tale", 1)]
    assert run.column("SELECT accuracy FROM classifiers") == [fidelity.accuracy]


def test_genres_without_a_difference_are_told_apart_no_better_than_by_chance(run) -> None:
    """The negative control: were a document's own words seen in training, its genre would be known by them."""
    for genre in ("a", "b"):
        run.add_documents(
            {f"{genre}{n:03d}": text("memo", 50 * (genre == "a") + n, f"token{genre}{n} " * 20) for n in range(50)},
            genre=genre,
        )
    fidelity = curate_corpus(recipe(run, min_probability=0), run.store, run.progress).fidelity
    assert fidelity is not None
    assert fidelity[0].accuracy == pytest.approx(0.5, abs=0.17)


def test_each_document_is_scored_by_the_one_model_that_has_not_seen_its_words(run) -> None:
    """Every document has a word of its own, and every brief one that all its documents share."""
    for genre in MARKS:
        for n in range(24):
            own, shared = f"only{genre}{n}", f"brief{genre}{n // 2}"
            run.add_documents({f"{genre}{n:03d}": text(genre, n, f"{own} {shared}")}, genre=genre, brief_id=None)
    origins = [Origin(f"{genre}{n:03d}", genre, (f"brief {genre}{n // 2}",)) for genre in MARKS for n in range(24)]
    made: list[list[Origin]] = []

    def known_origins(*_: object) -> list[Origin]:
        made.append(origins)
        return origins

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(genre_training, "_origins", known_origins)
        curate_corpus(recipe(run, folds=4), run.store, run.progress)
    assert made
    vocabularies = [set(load(path).get_words()) for path in sorted((run.store.root / "fasttext").glob("*fold*.bin"))]
    assert len(vocabularies) == 4
    folds = deal(origins, 4, 10, 0)
    for one in origins:
        genre, n = one.genre, int(one.id[-3:])
        words = {f"only{genre}{n}", f"brief{genre}{n // 2}"}
        unseen = folds.fold_of[one.id]
        for fold, vocabulary in enumerate(vocabularies):
            assert words <= vocabulary if fold != unseen else not words & vocabulary


def test_copies_near_copies_rewrites_and_documents_of_one_brief_have_one_origin(run) -> None:
    fill(run, 12)
    base = text("memo", 500)
    run.add_documents({"x1": base, "x2": f"{base}  ", "x3": f"{base} more"}, genre="memo")
    run.add_documents({"y1": text("tale", 600)}, genre="tale", brief_id="b")
    run.add_documents({"y2": text("tale", 601)}, genre="tale", brief_id="b")
    run.add_documents({"y3": text("tale", 602)}, genre="tale", parent_id="y1")
    # Rows of a brief that is not there are stale: they are looked at directly.
    columns = [list(one) for one in zip(
        *[(r["doc_id"], r["genre"], r["brief_id"], r["parent_id"]) for r in
          run.store.rows("SELECT doc_id, genre, brief_id, parent_id FROM all_documents ORDER BY doc_id")], strict=True
    )]  # fmt: skip
    origins = genre_training._origins(run.store, columns, genre_training.Duplicates())
    folds = deal(origins, 5, 2, 0)
    assert len({folds.fold_of[one] for one in ("x1", "x2", "x3")}) == 1
    assert len({folds.fold_of[one] for one in ("y1", "y2", "y3")}) == 1
    assert folds.num_groups["memo"] == 13
    assert folds.num_groups["tale"] == 13


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 12), max_size=2)), max_size=40),
    st.integers(2, 5), st.integers(0, 3), st.randoms(use_true_random=False),
)  # fmt: skip
def test_folds_keep_what_shares_an_origin_together_whatever_the_order(rows, num_folds, seed, rng) -> None:
    documents = [Origin(f"d{n}", genre, tuple(map(str, shared))) for n, (genre, shared) in enumerate(rows)]
    folds = deal(documents, num_folds, 1, seed)
    fold_of_shared: dict[str, set[int]] = defaultdict(set)
    for one in documents:
        for shared in one.shared:
            fold_of_shared[shared] |= {folds.fold_of[one.id]} if one.id in folds.fold_of else set()
    assert all(len(found) <= 1 for found in fold_of_shared.values())
    shuffled = rng.sample(documents, len(documents))
    assert deal(shuffled, num_folds, 1, seed) == folds


def test_small_genres_are_unjudged_and_the_others_are_not(run) -> None:
    fill(run, 12)
    run.add_documents({f"rare{n}": text("code", 100 + n) for n in range(9)}, genre="rare")
    report = curate_corpus(recipe(run), run.store, run.progress)
    assert report.outcomes["genre_fidelity", "unjudged", "too few documents of its genre"] == 9
    assert report.outcomes["genre_fidelity", "keep", None] == 36


def test_one_genre_alone_is_not_judged(run) -> None:
    run.add_documents({f"d{n:02d}": text("memo", n) for n in range(20)}, genre="memo")
    report = curate_corpus(recipe(run), run.store, run.progress)
    assert report.outcomes == {("genre_fidelity", "unjudged", "too few documents of its genre"): 20}
    assert "of 1 genres 1 have 10 documents" in run.progress.notes[-1]


def test_curating_again_trains_nothing_and_a_new_document_trains_anew(run, monkeypatch) -> None:
    fill(run, 12)
    first = curate_corpus(recipe(run), run.store, run.progress)
    scores = run.column("SELECT value FROM scores ORDER BY doc_id")
    with monkeypatch.context() as patched:
        patched.setattr(genre_training, "train", lambda *_: 1 / 0)
        again = curate_corpus(recipe(run, min_probability=0.5), run.store, run.progress)
    assert (again.num_scored, again.fidelity[0]) == (0, first.fidelity[0])
    for path in (run.store.root / "fasttext").glob("*"):
        path.unlink()
    curate_corpus(recipe(run), run.store, run.progress)
    assert run.column("SELECT value FROM scores ORDER BY doc_id") == scores
    run.add_documents({"new": text("memo", 70)}, genre="memo")
    assert curate_corpus(recipe(run), run.store, run.progress).num_scored == 37


def test_it_can_be_trained_alone(run) -> None:
    fill(run, 12)
    trained = train_classifier(recipe(run), run.store, "genre_fidelity", run.progress)
    assert trained.report.accuracy == 1.0
    assert run.column("SELECT * FROM all_verdicts") == []
    assert run.column("SELECT accuracy FROM classifiers") == [1.0]


def test_labels_are_numbers_so_that_genres_may_be_called_anything(run) -> None:
    for genre in ("__label__x y", "line\nbreak"):
        run.add_documents(
            {f"{genre[:3]}{n}": text(("memo" if "x" in genre else "tale"), n) for n in range(12)}, genre=genre
        )
    report = curate_corpus(recipe(run), run.store, run.progress)
    assert report.fidelity[0].accuracy == 1.0
    assert as_line("a\nb") == "a b"
