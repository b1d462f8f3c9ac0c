"""The section `curate`: which filters judge the rows, and what makes two rows duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, ValidationInfo

from corpus.recipe.base import RecipePath, Section, Settings, beside_recipe, model_beside_recipe


def _filter_files_beside_recipe(
    value: list[str | dict[str, Settings | None]], info: ValidationInfo
) -> list[str | dict[str, Settings | None]]:
    """The settings of filters are checked by their room, which no longer knows where the recipe was.

    Places are: `model` where it is written as one, `NAME_file`, and `path` in each of `files`.
    """

    def place(key: str, setting: object) -> object:
        if isinstance(setting, str) and key == "model":
            return model_beside_recipe(setting, info)
        if isinstance(setting, str) and (key.endswith("_file") or key == "path"):
            return str(beside_recipe(Path(setting), info))
        if isinstance(setting, list) and key == "files":
            return [placed(file) if isinstance(file, Mapping) else file for file in setting]
        return setting

    def placed(settings: Settings | None) -> Settings | None:
        return {key: place(key, setting) for key, setting in settings.items()} if settings else settings

    return [
        entry if isinstance(entry, str) else {name: placed(settings) for name, settings in entry.items()}
        for entry in value
    ]


FilterEntries = Annotated[list[str | dict[str, Settings | None]], AfterValidator(_filter_files_beside_recipe)]


class Duplicates(Section):
    """Exact and near-duplicates."""

    shingle_words: PositiveInt = 5
    """Words in one shingle (words)."""
    bands: PositiveInt = 20
    """Bands of the signature."""
    rows: PositiveInt = 6
    """Rows of one band: with 20 bands a pair of Jaccard 0.8 becomes a candidate with p = 0.998."""
    min_jaccard: float = Field(0.8, gt=0, le=1)
    """Exact Jaccard of the shingle sets from which two texts are near-duplicates (fraction)."""
    score: str | None = Field(None, pattern=r"^[^.]+[.].+$")
    """`FILTER.SCORE`, such as `judge.natural`: of equally rare members of a cluster the highest one survives."""
    against: tuple[RecipePath, ...] = ()
    """Folders of other runs: a row of this one gives way to a curated row of theirs that it is a duplicate of."""


class Curate(Section):
    """Which filters judge the rows, and what makes two rows duplicates."""

    filters: FilterEntries = Field(["length", "rules", "leaks"])
    """Names, or `name: {setting: value}`; each is checked by the filters room."""
    duplicates: Duplicates | None = Duplicates()
    """null: duplicates are not looked for."""
    unjudged: Literal["keep", "drop"] = "keep"
    """What becomes of a row that a filter could not judge; the report counts them."""

    def engines(self) -> dict[str, str]:
        """The engine that each filter names, of those that name one."""
        named = {
            name: (settings or {}).get("engine")
            for entry in self.filters
            if not isinstance(entry, str)
            for name, settings in entry.items()
        }
        return {name: engine for name, engine in named.items() if isinstance(engine, str)}
