"""How much of a text is made of patterns that are over-represented across the corpus.

A single text with a stock phrase is no fault: by default nothing is dropped, and SQL finds the texts that are made of
such phrases. The patterns are those of the whole corpus, so that more rows mean scoring anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field, NonNegativeInt

from corpus.recipe import Section
from corpus.recurring import OPENING_WORDS, PHRASE_WORDS, names_in, words_in
from corpus.store.identity import content_id
from filters.base import KEEP, Kind, Row, Score, TextFilter, Verdict

Patterns = Mapping[str, Mapping[str, str]]
"""The cluster of each pattern, by kind (`name`, `opening`, `phrase`) and text."""


class RecurringSettings(Section):
    """From where on a text that repeats others goes."""

    max_patterns: NonNegativeInt | None = None
    """Clusters of over-represented patterns that a text may show (clusters); null: any number."""
    max_covered_fraction: float | None = Field(None, ge=0, le=1)
    """Words in over-represented openings and phrases (fraction of the words); null: any part."""


class RecurringPatterns(TextFilter):
    """The over-represented names, openings and phrases in a text; of a chat, in its answers."""

    name = "recurring"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {"max_patterns": "patterns", "max_covered_fraction": "covered_fraction"}
    settings: RecurringSettings

    def __init__(self, settings: RecurringSettings, patterns: Mapping[Kind, Patterns]) -> None:
        """Look for the patterns that recur among rows of the same kind."""
        super().__init__(settings)
        self._patterns = patterns

    def scored_with(self) -> list[object]:
        """The patterns; see `Filter.scored_with`."""
        told = [[kind, name, dict(known)] for kind, all_of in self._patterns.items() for name, known in all_of.items()]
        return [content_id("patterns", told)]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`; evidence lists the clusters, the widest phrase first."""
        return [self._score(row.text, self._patterns.get(row.kind, {})) for row in rows]

    def _score(self, text: str, patterns: Patterns) -> list[Score]:
        found = words_in(text)
        names, openings, phrases = (patterns.get(kind, {}) for kind in ("name", "opening", "phrase"))
        clusters = {names[name] for name in names_in(text) if name in names}
        covered: set[int] = set()
        opening = " ".join(found[:OPENING_WORDS])
        if opening in openings:
            clusters.add(openings[opening])
            covered |= set(range(OPENING_WORDS))
        # A phrase begins behind the opening, as phrases are counted.
        for start in range(OPENING_WORDS, len(found) - PHRASE_WORDS + 1) if phrases else ():
            known = phrases.get(" ".join(found[start : start + PHRASE_WORDS]))
            if known is not None:
                clusters.add(known)
                covered |= set(range(start, start + PHRASE_WORDS))
        evidence = "; ".join(sorted(clusters, key=lambda text: (-len(text), text)))[:200] or None
        return [
            Score("patterns", len(clusters), evidence=evidence),
            Score("covered_fraction", len(covered) / max(1, len(found))),
        ]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        num_patterns, fraction = scores["patterns"].value, scores["covered_fraction"].value
        assert num_patterns is not None and fraction is not None, scores
        most, most_covered = self.settings.max_patterns, self.settings.max_covered_fraction
        if most is not None and num_patterns > most:
            return Verdict("drop", "many patterns")
        return Verdict("drop", "made of patterns") if most_covered is not None and fraction > most_covered else KEEP
