"""The filters there are, and those that a recipe asks for."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from corpus.errors import RecipeError, nearest
from corpus.recipe import Recipe, Section
from corpus.recipe.file import explain
from corpus.stage import Progress
from corpus.store import Store
from filters.base import KINDS, Filter, TextFilter
from filters.classifier import Classifier, ClassifierSettings, train_classifier
from filters.contamination import Contamination, ContaminationSettings
from filters.eval_texts import clause_texts, held_out_clauses, own_files, read_items, shown_clauses
from filters.gate import Gate
from filters.identity import Identity, IdentitySettings
from filters.judge import Judge, JudgeSettings
from filters.language import Language, LanguageSettings
from filters.language_model import load_language_model
from filters.leaks import Leaks, LeaksSettings
from filters.length import Length, LengthSettings
from filters.patterns import read_patterns
from filters.recurring import RecurringPatterns, RecurringSettings
from filters.refusal import Refusal, RefusalSettings
from filters.repetition import Repetition, RepetitionSettings
from filters.rubric import Rubric
from filters.similar_questions import SimilarQuestions, SimilarQuestionsSettings, read_questions
from filters.spec_copying import SpecCopying, SpecCopyingSettings
from filters.truncated import Truncated, TruncatedSettings

SETTINGS: Mapping[str, type[Section]] = {
    "length": LengthSettings,
    "repetition": RepetitionSettings,
    "leaks": LeaksSettings,
    "refusal": RefusalSettings,
    "truncated": TruncatedSettings,
    "identity": IdentitySettings,
    "language": LanguageSettings,
    "spec_copying": SpecCopyingSettings,
    "contamination": ContaminationSettings,
    "recurring": RecurringSettings,
    "classifier": ClassifierSettings,
    "similar_questions": SimilarQuestionsSettings,
    "judge": JudgeSettings,
}
TURNS = (
    (
        *("length", "repetition", "leaks", "refusal", "truncated", "identity", "language", "spec_copying"),
        *("contamination", "recurring", "classifier"),
    ),
    ("similar_questions",),
    ("judge",),
)
"""Who goes first, whatever the order in the recipe: a filter sees what those of the turns before it keep."""
_PLAIN: Mapping[str, type[TextFilter]] = {
    "length": Length, "repetition": Repetition, "leaks": Leaks, "refusal": Refusal, "truncated": Truncated,
}  # fmt: skip


def read_settings(recipe: Recipe) -> dict[str, Section]:
    """The settings of each filter that the recipe names, in its order.

    Raises:
        RecipeError: an unknown filter or setting, a wrong value, a filter named twice.
    """
    settings: dict[str, Section] = {}
    for entry in recipe.curate.filters:
        for name, given in ({entry: None} if isinstance(entry, str) else entry).items():
            if name not in SETTINGS:
                raise RecipeError(_unknown(name))
            if name in settings:
                raise RecipeError(f"curate.filters names '{name}' twice; give it once, with all its settings")
            try:
                settings[name] = SETTINGS[name].model_validate(dict(given or {}))
            except ValidationError as error:
                raise RecipeError(f"curate.filters: {name}: {explain(error, SETTINGS[name])}") from None
    return settings


def make_filters(
    settings: Mapping[str, Section], recipe: Recipe, store: Store, gate: Gate, progress: Progress
) -> list[Filter]:
    """The filters with these settings, ready for the rows that come through the gate.

    A classifier is trained, or loaded where it was trained before.

    Raises:
        RecipeError: a classifier's SQL does not give ids, a language is not known.
        DataError: a file that a filter names is not there or not what it should be.
        SetupError: the model that questions are compared with, or that tells languages, is not installed.
    """
    return [_make_filter(name, settings[name], recipe, store, gate, progress) for name in settings]


def _make_filter(name: str, settings: Section, recipe: Recipe, store: Store, gate: Gate, progress: Progress) -> Filter:
    match settings:
        case LanguageSettings():
            return Language(settings, load_language_model(settings.model_file, settings.language))
        case IdentitySettings():
            names = (recipe.spec.model_name, recipe.spec.provider_name) if recipe.spec else (None, None)
            return Identity(settings, *names)
        case SpecCopyingSettings():
            return SpecCopying(settings, clause_texts(store))
        case ContaminationSettings():
            files = [*(own_files() if settings.own_items else ()), *settings.files]
            texts = [text for file in files for text in read_items(file)]
            texts += held_out_clauses(store) if settings.held_out_clauses else []
            return Contamination(settings, texts, shown_clauses(store))
        case RecurringSettings():
            return RecurringPatterns(settings, {kind: read_patterns(recipe, store, kind) for kind in KINDS})
        case ClassifierSettings():
            return Classifier(settings, train_classifier(settings, store, progress))
        case SimilarQuestionsSettings():
            return SimilarQuestions(settings, read_questions(store, gate), store.root / "embeddings")
        case JudgeSettings():
            return Judge(settings, recipe, Rubric(recipe, store), gate)
        case _:
            return _PLAIN[name](settings)


def _unknown(name: str) -> str:
    return f"curate.filters names '{name}', which is no filter; {nearest(name, SETTINGS)}"
