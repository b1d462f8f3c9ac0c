"""Which language a text is in: measured on sentences of our own, and with a fastText model that the test trains."""

from __future__ import annotations

from pathlib import Path

import pytest
from languages import SENTENCES

from corpus.errors import DataError, RecipeError
from filters.base import Row, Score, Verdict
from filters.signs.language import Language, LanguageSettings
from filters.signs.language_model import load_language_model


def judged(
    text: str, language: str = "en", model_file: Path | None = None, **settings: object
) -> tuple[Score, Verdict]:
    chosen = LanguageSettings(language=language, model_file=model_file, **settings)
    judging = Language(chosen, load_language_model(model_file, language))
    [scores] = judging.score([Row("d", "documents", text)])
    return scores[0], judging.judge({score.name: score for score in scores})


def test_the_packaged_model_knows_seventeen_languages_by_three_sentences_and_nearly_always_by_one() -> None:
    told = load_language_model(None, "en")
    of_texts = [told.identify([" ".join(sentences)])[0][0] for sentences in SENTENCES.values()]
    assert of_texts == list(SENTENCES)
    found = [told.identify(sentences) for sentences in SENTENCES.values()]
    right = [one == language for language, row in zip(SENTENCES, found, strict=True) for one, _ in row]
    assert len(right) == 51
    assert sum(right) >= 50


@pytest.mark.parametrize("language", SENTENCES)
def test_a_text_is_kept_in_its_language_and_dropped_where_another_is_wanted(language: str) -> None:
    text = " ".join(SENTENCES[language] * 2)
    assert judged(text, language)[1].outcome == "keep"
    score, verdict = judged(text, "en" if language != "en" else "de")
    assert (score.value, score.label, verdict) == (0.0, language, Verdict("drop", "other language"))
    assert score.evidence


def test_a_text_that_changes_its_language_halfway_is_dropped_and_shows_where() -> None:
    text = "\n\n".join([" ".join(SENTENCES["en"] * 3), " ".join(SENTENCES["fr"] * 3)])
    score, verdict = judged(text)
    assert verdict == Verdict("drop", "other language")
    assert 0.3 < (score.value or 0) < 0.7
    assert "médecin" in (score.evidence or "")
    assert judged(text, min_fraction=0.3)[1].outcome == "keep"


def test_a_quotation_code_and_an_address_do_not_count() -> None:
    quotation = f'{" ".join(SENTENCES["en"] * 8)} "{SENTENCES["de"][0]}"'
    assert judged(quotation)[1].outcome == "keep"
    code = f"{' '.join(SENTENCES['en'])}\n```\n{' '.join(SENTENCES['de'] * 5)}\n```"
    assert judged(code)[0].value == 1.0


@pytest.mark.parametrize("text", ["", "1 2 3 4 5", "Ja.", "```\nx = 1\n```"])
def test_what_is_too_short_to_tell_is_unjudged(text: str) -> None:
    assert judged(text)[1] == Verdict("unjudged", "too little text")


def test_only_the_answers_of_a_chat_are_looked_at() -> None:
    answer = " ".join(SENTENCES["en"] * 2)
    chat = Row("c", "chats", answer, " ".join(SENTENCES["fr"] * 3), (answer,))
    judging = Language(LanguageSettings(), load_language_model(None, "en"))
    [scores] = judging.score([chat])
    assert scores[0].value == 1.0


def test_a_language_that_is_not_known_is_named_with_those_that_are() -> None:
    with pytest.raises(RecipeError, match=r"language.language is 'english', which py3langid does not know"):
        load_language_model(None, "english")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import fasttext

    folder = tmp_path_factory.mktemp("language")
    lines = [f"__label__{name} {text}" for name in ("en", "de", "fr") for text in SENTENCES[name] * 20]
    (folder / "lines.txt").write_text("\n".join(lines))
    model = fasttext.train_supervised(
        str(folder / "lines.txt"), dim=16, bucket=2_000, minn=2, maxn=4, epoch=30, lr=0.5, thread=1, seed=1, verbose=0
    )
    model.save_model(str(folder / "model.bin"))
    return folder / "model.bin"


def test_a_fasttext_model_is_asked_where_there_is_one(model_file: Path) -> None:
    text = " ".join(SENTENCES["de"] * 2)
    assert judged(text, "de", model_file)[1].outcome == "keep"
    score, verdict = judged(text, "en", model_file)
    assert (score.label, verdict.outcome) == ("de", "drop")
    with pytest.raises(RecipeError, match=r"language.language is 'pl', which"):
        load_language_model(model_file, "pl")


def test_the_scores_hash_is_the_models_content_and_not_its_place(model_file: Path, tmp_path: Path) -> None:
    def hashes(path: Path | None, **settings: object) -> tuple[str, str]:
        judging = Language(LanguageSettings(model_file=path, **settings), load_language_model(path, "en"))
        return judging.scorer_hash, judging.filter_hash

    moved = tmp_path / "moved.bin"
    moved.write_bytes(model_file.read_bytes())
    assert hashes(model_file) == hashes(moved)
    assert hashes(model_file)[0] != hashes(None)[0]
    scored, other = hashes(None), hashes(None, min_fraction=0.5)
    assert scored[0] == other[0]
    assert scored[1] != other[1]
    assert hashes(None, min_probability=0.9)[0] != scored[0]


def test_no_file_but_a_whole_model_is_opened_by_fasttext(model_file: Path, tmp_path: Path) -> None:
    """fastText hangs on some torn files: every cut is found before it sees one."""
    data = model_file.read_bytes()
    torn = tmp_path / "torn.bin"
    for size in [0, 4, 50, 70, 100, *range(200, len(data), len(data) // 40), len(data) - 1]:
        torn.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"language.model_file: .*torn.bin is no"):
            load_language_model(torn, "en")
    torn.write_bytes(data + b"x")
    with pytest.raises(DataError, match="is no whole fastText model"):
        load_language_model(torn, "en")
    torn.write_text("This is a text about something else. " * 100)
    with pytest.raises(DataError, match="is no fastText model"):
        load_language_model(torn, "en")
    with pytest.raises(DataError, match=r"cannot be read .No such file"):
        load_language_model(tmp_path / "none.bin", "en")


def test_vectors_without_labels_are_no_language_model_and_a_quantized_model_is_one(tmp_path: Path) -> None:
    import fasttext

    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(f"__label__{name} {text}" for name in ("en", "de") for text in SENTENCES[name] * 90))
    vectors = fasttext.train_unsupervised(str(lines), dim=8, bucket=500, minCount=1, epoch=1, verbose=0, thread=1)
    vectors.save_model(str(tmp_path / "vectors.bin"))
    with pytest.raises(DataError, match="word vectors without labels"):
        load_language_model(tmp_path / "vectors.bin", "en")
    model = fasttext.train_supervised(str(lines), dim=16, bucket=2_000, minn=2, maxn=3, epoch=20, verbose=0, thread=1)
    model.quantize(str(lines), qnorm=True, qout=False, cutoff=900, verbose=0)
    model.save_model(str(tmp_path / "small.ftz"))
    told = load_language_model(tmp_path / "small.ftz", "en")
    assert told.identify([SENTENCES["de"][0]])[0][0] == "de"
    data = (tmp_path / "small.ftz").read_bytes()
    (tmp_path / "torn.ftz").write_bytes(data[:-1])
    with pytest.raises(DataError, match="no whole fastText model"):
        load_language_model(tmp_path / "torn.ftz", "en")
