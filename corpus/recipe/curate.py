"""The section `curate`: which filters judge the rows, and what makes two rows duplicates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from corpus.recipe.base import RecipePath, Section, Settings, files_beside_recipe

FilterEntries = Annotated[list[str | dict[str, Settings | None]], AfterValidator(files_beside_recipe)]


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
