import json
from collections.abc import Callable

import pytest
from fakes.labelled import BAD, GOOD, NEGATIVES, POSITIVES, fill, recipe, text

from corpus.errors import DataError, RecipeError, SetupError
from filters import curate_corpus, train_classifier
from filters.learned import classifier_training
from filters.learned.classifier import ClassifierSettings
from filters.learned.guessing import as_line
from filters.learned.labels import Labels


def test_it_learns_what_the_labels_show_and_the_control_does_not(run) -> None:
    fill(run)
    report = curate_corpus(recipe(run), run.store, run.progress)
    assert {"like good"} <= set(run.column("SELECT doc_id FROM curated WHERE set = 'web'"))
    assert run.column("SELECT reason FROM verdicts WHERE doc_id = 'like bad'") == ["improbable"]
    learned, _ = report.classifiers["classifier"]
    assert (learned.num_positives, learned.num_negatives, learned.num_held_out) == (60, 60, 24)
    assert learned.auc == 1.0
    assert learned.control_auc == pytest.approx(0.5, abs=0.3)
    assert len(learned.tries) == 1


def test_labels_without_a_difference_give_an_auc_like_the_controls(run) -> None:
    """The negative control of the control: nothing to learn, nothing found."""
    run.add_documents({f"g{index}": text(GOOD, index) for index in range(100)}, set="good")
    run.add_documents({f"b{index}": text(GOOD, 1000 + index) for index in range(100)}, set="bad")
    learned, _ = curate_corpus(recipe(run), run.store, run.progress).classifiers["classifier"]
    assert learned.auc == pytest.approx(0.5, abs=0.3)


def test_the_same_labels_give_the_same_model_and_it_is_loaded_the_second_time(run, monkeypatch) -> None:
    fill(run)
    curate_corpus(recipe(run), run.store, run.progress)
    [model] = (run.store.root / "fasttext").glob("*.bin")
    first, scores = model.read_bytes(), run.column("SELECT value FROM scores ORDER BY doc_id")
    with monkeypatch.context() as patched:
        patched.setattr(classifier_training, "_train_and_measure", lambda *_: 1 / 0)
        assert curate_corpus(recipe(run, min_probability=0.9), run.store, run.progress).num_scored == 0
    model.with_suffix(".json").unlink()  # as if killed before the report was there
    curate_corpus(recipe(run), run.store, run.progress)
    assert model.read_bytes() == first
    assert run.column("SELECT value FROM scores ORDER BY doc_id") == scores
    assert json.loads(model.with_suffix(".json").read_bytes())["model_id"].endswith(model.stem)


def test_a_report_that_the_disk_has_damaged_is_made_again(run) -> None:
    fill(run)
    first = curate_corpus(recipe(run), run.store, run.progress).classifiers["classifier"]
    [report] = (run.store.root / "fasttext").glob("*.json")
    report.write_bytes(report.read_bytes()[:30])
    assert curate_corpus(recipe(run), run.store, run.progress).classifiers["classifier"] == first


@pytest.mark.parametrize(("unjudged", "num_kept"), [("keep", 12), ("drop", 0)])
def test_too_few_labels_judge_nothing_and_the_recipe_says_which_way_it_goes(run, unjudged: str, num_kept: int) -> None:
    fill(run, num_labels=5)
    report = curate_corpus(recipe(run, unjudged), run.store, run.progress)
    assert report.outcomes == {("classifier", "unjudged", "too few labels"): 12}
    assert report.num_kept["documents"] == num_kept
    learned, _ = report.classifiers["classifier"]
    assert learned.why_not == "5 positives and 5 negatives; 20 of each are needed"
    assert learned.why_not in run.progress.notes[0]
    assert run.column("SELECT why_not FROM classifiers") == [learned.why_not]
    assert not (run.store.root / "fasttext").exists()


def test_a_nan_is_tried_again_at_half_the_learning_rate(run, monkeypatch) -> None:
    import fasttext

    fill(run)
    train, rates = fasttext.train_supervised, []

    def sometimes_nan(**arguments: object) -> object:
        rates.append(arguments["lr"])
        if len(rates) <= 2:
            raise RuntimeError("Encountered NaN.")
        return train(**arguments)

    monkeypatch.setattr(fasttext, "train_supervised", sometimes_nan)
    learned, _ = curate_corpus(recipe(run), run.store, run.progress).classifiers["classifier"]
    assert rates[:3] == [0.5, 0.25, 0.125]
    assert learned.tries == (
        (0, 0.5, "Encountered NaN."), (1, 0.25, "Encountered NaN."), (2, 0.125, "ok")
    )  # fmt: skip
    assert [note for note in run.progress.notes if "a training failed (Encountered NaN.)" in note][1:] == [
        "classifier: a training failed (Encountered NaN.) with seed 1 and learning rate 0.25; tried again"
    ]
    [row] = run.store.rows("SELECT num_trainings, tries FROM classifiers")
    assert row["num_trainings"] == 3
    assert [each["outcome"] for each in row["tries"]] == ["Encountered NaN.", "Encountered NaN.", "ok"]


def test_nothing_but_nan_is_a_message_and_no_verdict(run, monkeypatch) -> None:
    import fasttext

    fill(run)

    def always_nan(**_: object) -> object:
        raise RuntimeError("Encountered NaN.")

    monkeypatch.setattr(fasttext, "train_supervised", always_nan)
    with pytest.raises(SetupError, match=r"in 3 trainings, down to a learning rate of 0.125"):
        curate_corpus(recipe(run), run.store, run.progress)
    assert run.column("SELECT * FROM all_verdicts") == []


def test_another_error_of_fasttext_is_not_taken_for_a_nan(run, monkeypatch) -> None:
    import fasttext

    fill(run)

    def broken(**_: object) -> object:
        raise RuntimeError("something else")

    monkeypatch.setattr(fasttext, "train_supervised", broken)
    with pytest.raises(RuntimeError, match="something else"):
        curate_corpus(recipe(run), run.store, run.progress)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nothing FROM documents", "positives does not run"),
        ("DROP VIEW documents", "positives does not run"),
        ("SELECT * FROM read_csv('/etc/passwd')", "positives does not run"),
        ("COPY documents TO 'out.parquet'", "positives does not run"),
        ("SELECT 'a'; SELECT 'b'", "positives does not run"),
        ("SELECT num_tokens FROM documents", "gives 'num_tokens' of type int64"),
    ],
)
def test_a_query_that_gives_no_ids_is_refused(run, sql: str, message: str) -> None:
    fill(run, num_labels=5)
    with pytest.raises(RecipeError, match=message):
        curate_corpus(recipe(run, positives=sql), run.store, run.progress)


def test_a_row_with_both_labels_has_none(run) -> None:
    fill(run)
    report = curate_corpus(recipe(run, negatives=f"{NEGATIVES} OR doc_id = 'g1'"), run.store, run.progress)
    learned, _ = report.classifiers["classifier"]
    assert (learned.num_positives, learned.num_negatives) == (59, 60)
    assert "1 rows are positive and negative at once" in run.progress.notes[0]


def test_chats_are_not_judged_by_a_classifier_of_documents(run) -> None:
    fill(run)
    run.add_chats({"chat": [("assistant", BAD)]})
    report = curate_corpus(recipe(run), run.store, run.progress)
    assert report.outcomes["classifier", "keep", "not applicable"] == 1
    assert report.num_kept["chats"] == 1


def test_a_text_can_hold_no_label_and_no_line_end() -> None:
    assert as_line("__label__positive\nyes") == "label positive yes"


def test_a_text_without_words_has_a_probability_too(run, make_prose: Callable[..., str]) -> None:
    fill(run)
    run.add_documents({"empty": "..."})
    curate_corpus(recipe(run), run.store, run.progress)
    [value] = run.column("SELECT value FROM scores WHERE doc_id = 'empty'")
    assert isinstance(value, float)
    assert 0 <= value <= 1


def two(run, **settings: object):
    given = {"buckets": 1000, "epochs": 10}
    labels = {"positives": POSITIVES, "negatives": NEGATIVES}
    swapped = {"positives": NEGATIVES, "negatives": POSITIVES}
    filters = [
        {"classifier": {"name": "kind", **labels, **given, **settings}},
        {"classifier": {"name": "rude", "min_probability": 0, **swapped, **given}},
    ]
    return run.recipe(curate={"filters": filters, "duplicates": None})


def test_several_classifiers_have_names_and_rows_of_their_own(run) -> None:
    fill(run)
    report = curate_corpus(two(run), run.store, run.progress)
    assert list(report.classifiers) == ["kind", "rude"]
    found = run.store.rows("SELECT scorer, value FROM scores WHERE doc_id = 'like good' ORDER BY scorer")
    assert found[0]["value"] > 0.5 > found[1]["value"]
    assert run.column("SELECT DISTINCT filter FROM verdicts WHERE outcome = 'drop'") == ["kind"]
    [kind, _] = run.store.rows("SELECT * FROM classifiers ORDER BY classifier")
    learned, threshold = report.classifiers["kind"]
    at = learned.held_out.at(threshold)
    assert (kind["auc"], kind["precision"], kind["recall"]) == (learned.auc, at.precision, at.recall)
    assert kind["thresholds"] == [one._asdict() for one in learned.at_thresholds(threshold)]
    assert kind["auc_low"] < kind["auc"] == kind["auc_high"] == 1.0


def test_training_one_leaves_the_others_and_judges_nothing(run) -> None:
    fill(run)
    curate_corpus(two(run), run.store, run.progress)
    before = run.column("SELECT outcome FROM verdicts ORDER BY doc_id, filter")
    trained = train_classifier(two(run, min_probability=0.9, epochs=5), run.store, "kind", run.progress)
    assert (trained.name, trained.threshold) == ("kind", 0.9)
    assert run.column("SELECT threshold FROM classifiers ORDER BY classifier") == [0.9, 0.0]
    assert run.column("SELECT outcome FROM verdicts ORDER BY doc_id, filter") == before
    with pytest.raises(RecipeError, match="no classifier 'length'; there are: kind, rude"):
        train_classifier(two(run), run.store, "length", run.progress)


def test_no_copy_of_a_held_out_text_is_learned_from(run) -> None:
    run.add_documents({f"g{n}": text(GOOD, n // 3) for n in range(60)}, set="good")
    run.add_documents({f"b{n}": text(BAD, 100 + n // 3) for n in range(60)}, set="bad")
    made = ClassifierSettings(positives=POSITIVES, negatives=NEGATIVES)
    ids = {one: frozenset(run.column(sql)) for one, sql in (("good", POSITIVES), ("bad", NEGATIVES))}
    examples = classifier_training._examples(run.store, made, Labels(ids["good"], ids["bad"]))
    held_out = {one.line for one in examples if one.held_out}
    assert len(examples) == 120
    assert 24 <= sum(one.held_out for one in examples) <= 28
    assert not held_out & {one.line for one in examples if not one.held_out}


def test_training_alone_on_one_class_or_too_few_rows_is_a_message(run) -> None:
    fill(run)
    nobody = "SELECT doc_id FROM documents WHERE false"
    with pytest.raises(DataError, match="cannot be trained: 60 positives and 0 negatives; 20 of each are needed"):
        train_classifier(two(run, negatives=nobody), run.store, "kind", run.progress)
    with pytest.raises(DataError, match="widen positives and negatives, or lower min_labels"):
        train_classifier(two(run, min_labels=61), run.store, "kind", run.progress)


def test_labels_that_are_of_no_row_are_noted(run) -> None:
    fill(run)
    curate_corpus(recipe(run, positives=f"{POSITIVES} UNION ALL SELECT 'nobody'"), run.store, run.progress)
    assert run.progress.notes == ["classifier: 1 of the positives are no documents of this run, such as 'nobody'"]
