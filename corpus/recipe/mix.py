"""The section `mixes`: named sets of rows to train on, and the mixes that leave one part of another out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Discriminator, Field, NonNegativeInt, PositiveInt, Tag, model_validator

from corpus.recipe.base import Section
from corpus.store.identity import content_id

Axis = Literal["sets", "genres", "clauses"]
AXES: tuple[Axis, ...] = ("sets", "genres", "clauses")
"""By what a mix is divided, in this order: each axis divides every part that those before it made."""
Weights = dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]


class Budgets(Section):
    """Tokens of single parts, in place of one budget and shares of it; given for two axes, both have one sum."""

    sets: dict[str, NonNegativeInt] | None = None
    """Tokens of each set (tokens of `train.model`)."""
    genres: dict[str, NonNegativeInt] | None = None
    """Tokens of each genre (tokens of `train.model`)."""
    clauses: dict[str, NonNegativeInt] | None = None
    """Tokens of each clause or section of the spec (tokens of `train.model`)."""


Tokens = Annotated[
    Annotated[PositiveInt, Tag("number")] | Annotated[Budgets, Tag("parts")],
    # So that a fault is told of the one that was meant.
    Discriminator(lambda given: "parts" if isinstance(given, dict | Budgets) else "number"),
]


class Powers(Section):
    """Powers of the natural share: a part's share goes with its weight times its curated tokens to this power.

    1: as they come; 0: evenly. Between them small parts are raised, as multilingual models do with their languages
    (arXiv 1911.02116: 0.3).
    """

    sets: float | None = Field(None, ge=0, le=5)
    """Of sets; null: their weights alone."""
    genres: float | None = Field(None, ge=0, le=5)
    """Of genres; null: their weights alone."""
    clauses: float | None = Field(None, ge=0, le=5)
    """Of clauses; null: their weights alone. Without weights, every single clause is a part."""


class LeaveOut(Section):
    """Rows that a mix may not hold."""

    sets: list[str] = Field([])
    """All rows of these sets."""
    genres: list[str] = Field([])
    """All rows of these genres."""
    clauses: list[str] = Field([])
    """All rows that any of these clauses, or of the clauses of these sections, had a part in."""


class Ablate(Section):
    """Mixes of the same number of tokens, each without one part; `each` leaves out one after the other."""

    sets: list[str] | Literal["each"] = Field([])
    """Sets to leave out; `each`: those that the mix names."""
    genres: list[str] | Literal["each"] = Field([])
    """Genres to leave out; `each`: those that the mix names, else those of `generate.genres`."""
    clauses: list[str] | Literal["each"] = Field([])
    """Clauses or sections to leave out; `each`: those that the mix names."""


class Mix(Section):
    """One sampled set of rows, written as train-ready shards."""

    kind: Literal["documents", "chats"] = "documents"
    """What is mixed."""
    tokens: Tokens | None = None
    """Budget (tokens of `train.model`), or those of single parts; null: everything once, or with shares as much as
    keeps them."""
    genres: Weights | None = None
    """Share of each genre in every set that has genres; null: as they come."""
    sets: Weights | None = None
    """Share of each set (`generated` or an import's name) in the budget; null: as they come."""
    clauses: Weights | None = None
    """Share of each clause in every part whose rows come from clauses; null: as they come. A clause is named by its
    label or id, a section of the spec by a heading (`Honesty`), or by several with '/' between (`Honesty/Doubt`); `*`
    stands for anything. A row belongs to the first of its clauses that is named, under the narrowest of its names."""
    power: Powers = Powers()
    """Shares by what there is."""
    leave_out: LeaveOut = LeaveOut()
    """What stays out; the shares of the rest grow in proportion."""
    ablate: Ablate | None = None
    """For ablations: makes more mixes, `NAME-without-PART` for each part, and gives all of them and this one the same
    number of tokens: the budget, or where there is none (or `shortfall: allow`) the largest that each can meet."""
    repeats: PositiveInt = 1
    """How often one row may stand in the mix, at most."""
    reasoning: Literal["with", "without", "both"] | None = None
    """Which of two chats that differ only in their reasoning is taken; null: there are no such chats."""
    shortfall: Literal["allow", "refuse"] = "refuse"
    """A budget larger than the corpus: `allow` takes what there is, `refuse` stops with a table of what is short."""
    license: str = Field("unknown", pattern=r"^[a-z0-9][a-z0-9.-]*$")
    """Licence under which you give the mix to others, for its dataset card (an id of the Hugging Face hub, such as
    `cc-by-4.0`). Whether the licence of the model that wrote it allows that is yours to check."""

    @property
    def budget(self) -> int | None:
        """Tokens of the whole mix; None: as many as there are."""
        if isinstance(self.tokens, Budgets):
            budgets = (self.tokens.sets, self.tokens.genres, self.tokens.clauses)
            return next(sum(given.values()) for given in budgets if given is not None)
        return self.tokens

    def weights(self, axis: Axis) -> Mapping[str, float] | None:
        """Weights of the parts of an axis, also where they are given as tokens; None: it has none."""
        given: Mapping[str, float] | None = getattr(self, axis)
        return getattr(self.tokens, axis) if given is None and isinstance(self.tokens, Budgets) else given

    def is_divided_by(self, axis: Axis) -> bool:
        """Whether the mix has shares along an axis."""
        return self.weights(axis) is not None or getattr(self.power, axis) is not None

    @model_validator(mode="after")
    def _shares(self) -> Mix:
        budgets = self.tokens if isinstance(self.tokens, Budgets) else Budgets()
        sums = {axis: sum(given.values()) for axis in AXES if (given := getattr(budgets, axis)) is not None}
        if isinstance(self.tokens, Budgets) and len(set(sums.values())) != 1:
            raise ValueError(
                f"tokens: the budgets of {' and '.join(sums)} sum to {' and '.join(map(str, sums.values()))}; "
                "give them one sum"
                if sums
                else "tokens: no budget is given; give a number, or one of sets, genres and clauses"
            )
        for axis in AXES:
            if axis in sums and getattr(self, axis) is not None:
                raise ValueError(f"{axis}: given as shares and in tokens.{axis}; keep one")
            weights = self.weights(axis)
            if weights is not None and sum(weights.values()) <= 0:
                raise ValueError(f"{axis}: the shares sum to 0 ({weights}); give at least one more than 0")
        return self

    @model_validator(mode="after")
    def _kinds(self) -> Mix:
        named = (self.leave_out.genres, self.ablate and self.ablate.genres)
        if self.kind == "chats" and (self.is_divided_by("genres") or any(named)):
            raise ValueError("genres: chats have no genre; mix them by `sets` or `clauses`")
        if self.kind == "documents" and self.reasoning is not None:
            raise ValueError(f"reasoning ({self.reasoning}): documents have none; leave it out")
        return self


class Member(NamedTuple):
    """A mix that can be made."""

    settings: Mix
    family: str
    """The mix with `ablate` that it stands under, itself for all others. Members draw the same rows first."""


def every_mix(mixes: Mapping[str, Mix], generated_genres: Mapping[str, float] | None) -> dict[str, Member]:
    """All mixes by name: those of the recipe, each followed by those that its `ablate` makes.

    Raises:
        ValueError: `each` where nothing is named, a part that is named twice or is all there is, a name that is taken.
    """
    found: dict[str, Member] = {}
    for name, mix in mixes.items():
        found[name] = Member(mix.model_copy(update={"ablate": None}), name)
        for axis, part in _parts_to_leave_out(name, mix, generated_genres):
            member = f"{name}-without-{slug(part)}"
            if member in found or member in mixes:
                raise ValueError(f"mixes.{name}.ablate.{axis}: '{part}' would make the mix '{member}' a second time")
            weights = mix.weights(axis)
            if weights is not None and not any(weight for other, weight in weights.items() if other != part):
                raise ValueError(f"mixes.{name}.ablate.{axis}: without '{part}' the mix has no {axis} left")
            out = mix.leave_out.model_copy(update={axis: [*getattr(mix.leave_out, axis), part]})
            found[member] = Member(mix.model_copy(update={"ablate": None, "leave_out": out}), name)
    return found


def _parts_to_leave_out(
    name: str, mix: Mix, generated_genres: Mapping[str, float] | None
) -> Iterator[tuple[Axis, str]]:
    for axis in AXES if mix.ablate else ():
        asked: list[str] | Literal["each"] = getattr(mix.ablate, axis)
        if asked == "each":
            weights = mix.weights(axis) or (generated_genres if axis == "genres" else None)
            if weights is None:
                besides = f"{axis} in the mix{' or in generate' if axis == 'genres' else ''}"
                raise ValueError(f"mixes.{name}.ablate.{axis}: 'each' of what? Name the {besides}, or list them here")
            gone = getattr(mix.leave_out, axis)
            asked = [part for part, weight in weights.items() if weight > 0 and part not in gone]
        yield from ((axis, part) for part in asked)


def slug(part: str) -> str:
    """A part's name as part of a mix's: `internal memo` -> `internal-memo`; what has no such letters gets its hash."""
    made = re.sub(r"[^a-z0-9._]+", "-", part.lower()).strip("-._")
    return made if made else content_id("slug", part).removeprefix("b2:")[:8]
