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
from filters.form.length import Length, LengthSettings
from filters.form.rules import Rules, RulesSettings
from filters.gate import Gate
from filters.judges.judge import Judge, JudgeSettings
from filters.judges.rubric import Rubric
from filters.learned.classifier import Classifier, ClassifierSettings
from filters.learned.classifier_training import make_classifier
from filters.learned.genre_fidelity import GenreFidelity, GenreFidelitySettings
from filters.learned.genre_training import make_genre_fidelity
from filters.meaning.similar_questions import SimilarQuestions, SimilarQuestionsSettings, read_questions
from filters.meaning.similar_texts import SimilarTexts, SimilarTextsSettings, read_documents
from filters.signs.contamination import Contamination, ContaminationSettings
from filters.signs.eval_texts import clause_texts, held_out_clauses, own_files, read_items, shown_clauses
from filters.signs.identity import Identity, IdentitySettings
from filters.signs.language import Language, LanguageSettings
from filters.signs.language_model import load_language_model
from filters.signs.leaks import Leaks, LeaksSettings
from filters.signs.patterns import read_patterns
from filters.signs.recurring import RecurringPatterns, RecurringSettings
from filters.signs.refusal import Refusal, RefusalSettings
from filters.signs.spec_copying import SpecCopying, SpecCopyingSettings
from filters.signs.truncated import Truncated, TruncatedSettings

SETTINGS: Mapping[str, type[Section]] = {
    "length": LengthSettings,
    "rules": RulesSettings,
    "leaks": LeaksSettings,
    "refusal": RefusalSettings,
    "truncated": TruncatedSettings,
    "identity": IdentitySettings,
    "language": LanguageSettings,
    "spec_copying": SpecCopyingSettings,
    "contamination": ContaminationSettings,
    "recurring": RecurringSettings,
    "classifier": ClassifierSettings,
    "genre_fidelity": GenreFidelitySettings,
    "similar_questions": SimilarQuestionsSettings,
    "similar_texts": SimilarTextsSettings,
    "judge": JudgeSettings,
}
TURNS = (
    (
        *("length", "rules", "leaks", "refusal", "truncated", "identity", "language", "spec_copying"),
        *("contamination", "recurring", "classifier", "genre_fidelity"),
    ),
    ("similar_questions", "similar_texts"),
    ("judge",),
)
"""Who goes first, whatever the order in the recipe: a filter sees what those of the turns before it keep."""
MAX_FILTERS = 60
"""What is missing of a row is kept as one number, a bit a filter."""
_PLAIN: Mapping[str, type[TextFilter]] = {
    "length": Length, "rules": Rules, "leaks": Leaks, "refusal": Refusal, "truncated": Truncated,
}  # fmt: skip
FILTERS: Mapping[str, type[Filter]] = {
    **_PLAIN,
    "identity": Identity,
    "language": Language,
    "spec_copying": SpecCopying,
    "contamination": Contamination,
    "recurring": RecurringPatterns,
    "classifier": Classifier,
    "genre_fidelity": GenreFidelity,
    "similar_questions": SimilarQuestions,
    "similar_texts": SimilarTexts,
    "judge": Judge,
}
"""The filter of each name in `SETTINGS`."""


def filter_of(settings: Section) -> str:
    """Which filter these are the settings of, whatever name they give it."""
    return next(name for name, kind in SETTINGS.items() if type(settings) is kind)


def turns(settings: Mapping[str, Section]) -> list[dict[str, Section]]:
    """The settings of each turn in which filters go, by the filters' names, in the recipe's order."""
    return [{name: one for name, one in settings.items() if filter_of(one) in turn} for turn in TURNS]


def read_settings(recipe: Recipe) -> dict[str, Section]:
    """The settings of each filter that the recipe names, in its order, by the name its verdicts have.

    Raises:
        RecipeError: an unknown filter or setting, a wrong value, a filter named twice.
    """
    settings: dict[str, Section] = {}
    for entry in recipe.curate.filters:
        for name, given in ({entry: None} if isinstance(entry, str) else entry).items():
            if name not in SETTINGS:
                raise RecipeError(_unknown(name))
            read = read_one(name, given or {})
            own_name = str(getattr(read, "name", name))
            if own_name in settings:
                more = "; others need a `name`" if name == "classifier" else ""
                raise RecipeError(f"curate.filters names '{own_name}' twice; give it once, with all its settings{more}")
            if own_name != name and own_name in SETTINGS:
                raise RecipeError(f"curate.filters: a {name} cannot be called '{own_name}', as another filter is")
            settings[own_name] = read
    if len(settings) > MAX_FILTERS:
        raise RecipeError(f"curate.filters names {len(settings)} filters; at most {MAX_FILTERS} go together")
    score = recipe.curate.duplicates.score if recipe.curate.duplicates else None
    if score is not None and score.rpartition(".")[0] not in settings:
        scorer = score.rpartition(".")[0]
        raise RecipeError(
            f"curate.duplicates.score is {score}, but curate.filters has no {scorer or 'FILTER.SCORE of that form'}; "
            f"{nearest(scorer, settings)}"
        )
    return settings


def read_one(name: str, given: Mapping[str, object]) -> Section:
    """The settings of the filter of that name in `SETTINGS`.

    Raises:
        RecipeError: an unknown setting, or a wrong value.
    """
    try:
        return SETTINGS[name].model_validate(dict(given))
    except ValidationError as error:
        raise RecipeError(f"curate.filters: {name}: {explain(error, SETTINGS[name])}") from None


def make_filters(
    settings: Mapping[str, Section], recipe: Recipe, store: Store, gate: Gate, progress: Progress
) -> list[Filter]:
    """The filters with these settings, ready for the rows that come through the gate.

    Classifiers are trained, or loaded where they were trained before.

    Raises:
        RecipeError: a classifier's SQL does not give ids, its model does not know its label, a language is not known.
        DataError: a file that a filter names is not there or not what it should be.
        SetupError: a model that questions are compared with, or that tells languages, is not installed; no training
            succeeded.
    """
    return [_make_filter(name, settings[name], recipe, store, gate, progress) for name in settings]


def _make_filter(name: str, settings: Section, recipe: Recipe, store: Store, gate: Gate, progress: Progress) -> Filter:
    match settings:
        case ClassifierSettings():
            return make_classifier(settings, store, progress)
        case GenreFidelitySettings():
            return make_genre_fidelity(settings, recipe.curate.duplicates, store, progress)
        case SimilarQuestionsSettings():
            return SimilarQuestions(settings, read_questions(store, gate), store.root / "embeddings")
        case SimilarTextsSettings():
            return SimilarTexts(settings, read_documents(store, gate), store.root / "embeddings")
        case JudgeSettings():
            return Judge(settings, recipe, Rubric(recipe, store), gate)
        case _:
            return _make_text_filter(name, settings, recipe, store)


def _make_text_filter(name: str, settings: Section, recipe: Recipe, store: Store) -> Filter:
    """A filter that looks at one text at a time, with what it holds the text against."""
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
        case _:
            return _PLAIN[name](settings)


def _unknown(name: str) -> str:
    return f"curate.filters names '{name}', which is no filter; {nearest(name, SETTINGS)}"
