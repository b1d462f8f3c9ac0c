"""Training one classifier of a recipe by itself, and its row of the table `classifiers`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from corpus.errors import DataError, RecipeError, nearest
from corpus.recipe import Recipe
from corpus.stage import Progress
from corpus.store import Store, WritingStore
from filters.base import Filter
from filters.gate import Gate
from filters.judging import score_missing
from filters.learned.classifier import Classifier, ClassifierSettings
from filters.learned.classifier_report import ClassifierReport, report_tables, table_row, write_rows
from filters.learned.genre_fidelity import GenreFidelity, GenreFidelitySettings
from filters.learned.genre_training import FidelityReport, measure_fidelity
from filters.registry import make_filters, read_settings


@dataclass(frozen=True)
class TrainedReport:
    """One classifier: what it was trained on, and what it is worth."""

    name: str
    report: ClassifierReport | FidelityReport
    threshold: float

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person."""
        if isinstance(self.report, FidelityReport):
            return self.report.tables(self.threshold)
        return report_tables(self.name, self.report, self.threshold)


def train_classifier(recipe: Recipe, store: WritingStore, name: str, progress: Progress) -> TrainedReport:
    """See `filters.train_classifier`."""
    settings = read_settings(recipe)
    trainable = {
        key: one for key, one in settings.items() if isinstance(one, ClassifierSettings | GenreFidelitySettings)
    }
    if name not in trainable:
        raise RecipeError(f"curate.filters has no classifier '{name}'; {nearest(name, trainable)}")
    gate = Gate(recipe.curate.unjudged)
    [made] = make_filters({name: trainable[name]}, recipe, store, gate, progress)
    assert is_classifier(made)
    if isinstance(made, Classifier) and made.report.why_not is not None:
        raise DataError(
            f"{name} cannot be trained: {made.report.why_not}; widen positives and negatives, or lower min_labels"
        )
    if isinstance(made, GenreFidelity):
        score_missing(store, [made], gate, progress)
        fidelity = measure_fidelity(store, made)
        if fidelity.accuracy is None:
            raise DataError(
                f"{name} cannot be trained: fewer than two genres have {made.settings.min_documents} documents of "
                f"different origin; write more of them, or lower min_documents"
            )
    write_rows(store, [classifier_row(store, made)], keep_others=True)
    report = fidelity if isinstance(made, GenreFidelity) else made.report
    return TrainedReport(name, report, made.settings.min_probability)


def is_classifier(made: Filter) -> TypeGuard[Classifier | GenreFidelity]:
    """Whether a filter has a row in the table `classifiers`."""
    return isinstance(made, Classifier | GenreFidelity)


def classifier_row(store: Store, made: Classifier | GenreFidelity) -> dict[str, object]:
    """What the table `classifiers` says of it."""
    threshold = made.settings.min_probability
    if isinstance(made, Classifier):
        return table_row(made.name, made.report, threshold)
    found = measure_fidelity(store, made)
    report = ClassifierReport(made.model_id, "genres", None, None, tries=found.tries)
    return table_row(made.name, report, threshold, num_scored=found.num_scored, accuracy=found.accuracy)
