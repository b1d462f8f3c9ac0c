"""What another threshold would change: the run's scores judged again by the filters' own rules, nothing written.

The answer is what curation would give, duplicates included: those are looked for again, in memory, where other rows
would be kept than now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from corpus.errors import RecipeError, nearest
from corpus.recipe import Recipe, Section
from corpus.store import Store
from filters.base import KINDS, Kind
from filters.copies.candidates import candidates
from filters.copies.duplicates import find_duplicates
from filters.curate import check_curated
from filters.gate import Gate
from filters.registry import FILTERS, filter_of, read_one, read_settings
from filters.replay import Replayed, read_scores, replay
from filters.rows import read_rows

NEAREST = 3
"""Examples on each side of a line."""
_SNIPPET_CHARS = 90


@dataclass(frozen=True)
class Change:
    """One setting with another value."""

    filter: str
    setting: str
    now: object
    then: object


@dataclass(frozen=True)
class Curated:
    """The rows of one kind that curation leaves."""

    ids: frozenset[str]
    num_tokens: int


@dataclass(frozen=True)
class Example:
    """A row near a line, or one whose verdict changes."""

    change: Change
    kind: Kind
    id: str
    genre: str
    score: float | None
    now: str
    then: str
    text: str
    """The beginning of it."""


@dataclass(frozen=True)
class WhatIfReport:
    """What would change."""

    changes: Sequence[Change]
    flips: Mapping[tuple[str, Kind, str, str, str], int]
    """Rows by filter, kind, genre, outcome now and then; only those that differ."""
    now: Mapping[Kind, Curated]
    then: Mapping[Kind, Curated]
    examples: Sequence[Example]
    num_to_ask: int
    """Rows that the judge would have to be asked about first; they count as unjudged here."""

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person."""
        asked = f" ({self.num_to_ask} rows would be asked about first and count as unjudged)" if self.num_to_ask else ""
        return [
            ("what if", [{"setting": f"{one.filter}.{one.setting}", "now": str(one.now), "then": str(one.then)}
                         for one in self.changes]),
            ("verdicts that change", [
                {"filter": name, "rows": kind, "genre": genre, "change": f"{now} -> {then}", "number": num}
                for (name, kind, genre, now, then), num in sorted(self.flips.items())
            ]),
            (f"curated{asked}", [
                {"rows": kind, "now": len(self.now[kind].ids), "then": len(self.then[kind].ids),
                 "tokens now": self.now[kind].num_tokens, "tokens then": self.then[kind].num_tokens,
                 "gained": len(self.then[kind].ids - self.now[kind].ids),
                 "lost": len(self.now[kind].ids - self.then[kind].ids)}
                for kind in KINDS
            ]),
            ("nearest the line", [
                {"setting": f"{one.change.filter}.{one.change.setting}", "score": one.score,
                 "change": one.now if one.now == one.then else f"{one.now} -> {one.then}", "id": one.id,
                 "genre": one.genre, "text": one.text}
                for one in self.examples
            ]),
        ]  # fmt: skip


def what_if(recipe: Recipe, store: Store, changes: Sequence[str]) -> WhatIfReport:
    """See `filters.what_if`."""
    now = read_settings(recipe)
    then, read = _read_changes(now, changes)
    for kind in KINDS:
        check_curated(recipe, store, kind)
    replayed = {kind: replay(recipe, store, kind, now, then) for kind in KINDS}
    return WhatIfReport(
        read,
        _flips(replayed),
        {kind: _curated(recipe, store, rows, rows.kept_now) for kind, rows in replayed.items()},
        {kind: _curated(recipe, store, rows, rows.kept_then) for kind, rows in replayed.items()},
        [one for change in read for rows in replayed.values() for one in _examples(store, rows, change, then)],
        sum(rows.num_to_ask for rows in replayed.values()),
    )


def _read_changes(now: Mapping[str, Section], changes: Sequence[str]) -> tuple[dict[str, Section], list[Change]]:
    """The settings with the changes, checked as those of a recipe are.

    Raises:
        RecipeError: not `filter.setting=value`, no such filter or setting, a wrong value, or no threshold.
    """
    then, read = dict(now), []
    for change in changes:
        key, equals, value = change.partition("=")
        # A classifier's name may hold a dot.
        name = next((one for one in sorted(now, key=len, reverse=True) if key.startswith(f"{one}.")), None)
        if not equals or "." not in key:
            raise RecipeError(
                f"--what-if {change!r} is not of the form filter.setting=value, such as length.min_words=80"
            )
        if name is None:
            raise RecipeError(
                f"--what-if {change!r}: the recipe has no filter '{key.partition('.')[0]}'; "
                f"{nearest(key.partition('.')[0], now)}"
            )
        setting, before = key.removeprefix(f"{name}."), then[name]
        try:
            given = {one: getattr(before, one) for one in before.model_fields_set} | {setting: yaml.safe_load(value)}
        except yaml.YAMLError as error:
            raise RecipeError(f"--what-if {change!r}: the value is not YAML: {error}") from None
        after = read_one(filter_of(before), given)
        kind = FILTERS[filter_of(before)]
        if kind.scored_settings(before) != kind.scored_settings(after):
            raise RecipeError(
                f"--what-if {change!r}: another {setting} needs new scores, and this moves thresholds only; "
                f"curate with -o instead"
            )
        then[name] = after
        read.append(Change(name, setting, getattr(now[name], setting), getattr(after, setting)))
    return then, read


def _flips(replayed: Mapping[Kind, Replayed]) -> Counter[tuple[str, Kind, str, str, str]]:
    flips: Counter[tuple[str, Kind, str, str, str]] = Counter()
    for kind, rows in replayed.items():
        for name, now in rows.now.items():
            (changed,) = np.nonzero(now != rows.then[name])
            outcomes = zip(rows.outcomes(now[changed]), rows.outcomes(rows.then[name][changed]), strict=True)
            for index, (before, after) in zip(changed.tolist(), outcomes, strict=True):
                if before != after:
                    flips[name, kind, rows.genres[index], before, after] += 1
    return flips


def _curated(recipe: Recipe, store: Store, rows: Replayed, kept: np.ndarray) -> Curated:
    """As the views `curated` and `curated_chats` have it."""
    ids = {row_id for row_id, stays in zip(rows.ids, kept.tolist(), strict=True) if stays}
    if recipe.curate.duplicates is not None:
        ids -= _gave_way(recipe, store, rows, ids, is_now=kept is rows.kept_now)
    is_left = np.fromiter((row_id in ids for row_id in rows.ids), dtype=bool, count=len(rows.ids))
    return Curated(frozenset(ids), int(rows.num_tokens[is_left].sum()))


def _gave_way(recipe: Recipe, store: Store, rows: Replayed, kept: set[str], *, is_now: bool) -> set[str]:
    settings = recipe.curate.duplicates
    assert settings is not None
    if is_now or np.array_equal(rows.kept_now, rows.kept_then):
        found = store.query("SELECT doc_id, survivor_id FROM duplicates")
    else:
        gate = Gate(recipe.curate.unjudged)
        found_rows, read = candidates(store, rows.kind, gate, settings, store.current("scores"))
        stays = pc.or_(pc.is_valid(found_rows["run"]), pc.is_in(found_rows["id"], pa.array(sorted(kept), pa.string())))
        found = find_duplicates(found_rows.filter(stays), read, settings)
    pairs = zip(found.column("doc_id").to_pylist(), found.column("survivor_id").to_pylist(), strict=True)
    return {doc_id for doc_id, survivor_id in pairs if doc_id != survivor_id}


def _examples(store: Store, rows: Replayed, change: Change, then: Mapping[str, Section]) -> list[Example]:
    """Those whose score is nearest the new line, on both sides; without a line, the first that change."""
    place = {row_id: index for index, row_id in enumerate(rows.ids)}
    now_codes, then_codes = rows.now[change.filter], rows.then[change.filter]
    scores: dict[str, float] = {}
    if isinstance(change.then, int | float) and not isinstance(change.then, bool):
        name = FILTERS[filter_of(then[change.filter])].score_behind(change.setting)
        ids, values = read_scores(store, rows.kind, store.current("scores").get(change.filter, ""), name)
        order = np.argsort(np.abs(values - change.then), kind="stable")
        # A value on the line is on the side that is kept.
        is_below = values < change.then if change.setting.startswith("min_") else values <= change.then
        below = order[is_below[order]][:NEAREST].tolist()[::-1]
        above = order[~is_below[order]][:NEAREST].tolist()
        scores = {ids[at]: float(values[at]) for at in [*below, *above]}
        chosen = list(scores)
    else:
        chosen = [rows.ids[at] for at in np.nonzero(now_codes != then_codes)[0][: 2 * NEAREST].tolist()]
    texts = {row.id: " ".join(row.text.split())[:_SNIPPET_CHARS] for row in read_rows(store, rows.kind, sorted(chosen))}
    at = np.array([place[one] for one in chosen], dtype=np.int64)
    outcomes = zip(rows.outcomes(now_codes[at]), rows.outcomes(then_codes[at]), strict=True)
    return [
        Example(change, rows.kind, one, rows.genres[place[one]], scores.get(one), before, after, texts.get(one, ""))
        for one, (before, after) in zip(chosen, outcomes, strict=True)
    ]
