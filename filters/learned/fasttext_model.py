"""Training fastText on labelled lines, again where it fails, and keeping the model in fastText's own file format."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from corpus.errors import DataError, SetupError
from corpus.store.parts import TEMPORARY, replace_durably

MAX_TRIES = 3
"""Trainings before giving up on "Encountered NaN", each with another seed and half the learning rate."""
PREFIX = "__label__"


class Model(Protocol):
    """What is used of fastText's model."""

    def predict(self, text: list[str], k: int) -> tuple[list[list[str]], list[Sequence[float]]]:
        """Labels and probabilities of each line, the most probable first."""

    def get_labels(self) -> list[str]:
        """All labels."""

    def save_model(self, path: str) -> None:
        """Write the model's file."""


class Guess(NamedTuple):
    """What a model says of one text."""

    probability: float
    """Of the label that was asked about; 0 where the model does not know it."""
    likeliest: str
    """The most probable label."""


class Try(NamedTuple):
    """One training."""

    seed: int
    learning_rate: float
    outcome: str
    """`ok`, or what fastText said."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of words to learn from."""

    line: str
    label: str
    """With fastText's prefix."""


def train(examples: Iterable[Labelled], parameters: Mapping[str, float]) -> tuple[Model, tuple[Try, ...]]:
    """A model, and the trainings that it took.

    Args:
        examples: In the order in which they are learned from.
        parameters: fastText's, by its own names; `seed` and `lr` are those of the first try.

    Raises:
        SetupError: fastText met a NaN in every try.
    """
    import fasttext

    tries: list[Try] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labelled.txt"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{example.label} {example.line}\n" for example in examples)
        for number in range(MAX_TRIES):
            seed, rate = int(parameters["seed"]) + number, parameters["lr"] / 2**number
            try:
                # More than one thread would race for the weights: another model each time.
                model = fasttext.train_supervised(
                    input=str(path), thread=1, verbose=0, **{**parameters, "seed": seed, "lr": rate}
                )
            except RuntimeError as error:
                if "NaN" not in str(error):
                    raise
                tries.append(Try(seed, rate, str(error)))
            else:
                return cast("Model", model), (*tries, Try(seed, rate, "ok"))
    raise SetupError(
        f"fastText met numbers that are none in {MAX_TRIES} trainings, down to a learning rate of {rate}; "
        f"lower the filter's learning_rate, or check that the package is fasttext-community"
    )


def save(model: Model, path: Path) -> None:
    """Keep a model's file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    model.save_model(str(temporary))
    replace_durably(temporary, path)


def load(path: Path) -> Model:
    """The model in a file of ours, or in one whose labels `read_labels` could read."""
    import fasttext

    return cast("Model", fasttext.load_model(str(path)))


def guess(model: Model, lines: Sequence[str], labels: Sequence[str]) -> list[Guess]:
    """What a model says of each line: how probable one label is, each line's own, and which is the likeliest.

    Raises:
        DataError: the model's numbers are none.
    """
    try:
        found_labels, found_probabilities = model.predict(list(lines), k=-1)
    except RuntimeError as error:  # a NaN, which a sound training never leaves
        raise DataError(
            f"a fastText model gives no probabilities ({error}): its file was damaged; give another one, or, if "
            f"this run trained it, delete the run's folder fasttext"
        ) from None
    guesses = []
    for wanted, known, values in zip(labels, found_labels, found_probabilities, strict=True):
        # fastText's table of exponentials may pass 1 by a hair.
        by_label = {label: min(1.0, float(value)) for label, value in zip(known, values, strict=True)}
        guesses.append(Guess(by_label.get(wanted, 0.0), known[0] if known else ""))
    return guesses
