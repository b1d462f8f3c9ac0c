"""Which language a piece of text is in: by a fastText model where there is one, else by py3langid, of 140 languages.

py3langid (BSD-3-Clause, numpy alone, no pickles) carries its model in the package, so that nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol, cast

from corpus.errors import RecipeError, SetupError, nearest
from corpus.store.identity import file_id
from filters.learned.fasttext_file import read_labels

_PREFIX = "__label__"


class LanguageModel(Protocol):
    """Names the language of pieces of text."""

    made_by: list[object]
    """What its answers depend on, for a scorer's hash."""

    def identify(self, pieces: Sequence[str]) -> list[tuple[str, float]]:
        """The most probable language of each piece, and its probability."""


def load_language_model(model_file: Path | None, language: str) -> LanguageModel:
    """The model that tells `language` from others.

    Raises:
        DataError: the file is no fastText model with labels.
        RecipeError: it does not know the language.
        SetupError: py3langid is not installed.
    """
    if model_file is None:
        known, where = _packaged_languages(), "py3langid"
    else:
        labels = read_labels(model_file, "language.model_file")
        known, where = [label.removeprefix(_PREFIX) for label in labels], str(model_file)
    if language not in known:
        raise RecipeError(f"language.language is '{language}', which {where} does not know; {nearest(language, known)}")
    return Packaged() if model_file is None else FastText(model_file)


class FastText:
    """A fastText model whose labels are languages, such as lid.176."""

    def __init__(self, path: Path) -> None:
        import fasttext

        self.made_by: list[object] = [file_id(path)]
        self._model = fasttext.load_model(str(path))

    def identify(self, pieces: Sequence[str]) -> list[tuple[str, float]]:
        """See `LanguageModel.identify`."""
        # One line each: to fastText a line's end ends the text.
        labels, probabilities = self._model.predict([" ".join(piece.split()) for piece in pieces], k=1)
        return [
            (of_piece[0].removeprefix(_PREFIX), float(values[0])) if of_piece else ("", 0.0)
            for of_piece, values in zip(labels, probabilities, strict=True)
        ]


class Packaged:
    """py3langid with the model of its package."""

    def __init__(self) -> None:
        from importlib.metadata import version

        self.made_by: list[object] = ["py3langid", version("py3langid")]

    def identify(self, pieces: Sequence[str]) -> list[tuple[str, float]]:
        """See `LanguageModel.identify`."""
        return [_identifier().classify(piece) for piece in pieces]


@cache
def _identifier() -> _Identifier:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise SetupError("the filter language needs py3langid; install it with: make setup") from None
    return cast("_Identifier", LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True))


class _Identifier(Protocol):
    nb_classes: list[str]

    def classify(self, instance: str) -> tuple[str, float]:
        """The most probable language and its probability."""


def _packaged_languages() -> list[str]:
    return sorted(set(_identifier().nb_classes))
