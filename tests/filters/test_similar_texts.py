"""Documents that say the same in other words: a score, and a verdict where one is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus.store.identity import draw
from filters import curate_corpus
from filters.meaning.embedding import embed, embedding_folder
from filters.meaning.similar_texts import SimilarTexts, SimilarTextsSettings

SAME = (
    "The harbour office opens at eight, and every fishing boat has to report there before it leaves the port.",
    "Before leaving port each fishing boat must report to the harbour office, which opens at eight o'clock.",
)
OTHERS = (
    "A sourdough loaf needs a night in a cool kitchen, or its crumb stays dense and its crust pale.",
    "The committee voted against the new railway because nobody could say what the bridge would cost.",
)
FIRST, SECOND = sorted(SAME, key=lambda text: draw("text", text))


def recipe(run, **settings: object):
    return run.recipe(curate={"filters": [{"similar_texts": settings}], "duplicates": None})


def scores(run) -> dict[object, float]:
    return {row["doc_id"]: row for row in run.store.rows("SELECT doc_id, value, evidence FROM scores")}


def test_a_paraphrase_scores_high_and_goes_only_where_a_threshold_says_so(run) -> None:
    run.add_documents({"a": FIRST, "b": SECOND, "c": OTHERS[0], "d": OTHERS[1]})
    curate_corpus(recipe(run), run.store, run.progress)
    found = scores(run)
    assert found["b"]["evidence"] == "a"
    assert found["b"]["value"] > 0.85
    assert all(row["value"] is None or row["value"] < 0.5 for doc_id, row in found.items() if doc_id != "b")
    assert run.column("SELECT count(*) FROM curated") == [4]
    assert curate_corpus(recipe(run, min_cosine=0.85), run.store, run.progress).num_scored == 0  # replayed
    assert run.column("SELECT doc_id FROM curated ORDER BY 1") == ["a", "c", "d"]


def test_chats_are_not_compared(run) -> None:
    run.add_chats({"chat": [("user", "What now?"), ("assistant", FIRST)]})
    run.add_documents({"a": FIRST})
    curate_corpus(recipe(run, min_cosine=0.5), run.store, run.progress)
    assert run.column("SELECT chat_id FROM curated_chats") == ["chat"]
    assert set(scores(run)) == {"a"}


def test_a_run_without_documents_has_no_scores(run) -> None:
    curate_corpus(recipe(run), run.store, run.progress)
    assert scores(run) == {}


def test_a_long_document_is_read_to_its_end_as_the_mean_of_its_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filters.meaning.similar_texts._PIECE_WORDS", 10)
    scorer = SimilarTexts(SimilarTextsSettings(), [], tmp_path)
    words = " ".join(OTHERS).split()
    found = scorer.vectors([" ".join(words), FIRST, ""])
    pieces = [" ".join(words[start : start + 10]) for start in range(0, len(words), 10)]
    mean = embed(pieces, embedding_folder(None)).mean(axis=0)
    assert found[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
