"""Which rows go into a mix: cells with a share of the budget, filled in an order of chance that never changes.

A cell is a part of the mix: a set, a genre of it, a clause of that, or everything. Sets divide the rows, genres divide
each set that has any, clauses divide each of those whose rows come from clauses: a cell's share is the product of its
shares on the way. In each division a part's share is in proportion to its weight times a power of its natural tokens.

A cell is filled with each row once, in the order of hash(seed, family, row, repeat), before any row comes a second
time; it ends at the row that brings its tokens closest to the target. So a share is met to within half a row, a larger
budget only adds rows, and mixes of one family (`ablate`) hold the same rows as far as they can.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from corpus.recipe import Mix
from corpus.recipe.mix import AXES, Axis
from corpus.store.identity import draw


class Source(NamedTuple):
    """A curated row that may go into a mix."""

    id: str
    set: str
    genre: str | None
    num_tokens: int
    num_bytes: int
    clause_ids: tuple[str, ...] = ()
    clause: str | None = None
    """The part that it belongs to where the mix is divided by clauses; None: to no part that is named."""


class Pick(NamedTuple):
    """A row's place in a mix."""

    source: Source
    repeat: int
    """0 for the first time it stands in the mix."""
    order: int
    """The number drawn for it; a mix is sorted by it."""


@dataclass(frozen=True)
class Cell:
    """A part of the mix with its own share."""

    set: str | None
    """None: any set."""
    genre: str | None
    """None: any genre, or none."""
    clause: str | None
    """As the recipe names it; None: any clause, or none."""
    share: Fraction
    """Of the budget (all cells sum to 1)."""

    @property
    def label(self) -> str:
        """For messages and tables."""
        return " / ".join(part for part in (self.set, self.genre, self.clause) if part is not None) or "all"


class Picked:
    """Rows in a mix, in all of it or in one cell."""

    picks: tuple[Pick, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens in the mix."""
        return sum(pick.source.num_tokens for pick in self.picks)

    @property
    def num_distinct_rows(self) -> int:
        """Rows in the mix, each counted once."""
        return len({pick.source.id for pick in self.picks})


@dataclass(frozen=True)
class Filled(Picked):
    """A cell with what it got."""

    cell: Cell
    target_tokens: int
    available_tokens: int
    """Tokens that its rows hold, each as often as the mix allows."""
    num_available_rows: int
    """Rows that it could hold, each counted once."""
    picks: tuple[Pick, ...]

    @property
    def missing_tokens(self) -> int:
        """What there is less than the target."""
        return max(0, self.target_tokens - self.available_tokens)

    @property
    def is_short(self) -> bool:
        """Whether there is less than the target, or nothing."""
        return self.available_tokens < self.target_tokens or not self.available_tokens


class Part(NamedTuple):
    """A cell with the rows that it may hold."""

    cell: Cell
    rows: Sequence[Source]

    @property
    def tokens(self) -> int:
        """Tokens of its rows, each once."""
        return sum(row.num_tokens for row in self.rows)


def divide(settings: Mix, sources: Sequence[Source]) -> list[Part]:
    """The cells of a mix with their rows. Rows of a genre, set or clause that has no share are in none of them."""
    parts = [Part(Cell(None, None, None, Fraction(1)), sources)]
    for axis in AXES:
        if settings.is_divided_by(axis):
            parts = [piece for part in parts for piece in _divided(part, settings, axis)]
    return parts


def _divided(part: Part, settings: Mix, axis: Axis) -> list[Part]:
    is_whole = (part.cell.set, part.cell.genre, part.cell.clause) == (None, None, None)
    if not is_whole and not any(row.genre if axis == "genres" else row.clause_ids for row in part.rows):
        return [part]  # a set of rows that have no genre, or come from no clause
    by_name: dict[str, list[Source]] = defaultdict(list)
    for row in part.rows:
        name = row.set if axis == "sets" else row.genre if axis == "genres" else row.clause
        if name is not None:
            by_name[name].append(row)
    weights, out = settings.weights(axis), getattr(settings.leave_out, axis)
    power = getattr(settings.power, axis)
    shares = {
        # A part without rows counts as one token: it is named as short, and takes next to nothing from the others.
        name: Fraction(weight)
        * (Fraction(max(1, sum(row.num_tokens for row in by_name[name])) ** power) if power is not None else 1)
        for name, weight in sorted((dict.fromkeys(by_name, 1.0) if weights is None else weights).items())
        if weight > 0 and name not in out
    }
    field = axis.removesuffix("s")
    total = sum(shares.values())
    return [
        Part(replace(part.cell, share=part.cell.share * share / total, **{field: name}), by_name[name])
        for name, share in shares.items()
    ]


def largest_budget(settings: Mix, parts: Sequence[Part]) -> int:
    """The most tokens that give every cell its share; without shares, all rows as often as they may stand."""
    return int(min((settings.repeats * part.tokens / part.cell.share for part in parts), default=Fraction(0)))


def natural_budget(settings: Mix, parts: Sequence[Part]) -> int:
    """The budget where the recipe gives none: everything once, or with shares the most that keeps them."""
    has_shares = any(settings.is_divided_by(axis) for axis in AXES)
    return largest_budget(settings, parts) if has_shares else sum(part.tokens for part in parts)


def fill(settings: Mix, parts: Sequence[Part], budget: int, seed: int, family: str) -> list[Filled]:
    """Fill every cell of a mix up to its target, or with all there is."""
    # Each target is rounded on its own, so that no target falls when the budget grows: rounding by largest remainder
    # would take a token from one cell for another now and then.
    targets = [int(budget * part.cell.share + Fraction(1, 2)) for part in parts]
    return [
        Filled(
            part.cell,
            target,
            settings.repeats * part.tokens,
            len(part.rows),
            tuple(_picked(part.rows, target, settings.repeats, seed, family)),
        )
        for part, target in zip(parts, targets, strict=True)
    ]


def _picked(rows: Sequence[Source], target: int, repeats: int, seed: int, family: str) -> list[Pick]:
    picks: list[Pick] = []
    missing = target
    for repeat in range(repeats):
        if missing <= 0:
            break
        for pick in sorted(
            (Pick(row, repeat, draw("mix", seed, family, row.id, repeat)) for row in rows), key=lambda pick: pick.order
        ):
            # The row that crosses the target goes in if the mix is closer to the target with it.
            if missing <= 0 or pick.source.num_tokens - missing > missing:
                return picks
            picks.append(pick)
            missing -= pick.source.num_tokens
    return picks


def named_clauses(settings: Mix, names: Mapping[str, str], sources: Sequence[Source]) -> list[Source]:
    """The rows with the part that each belongs to; `names` says it of each clause that is named."""
    if not settings.is_divided_by("clauses"):
        return list(sources)
    return [
        source._replace(clause=next((names[clause] for clause in source.clause_ids if clause in names), None))
        for source in sources
    ]
