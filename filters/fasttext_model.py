"""Training a fastText model on labelled lines, measuring it, and keeping it in fastText's own file format."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, cast

from corpus.errors import SetupError
from corpus.stage import Progress
from corpus.store.identity import draw
from corpus.store.parts import TEMPORARY, replace_durably, write_durably

MAX_ATTEMPTS = 3
"""Trainings before giving up on "Encountered NaN", each at half the learning rate of the one before."""
NUM_CONTROLS = 5
"""Trainings with shuffled labels; their mean AUC shows what the number is worth: 0.5 when nothing leaks."""
POSITIVE = "__label__positive"
NEGATIVE = "__label__negative"


class Model(Protocol):
    """What is used of fastText's model."""

    def predict(self, text: list[str], k: int) -> tuple[list[list[str]], list[Sequence[float]]]:
        """Labels and probabilities of each line, the most probable first."""

    def save_model(self, path: str) -> None:
        """Write the model's file."""


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled row as one line of words."""

    id: str
    line: str
    positive: bool
    held_out: bool


@dataclass(frozen=True)
class ClassifierReport:
    """What the classifier was trained on and what it is worth."""

    model_id: str
    num_positives: int
    num_negatives: int
    num_held_out: int
    """Labelled rows, of those above, that it was measured on and not trained on."""
    auc: float | None
    """Area under the ROC curve on the held-out rows (sklearn); None where nothing was trained."""
    control_auc: float | None
    """The same after training with shuffled labels, the mean of `NUM_CONTROLS`."""
    attempts: int
    """Trainings that the model took; more than one when fastText met a NaN."""
    why_not: str | None = None
    """Why nothing was trained."""


@dataclass(frozen=True)
class Trained:
    """A model and its report; without a model where there was too little to learn from."""

    report: ClassifierReport
    model: Model | None

    def probabilities(self, lines: Sequence[str]) -> list[float]:
        """The probability of being positive, of each line."""
        assert self.model is not None, self.report
        return _probabilities(self.model, lines)


def train_or_load(
    folder: Path,
    model_id: str,
    examples: Sequence[Example],
    parameters: Mapping[str, float],
    *,
    min_labels: int,
    progress: Progress,
) -> Trained:
    """The model of that id in `folder`, trained now unless it is there. The report, written last, says it is whole.

    Raises:
        SetupError: fastText met a NaN in every attempt.
    """
    import fasttext

    num_positives = sum(example.positive for example in examples)
    num_negatives = len(examples) - num_positives
    if min(num_positives, num_negatives) < min_labels:
        why_not = f"{num_positives} positives and {num_negatives} negatives; {min_labels} of each are needed"
        progress.note(f"classifier: judges nothing: {why_not}")
        return Trained(ClassifierReport(model_id, num_positives, num_negatives, 0, None, None, 0, why_not), None)
    name = model_id.removeprefix("b2:")
    model_path, report_path = folder / f"{name}.bin", folder / f"{name}.json"
    if not report_path.exists():
        model, report = _train_and_measure(model_id, examples, parameters)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{TEMPORARY}{os.getpid()}-{name}.bin"
        model.save_model(str(temporary))
        replace_durably(temporary, model_path)
        write_durably(report_path, json.dumps(asdict(report), indent=1).encode())
    # What is judged with is always what lies in the folder.
    model = cast("Model", fasttext.load_model(str(model_path)))
    return Trained(ClassifierReport(**json.loads(report_path.read_bytes())), model)


def _train_and_measure(
    model_id: str, examples: Sequence[Example], parameters: Mapping[str, float]
) -> tuple[Model, ClassifierReport]:
    train = [example for example in examples if not example.held_out]
    held_out = [example for example in examples if example.held_out]
    labels = [example.positive for example in train]
    model, attempts = _train(train, labels, parameters)
    controls = []
    for control in range(NUM_CONTROLS):
        shuffled = sorted(train, key=lambda example: draw("control", control, example.id))
        controls.append(_auc(_train(train, [example.positive for example in shuffled], parameters)[0], held_out))
    return model, ClassifierReport(
        model_id,
        sum(example.positive for example in examples),
        sum(not example.positive for example in examples),
        len(held_out),
        _auc(model, held_out),
        sum(controls) / len(controls),
        attempts,
    )


def _train(examples: Sequence[Example], labels: Sequence[bool], parameters: Mapping[str, float]) -> tuple[Model, int]:
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labelled.txt"
        with path.open("w", encoding="utf-8") as file:
            for example, positive in zip(examples, labels, strict=True):
                file.write(f"{POSITIVE if positive else NEGATIVE} {example.line}\n")
        for attempt in range(MAX_ATTEMPTS):
            halved = {**parameters, "lr": parameters["lr"] / 2**attempt}
            try:
                # More than one thread would race for the weights: another model each time.
                model = fasttext.train_supervised(input=str(path), thread=1, verbose=0, **halved)
            except RuntimeError as error:
                if "NaN" not in str(error):
                    raise
            else:
                return cast("Model", model), attempt + 1
    raise SetupError(
        f"fastText met numbers that are none in {MAX_ATTEMPTS} trainings, down to a learning rate of {halved['lr']}; "
        f"lower classifier.learning_rate, or check that the package is fasttext-community"
    )


def _auc(model: Model, examples: Sequence[Example]) -> float:
    from sklearn.metrics import roc_auc_score

    truth = [example.positive for example in examples]
    return float(roc_auc_score(truth, _probabilities(model, [example.line for example in examples])))


def _probabilities(model: Model, lines: Sequence[str]) -> list[float]:
    found_labels, found_probabilities = model.predict(list(lines), k=2)
    both = zip(found_labels, found_probabilities, strict=True)
    return [float(dict(zip(labels, values, strict=True)).get(POSITIVE, 0.0)) for labels, values in both]
