"""Which rows go into a mix: cells with a share of the budget, filled in an order of chance that never changes.

A cell is a set, a genre, both or everything. It is filled with each row once, in the order of hash(seed, mix, row,
repeat), before any row comes a second time; it ends at the row that brings its tokens closest to the target. So a
share is met to within half a row, and a larger budget only adds rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from corpus.recipe import Mix
from corpus.store.identity import draw


class Source(NamedTuple):
    """A curated row that may go into a mix."""

    id: str
    set: str
    genre: str | None
    num_tokens: int
    num_bytes: int


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
    share: float
    """Of the budget (fraction; all cells sum to 1)."""

    def holds(self, source: Source) -> bool:
        """Whether a row belongs here."""
        return self.set in (None, source.set) and self.genre in (None, source.genre)

    @property
    def label(self) -> str:
        """For messages and tables."""
        return " / ".join(part for part in (self.set, self.genre) if part is not None) or "all"


@dataclass(frozen=True)
class Filled:
    """A cell with what it got."""

    cell: Cell
    target_tokens: int
    available_tokens: int
    """Tokens that its rows hold, each as often as the mix allows."""
    picks: tuple[Pick, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens in the mix."""
        return sum(pick.source.num_tokens for pick in self.picks)

    @property
    def is_short(self) -> bool:
        """Whether there is less than the target."""
        return self.available_tokens < self.target_tokens


def make_cells(settings: Mix, sources: Sequence[Source]) -> list[Cell]:
    """The cells of a mix. With shares of sets and of genres, the genres divide each set whose rows have a genre."""
    sets = _shares(settings.sets)
    genres = _shares(settings.genres)
    with_genre = {source.set for source in sources if source.genre is not None}
    cells: list[Cell] = []
    for set_name, set_share in sets:
        divided = set_name is None or set_name in with_genre
        cells += [Cell(set_name, genre, set_share * share) for genre, share in (genres if divided else [(None, 1.0)])]
    return cells


def _shares(given: dict[str, float] | None) -> list[tuple[str | None, float]]:
    if given is None:
        return [(None, 1.0)]
    return [(name, share / sum(given.values())) for name, share in sorted(given.items()) if share > 0]


def fill_cells(settings: Mix, seed: int, mix: str, sources: Sequence[Source]) -> list[Filled]:
    """Fill every cell of a mix up to its target, or with all there is."""
    cells = make_cells(settings, sources)
    held = [[source for source in sources if cell.holds(source)] for cell in cells]
    available = [settings.repeats * sum(source.num_tokens for source in rows) for rows in held]
    if settings.tokens is not None:
        budget = settings.tokens
    elif settings.sets is None and settings.genres is None:
        budget = sum(source.num_tokens for source in sources)
    else:  # the largest budget that gives every cell its share
        budget = int(min(tokens / cell.share for cell, tokens in zip(cells, available, strict=True)))
    targets = apportion(budget, [cell.share for cell in cells])
    return [
        Filled(cell, target, tokens, tuple(_fill(rows, target, settings.repeats, seed, mix)))
        for cell, target, tokens, rows in zip(cells, targets, available, held, strict=True)
    ]


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in these shares that sum to `total`, by largest remainder; equal remainders go to the first."""
    quotas = [total * share / sum(shares) for share in shares]
    parts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda index: (parts[index] - quotas[index], index))
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def _fill(rows: Sequence[Source], target: int, repeats: int, seed: int, mix: str) -> list[Pick]:
    picks: list[Pick] = []
    missing = target
    for repeat in range(repeats):
        for pick in sorted(
            (Pick(row, repeat, draw("mix", seed, mix, row.id, repeat)) for row in rows), key=lambda pick: pick.order
        ):
            # The row that crosses the target goes in if the mix is closer to the target with it.
            if missing <= 0 or pick.source.num_tokens - missing > missing:
                return picks
            picks.append(pick)
            missing -= pick.source.num_tokens
    return picks
