"""fastText classifiers: the run's own, trained on rows that SQL chooses, or a file that the user brings.

Each has a name, under which its scores, its verdicts and its row of the table `classifiers` are found. What it is
worth is measured on rows it has not learned from, and, for one of the run's own, beside classifiers of shuffled labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from corpus.recipe.base import Name
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.learned.classifier_report import ClassifierReport
from filters.learned.fasttext_settings import FastTextSettings
from filters.learned.guessing import Guesser

HELD_OUT_ONE_IN = 5
"""Labelled rows that the classifier is measured on instead of trained on: one in five of each label."""


class ClassifierSettings(FastTextSettings):
    """What to learn, how, and from which probability on a row is kept. May be given several times, with other names."""

    name: Name = "classifier"
    """What it is called: where scores, verdicts and `--train-classifier` speak of it."""
    positives: str | None = None
    """SQL over the run's views for the ids of rows to keep more of (first column: doc_id, or chat_id)."""
    negatives: str | None = None
    """SQL for the ids of rows to keep less of. A row that both queries give has no label."""
    model: str | None = None
    """A fastText classifier of your own (`./helpful.bin`) instead of one trained here; the labels then only measure."""
    label: str | None = None
    """The label of that model that is kept, with its prefix (`__label__helpful`)."""
    applies_to: Literal["documents", "chats"] = "documents"
    """What is labelled and judged."""
    min_probability: float = Field(0.5, ge=0, le=1)
    """Kept from this probability of being positive on (fraction; ours: the more likely label). 0 only scores."""
    min_labels: PositiveInt = Field(20, ge=HELD_OUT_ONE_IN)
    """Labelled rows needed on each side; with fewer nothing is judged (rows; ours: at 20 the AUC rests on 16 pairs)."""

    @model_validator(mode="after")
    def _has_a_source(self) -> ClassifierSettings:
        if (self.positives is None) != (self.negatives is None):
            raise ValueError("positives and negatives belong together; give both queries")
        if self.model is None and self.positives is None:
            raise ValueError("give positives and negatives (two queries), or model and label (a fastText file)")
        if (self.model is None) != (self.label is None):
            raise ValueError("model and label belong together: a fastText file, and which of its labels is kept")
        return self

    def trained_with(self) -> dict[str, object]:
        """All that the training depends on: neither the name nor the threshold."""
        return self.model_dump(mode="json", exclude={"name", "min_probability", "model", "label"})


class Classifier(TextFilter):
    """The probability that a row is like the positives."""

    name = "classifier"
    version = 2
    thresholds: ClassVar[Mapping[str, str]] = {"min_probability": "probability"}
    settings: ClassifierSettings

    def __init__(self, settings: ClassifierSettings, report: ClassifierReport, model: Path | None) -> None:
        """Judge with a model's file that is there already; None: there was too little to learn from."""
        super().__init__(settings)
        self.report = report
        self._model = model
        self._label = settings.label or POSITIVE
        self._guesser = Guesser(words_only=settings.model is None)

    def scored_with(self) -> list[object]:
        """The model; see `Filter.scored_with`."""
        return [self.report.model_id]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`."""
        if self._model is None:
            return [[Score("probability", None, label="unjudged", evidence=self.report.why_not)] for _ in rows]
        guesses = self._guesser.guess(self._model, [row.text for row in rows], [self._label] * len(rows))
        return [[Score("probability", one.probability)] for one in guesses]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        probability = scores["probability"].value
        if probability is None:
            return Verdict("unjudged", "too few labels")
        return KEEP if probability >= self.settings.min_probability else Verdict("drop", "improbable")


POSITIVE = "__label__positive"
NEGATIVE = "__label__negative"
