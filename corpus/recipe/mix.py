"""The section `mixes`: named sets of rows to train on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from corpus.recipe.base import Section


class Mix(Section):
    """One sampled set of rows, written as train-ready shards."""

    kind: Literal["documents", "chats"] = "documents"
    """What is mixed."""
    tokens: PositiveInt | None = None
    """Budget (tokens of `train.model`); null: everything once."""
    genres: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Share of each genre in the budget; null: as they come."""
    sets: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Share of each set (`generated` or an import's name) in the budget; null: as they come."""
    repeats: PositiveInt = 1
    """How often one row may stand in the mix, at most."""
    reasoning: Literal["with", "without", "both"] | None = None
    """Which of two chats that differ only in their reasoning is taken; null: there are no such chats."""
    shortfall: Literal["allow", "refuse"] = "refuse"
    """A budget larger than the corpus: `allow` takes what there is, `refuse` stops with a table of what is short."""

    @model_validator(mode="after")
    def _shares(self) -> Mix:
        for key, shares in (("genres", self.genres), ("sets", self.sets)):
            if shares is not None and sum(shares.values()) <= 0:
                raise ValueError(f"{key}: the shares sum to 0 ({shares}); give at least one more than 0")
        if self.kind == "chats" and self.genres is not None:
            raise ValueError("genres: chats have no genre; mix them by `sets`")
        if self.kind == "documents" and self.reasoning is not None:
            raise ValueError(f"reasoning ({self.reasoning}): documents have none; leave it out")
        return self
