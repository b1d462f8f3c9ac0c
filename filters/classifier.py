"""A fastText classifier of the run's own: trained on rows that SQL chooses, measured on some it never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, PositiveInt

from corpus.recipe import Section
from corpus.stage import Progress
from corpus.store import Store
from corpus.store.identity import content_id, draw
from filters.base import KEEP, Kind, Row, Score, TextFilter, Verdict
from filters.fasttext_model import Example, Trained, train_or_load
from filters.labels import read_labels
from filters.rows import in_blocks, read_rows
from filters.text import words

HELD_OUT_ONE_IN = 5
"""Labelled rows that the classifier is measured on instead of trained on: one in five of each label."""


class ClassifierSettings(Section):
    """What to learn, how, and from which probability on a row is kept."""

    positives: str
    """SQL over the run's views for the ids of rows to keep more of (first column: doc_id, or chat_id)."""
    negatives: str
    """SQL for the ids of rows to keep less of. A row that both queries give has no label."""
    applies_to: Literal["documents", "chats"] = "documents"
    """What is labelled and judged."""
    min_probability: float = Field(0.5, ge=0, le=1)
    """Kept from this probability of being positive on (fraction; ours: the more likely label)."""
    min_labels: PositiveInt = Field(20, ge=HELD_OUT_ONE_IN)
    """Labelled rows needed on each side; with fewer nothing is judged (rows; ours: at 20 the AUC rests on 16 pairs)."""
    seed: int = 0
    """fastText's seed; with its one thread it makes training repeatable."""
    epochs: PositiveInt = 25
    """Passes over the labelled rows (fastText's tutorial: 5 to 50)."""
    learning_rate: float = Field(0.5, gt=0, le=5)
    """Halved when training meets a number that is none (fastText's tutorial: 0.1 to 1.0)."""
    dim: PositiveInt = 32
    """Width of a word's vector; with few labels more only costs memory (ours)."""
    buckets: PositiveInt = 200_000
    """Hash buckets of the word pairs: 32 x 4 bytes each, 26 MB in all (ours; fastText: 2,000,000)."""
    ngram_words: PositiveInt = 2
    """Longest word sequence that is a feature (words; fastText's tutorial: 2)."""

    def trained_with(self) -> dict[str, object]:
        """All but the threshold."""
        return self.model_dump(mode="json", exclude={"min_probability"})


class Classifier(TextFilter):
    """The probability that a row is like the positives."""

    name = "classifier"
    version = 1
    settings: ClassifierSettings

    def __init__(self, settings: ClassifierSettings, trained: Trained) -> None:
        """Judge with a model that is there already."""
        super().__init__(settings)
        self.applies_to = frozenset[Kind]({settings.applies_to})
        self.trained = trained

    def scored_with(self) -> list[object]:
        """The model; see `Filter.scored_with`."""
        return [self.trained.report.model_id]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`."""
        why_not = self.trained.report.why_not
        if why_not is not None:
            return [[Score("probability", None, label="unjudged", evidence=why_not)] for _ in rows]
        probabilities = self.trained.probabilities([as_line(row.text) for row in rows])
        return [[Score("probability", probability)] for probability in probabilities]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        probability = scores["probability"].value
        if probability is None:
            return Verdict("unjudged", "too few labels")
        return KEEP if probability >= self.settings.min_probability else Verdict("drop", "improbable")


def as_line(text: str) -> str:
    """A text as fastText reads it: one line, words only, so that no text can hold a label or end the line."""
    return " ".join(words(text))


def train_classifier(settings: ClassifierSettings, store: Store, progress: Progress) -> Trained:
    """Train on what the queries label now, or load the model that was trained on exactly that.

    Raises:
        RecipeError: a query does not run, or its first column holds no ids.
    """
    positives = read_labels(store, "positives", settings.positives)
    negatives = read_labels(store, "negatives", settings.negatives)
    ambiguous = positives & negatives
    if ambiguous:
        progress.note(f"classifier: {len(ambiguous)} rows are positive and negative at once; they count as neither")
    examples = _examples(store, settings, positives - ambiguous, negatives - ambiguous)
    labelled = sorted((example.id, example.positive) for example in examples)
    model_id = content_id("classifier", Classifier.version, HELD_OUT_ONE_IN, settings.trained_with(), labelled)
    return train_or_load(
        store.root / "classifiers",
        model_id,
        examples,
        {
            "seed": settings.seed,
            "epoch": settings.epochs,
            "lr": settings.learning_rate,
            "dim": settings.dim,
            "bucket": settings.buckets,
            "wordNgrams": settings.ngram_words,
        },
        min_labels=settings.min_labels,
        progress=progress,
    )


def _examples(store: Store, settings: ClassifierSettings, positives: set[str], negatives: set[str]) -> list[Example]:
    """The labelled rows, in an order of chance; of each label, the first few are held out."""
    blocks = in_blocks(sorted(positives | negatives))
    rows = [row for block in blocks for row in read_rows(store, settings.applies_to, block)]
    rows.sort(key=lambda row: draw("classifier", settings.seed, row.id))
    examples: list[Example] = []
    for positive in (True, False):
        of_label = [row for row in rows if (row.id in positives) is positive]
        num_held_out = len(of_label) // HELD_OUT_ONE_IN
        examples += [
            Example(row.id, as_line(row.text), positive, held_out=index < num_held_out)
            for index, row in enumerate(of_label)
        ]
    examples.sort(key=lambda example: draw("classifier", settings.seed, example.id))
    return examples
