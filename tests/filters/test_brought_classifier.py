"""A fastText classifier that another tool has trained."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes.labelled import BAD, GOOD, fill, recipe, text

from corpus.errors import DataError, RecipeError
from filters import curate_corpus
from filters.learned.fasttext_file import read_labels


@pytest.fixture
def brought(tmp_path) -> Path:
    """A classifier that another tool has trained: on the texts as they are, with labels of its own."""
    import fasttext

    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"__label__{'pro' if n % 2 else 'contra'} {text(GOOD if n % 2 else BAD, n)}\n"
                             for n in range(60)))  # fmt: skip
    model = fasttext.train_supervised(
        str(lines), epoch=20, lr=0.5, dim=16, bucket=1000, wordNgrams=2, thread=1, verbose=0
    )
    model.save_model(str(tmp_path / "brought.bin"))
    return tmp_path / "brought.bin"


def test_a_classifier_of_ones_own_judges_and_is_measured_on_all_labels(run, brought: Path) -> None:
    import fasttext

    fill(run)
    run.add_documents({"lines": f"{GOOD}\n{GOOD}\n\n{BAD}"})
    report = curate_corpus(recipe(run, model=str(brought), label="__label__pro"), run.store, run.progress)
    learned, _ = report.classifiers["classifier"]
    assert (learned.source, learned.num_held_out, learned.auc, learned.control_auc) == ("file", 120, 1.0, None)
    assert run.column("SELECT reason FROM verdicts WHERE doc_id = 'like bad'") == ["improbable"]
    labels, values = fasttext.load_model(str(brought)).predict(f"{GOOD} {GOOD} {BAD}", k=2)
    [value] = run.column("SELECT value FROM scores WHERE doc_id = 'lines'")
    assert value == pytest.approx(float(values[labels.index("__label__pro")]))
    alone = run.recipe(curate={"filters": [{"classifier": {"model": str(brought), "label": "__label__pro"}}]})
    assert curate_corpus(alone, run.store, run.progress).classifiers["classifier"][0].auc is None


def test_a_classifier_file_that_is_none_is_refused_before_fasttext_reads_it(run, brought: Path, tmp_path) -> None:
    import fasttext

    whole = brought.read_bytes()
    vectors = fasttext.train_unsupervised(str(tmp_path / "lines.txt"), dim=4, bucket=10, epoch=1, thread=1, verbose=0)
    vectors.save_model(str(tmp_path / "vectors.bin"))
    wrong = {
        "missing": (None, r"classifier.model: .*missing.model cannot be read .No such file"),
        "empty": (b"", "no fastText model"),
        "text": (b"helpful\n" * 99, "no fastText model"),
        "head": (whole[:150], "no whole fastText model"),
        "half": (whole[: len(whole) // 2], "no whole fastText model"),
        "tail": (whole[:-3], "no whole fastText model"),
        "longer": (whole + b"x", "no whole fastText model"),
        "vectors": ((tmp_path / "vectors.bin").read_bytes(), "word vectors without labels"),
    }
    fill(run, num_labels=5)
    for name, (data, message) in wrong.items():
        path = tmp_path / f"{name}.model"
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(DataError, match=message):
            curate_corpus(recipe(run, model=str(path), label="__label__pro"), run.store, run.progress)
    with pytest.raises(RecipeError, match="has no label 'pro'; there are: __label__contra, __label__pro"):
        curate_corpus(recipe(run, model=str(brought), label="pro"), run.store, run.progress)
    assert run.column("SELECT * FROM all_verdicts") == []


def test_every_cut_of_a_model_is_noticed(brought: Path, tmp_path) -> None:
    """Quantized models too; the file as it is passes, which shows that the check is not simply strict."""
    import fasttext

    model = fasttext.load_model(str(brought))
    model.quantize(qnorm=True)
    model.save_model(str(tmp_path / "small.ftz"))
    for path in (brought, tmp_path / "small.ftz"):
        read_labels(path, "model")
        whole = path.read_bytes()
        for num_bytes in range(0, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:num_bytes])
            with pytest.raises(DataError):
                read_labels(path, "model")


def test_other_processes_guess_what_this_one_does_and_a_killed_one_is_no_end(brought: Path, monkeypatch) -> None:
    import signal

    from filters.learned import guessing

    texts = [f"{text(GOOD if n % 2 else BAD, n)}\nsecond line" for n in range(700)]
    labels = ["__label__pro"] * len(texts)
    alone = guessing.Guesser(words_only=True, num_processes=1).guess(brought, texts, labels)
    monkeypatch.setattr(guessing, "POOL_FROM_TEXTS", 0)
    guesser = guessing.Guesser(words_only=True, num_processes=2)
    assert guesser.guess(brought, texts, labels) == alone
    assert guesser._pool is not None
    for pid in guesser._pool._processes:
        os.kill(pid, signal.SIGKILL)
    assert guesser.guess(brought, texts, labels) == alone


def test_a_classifier_file_with_damaged_numbers_is_the_users_error(run, brought: Path) -> None:
    whole = bytearray(brought.read_bytes())
    dim = whole.copy()
    dim[8:12] = b"\xff\xff\xff\x7f"  # fastText would ask for all the memory there is
    brought.write_bytes(dim)
    with pytest.raises(DataError, match="do not go together"):
        read_labels(brought, "classifier.model")
    numbers = whole.copy()
    numbers[-128:] = b"\xff" * 128  # the output matrix, two labels of 16: not a number
    brought.write_bytes(numbers)
    fill(run)
    with pytest.raises(DataError, match="gives no probabilities"):
        curate_corpus(recipe(run, model=str(brought), label="__label__pro"), run.store, run.progress)
