"""Makes a classifier ready: trained on what its queries label now, loaded where that was done, or the user's file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from corpus.errors import RecipeError, nearest
from corpus.stage import Progress
from corpus.store import Store
from corpus.store.identity import content_id, draw
from filters.learned.classifier import HELD_OUT_ONE_IN, NEGATIVE, POSITIVE, Classifier, ClassifierSettings
from filters.learned.classifier_report import ClassifierReport
from filters.learned.fasttext_file import read_labels as labels_of_file
from filters.learned.fasttext_model import Guess, Labelled, Model, Try, guess, load, save, train
from filters.learned.guessing import as_line, on_one_line
from filters.learned.labels import Labels, read_labels
from filters.learned.measuring import HeldOut
from filters.rows import READ_ROWS, stream_wanted

FOLDER = "fasttext"
"""Of a run: the models that were trained for it, under the hash of what made them."""
NUM_CONTROLS = 5
"""Trainings with shuffled labels; their mean AUC shows what the number is worth: 0.5 when nothing leaks."""


@dataclass(frozen=True, slots=True)
class _Example:
    """A labelled row as one line."""

    id: str
    line: str
    positive: bool
    held_out: bool


def make_classifier(settings: ClassifierSettings, store: Store, progress: Progress) -> Classifier:
    """The classifier of these settings, ready to score.

    Raises:
        RecipeError: a query does not run, or its first column holds no ids; the model does not know the label.
        SetupError: the user's model is no fastText classifier; fastText met a NaN in every try.
    """
    labels = None
    if settings.positives is not None and settings.negatives is not None:
        labels = read_labels(
            store, settings.name, settings.applies_to, settings.positives, settings.negatives, progress
        )
    if settings.model is not None and settings.label is not None:
        return _brought(settings, settings.label, Path(settings.model), labels, store)
    assert labels is not None, settings
    return _own(settings, labels, store, progress)


def _own(settings: ClassifierSettings, labels: Labels, store: Store, progress: Progress) -> Classifier:
    labelled = sorted([(one, True) for one in labels.positives] + [(one, False) for one in labels.negatives])
    model_id = content_id("classifier", Classifier.version, HELD_OUT_ONE_IN, settings.trained_with(), labelled)
    num_positives, num_negatives = len(labels.positives), len(labels.negatives)
    if min(num_positives, num_negatives) < settings.min_labels:
        why_not = f"{num_positives} positives and {num_negatives} negatives; {settings.min_labels} of each are needed"
        progress.note(f"{settings.name}: judges nothing: {why_not}")
        report = ClassifierReport(model_id, "labels", num_positives, num_negatives, why_not=why_not)
        return Classifier(settings, report, None)
    name = model_id.removeprefix("b2:")
    model_path, report_path = store.root / FOLDER / f"{name}.bin", store.root / FOLDER / f"{name}.json"
    report_there = ClassifierReport.read(report_path)
    if report_there is None:
        stage = f"train {settings.name}"
        progress.start(stage, 1)
        model, report = _train_and_measure(model_id, _examples(store, settings, labels), settings)
        save(model, model_path)
        report.save(report_path)
        for one in report.failed_tries:
            progress.note(
                f"{settings.name}: a training failed ({one.outcome}) with seed {one.seed} and learning rate "
                f"{one.learning_rate}; tried again"
            )
        progress.advance(stage, "ok")
        report_there = ClassifierReport.read(report_path)  # what is judged with is always what lies in the folder
    assert report_there is not None, report_path
    return Classifier(settings, report_there, model_path)


def _train_and_measure(
    model_id: str, examples: Sequence[_Example], settings: ClassifierSettings
) -> tuple[Model, ClassifierReport]:
    learned = [example for example in examples if not example.held_out]
    held_out = [example for example in examples if example.held_out]

    def fit(labels: Sequence[bool]) -> tuple[Model, HeldOut, Sequence[Try]]:
        lines = (
            Labelled(example.line, POSITIVE if positive else NEGATIVE)
            for example, positive in zip(learned, labels, strict=True)
        )
        model, tries = train(lines, settings.fasttext_parameters())
        return (
            model,
            _measure(held_out, guess(model, [one.line for one in held_out], [POSITIVE] * len(held_out))),
            tries,
        )

    model, measured, tries = fit([example.positive for example in learned])
    controls = []
    for control in range(NUM_CONTROLS):
        controls.append(fit(_shuffled(learned, control))[1].auc or 0.0)
    return model, ClassifierReport(
        model_id,
        "labels",
        sum(example.positive for example in examples),
        sum(not example.positive for example in examples),
        measured.positives,
        measured.negatives,
        sum(controls) / len(controls),
        tries,
    )


def _shuffled(examples: Sequence[_Example], control: int) -> list[bool]:
    """Labels of chance, as many of each, and as large a share of them among the positives as among the negatives.

    Were the shares left to chance, labels that are easy to tell apart would give controls near 0 or near 1.
    """
    share = sum(example.positive for example in examples) / len(examples)
    chosen: set[str] = set()
    for label in (True, False):
        of_label = [example.id for example in examples if example.positive is label]
        of_label.sort(key=lambda one: draw("control", control, one))
        chosen |= set(of_label[: round(len(of_label) * share)])
    return [example.id in chosen for example in examples]


def _brought(settings: ClassifierSettings, label: str, path: Path, labels: Labels | None, store: Store) -> Classifier:
    """The user's own file. It has learned from none of our rows, so that all that are labelled measure it."""
    labels_of_file(path, f"curate.filters: {settings.name}.model")
    model = load(path)
    if label not in model.get_labels():
        raise RecipeError(
            f"curate.filters: {settings.name}: {path} has no label '{label}'; {nearest(label, model.get_labels())}"
        )
    model_id = content_id("brought", _file_digest(path), label)
    if labels is None:
        return Classifier(settings, ClassifierReport(model_id, "file", 0, 0), path)
    ids = {True: labels.positives, False: labels.negatives}
    found: dict[bool, list[float]] = {True: [], False: []}
    for positive, of_label in ids.items():
        rows = stream_wanted(store, settings.applies_to, sorted(of_label))
        while lines := [on_one_line(row.text) for row in islice(rows, READ_ROWS)]:
            found[positive] += [one.probability for one in guess(model, lines, [label] * len(lines))]
    report = ClassifierReport(model_id, "file", len(ids[True]), len(ids[False]), found[True], found[False])
    return Classifier(settings, report, path)


def _measure(examples: Sequence[_Example], guesses: Sequence[Guess]) -> HeldOut:
    by_label: dict[bool, list[float]] = {True: [], False: []}
    for example, one in zip(examples, guesses, strict=True):
        by_label[example.positive].append(one.probability)
    return HeldOut(by_label[True], by_label[False])


def _examples(store: Store, settings: ClassifierSettings, labels: Labels) -> list[_Example]:
    """The labelled rows, in an order of chance; of each label, the first few are held out.

    The order hangs on the words, and copies of one text are held out together: none is measured by its own copy.
    """
    rows = stream_wanted(store, settings.applies_to, sorted(labels.positives | labels.negatives))
    lines = [(as_line(row.text), row.id) for row in rows]
    lines.sort(key=lambda one: (draw("classifier", settings.seed, one[0]), one))
    examples: list[_Example] = []
    for positive in (True, False):
        of_label = [one for one in lines if (one[1] in labels.positives) is positive]
        num_held_out = len(of_label) // HELD_OUT_ONE_IN
        held_out = {line for line, _ in of_label[:num_held_out]}
        examples += [_Example(row_id, line, positive, line in held_out) for line, row_id in of_label]
    examples.sort(key=lambda example: draw("classifier", settings.seed, example.id))
    return examples


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
