"""Rules of thumb about the form of a text: the published ones for web pages, and ours for synthetic genres.

Texts are measured once (`measures`); a verdict compares the measures with limits (`presets`). Only what
a limit speaks of is a row of `scores`: the profiles for synthetic texts need 19 measures of the 36 there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, field_validator

from corpus.recipe import Section
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.form.measures import MEASURES, measure
from filters.form.presets import (
    AT_ANY_LENGTH,
    JUDGED_FROM_WORDS,
    SYNTHETIC,
    WEB,
    Limits,
    Preset,
    measure_of,
)
from prompts import Family

PROFILE = "profile"
"""The score whose label says by which family's limits a row is judged."""


class RulesSettings(Section):
    """Which presets judge, and single limits in place of theirs; a limit that is left out is the presets'.

    Where two presets have the same limit, the stricter holds.
    """

    preset: list[Preset] = Field(["synthetic"], min_length=1)
    """One or several of `synthetic` (ours, by family of genres), `gopher_quality`, `gopher_repetition` (arXiv
    2112.11446), `c4` (arXiv 1910.10683), `fineweb` (arXiv 2406.17557): the last four are for web pages, and drop good
    dialogues, lists and code."""
    imported_family: Family | Literal["any"] = "any"
    """Whose limits judge an imported document without a genre; `any`: of each limit the loosest there is."""
    min_words: NonNegativeInt | None = None
    """Least words that hold more than symbols (words; Gopher: 50)."""
    max_words: NonNegativeInt | None = None
    """Most of them (words; Gopher: 100,000)."""
    min_mean_word_chars: NonNegativeFloat | None = None
    """Least mean length of those words (characters; Gopher: 3)."""
    max_mean_word_chars: NonNegativeFloat | None = None
    """Greatest mean length of those words (characters; Gopher: 10)."""
    max_hashes_per_word: NonNegativeFloat | None = None
    """Most signs # per word (Gopher: 0.1)."""
    max_ellipses_per_word: NonNegativeFloat | None = None
    """Most ellipses per word (Gopher: 0.1)."""
    max_bullet_line_fraction: NonNegativeFloat | None = None
    """Most lines that begin with a bullet or a hyphen (fraction; Gopher: 0.9)."""
    max_ellipsis_line_fraction: NonNegativeFloat | None = None
    """Most lines that end in an ellipsis (fraction; Gopher: 0.3)."""
    min_alphabetic_word_fraction: NonNegativeFloat | None = None
    """Fewest words with a letter in them (fraction; Gopher: 0.8)."""
    min_stop_words: NonNegativeInt | None = None
    """Fewest of the, be, to, of, and, that, have, with that occur (words; Gopher: 2)."""
    max_duplicate_line_fraction: NonNegativeFloat | None = None
    """Most lines that stood before (fraction; Gopher: 0.3)."""
    max_duplicate_line_char_fraction: NonNegativeFloat | None = None
    """Most characters in such lines (fraction; Gopher: 0.2)."""
    max_duplicate_paragraph_fraction: NonNegativeFloat | None = None
    """Most paragraphs that stood before (fraction; Gopher: 0.3)."""
    max_duplicate_paragraph_char_fraction: NonNegativeFloat | None = None
    """Most characters in such paragraphs (fraction; Gopher: 0.2)."""
    max_duplicate_sentence_char_fraction: NonNegativeFloat | None = None
    """Most characters in sentences that stood before (fraction; ours, after Gopher's for lines: 0.2)."""
    max_top_2gram_fraction: NonNegativeFloat | None = None
    """Most characters in the most frequent pair of words (fraction; Gopher: 0.2)."""
    max_top_3gram_fraction: NonNegativeFloat | None = None
    """Most characters in the most frequent three words in a row (fraction; Gopher: 0.18)."""
    max_top_4gram_fraction: NonNegativeFloat | None = None
    """Most characters in the most frequent four words in a row (fraction; Gopher: 0.16)."""
    max_duplicate_5gram_fraction: NonNegativeFloat | None = None
    """Most characters in five words in a row that stood before (fraction; Gopher: 0.15)."""
    max_duplicate_6gram_fraction: NonNegativeFloat | None = None
    """The same for six (fraction; Gopher: 0.14)."""
    max_duplicate_7gram_fraction: NonNegativeFloat | None = None
    """The same for seven (fraction; Gopher: 0.13)."""
    max_duplicate_8gram_fraction: NonNegativeFloat | None = None
    """The same for eight (fraction; Gopher: 0.12)."""
    max_duplicate_9gram_fraction: NonNegativeFloat | None = None
    """The same for nine (fraction; Gopher: 0.11)."""
    max_duplicate_10gram_fraction: NonNegativeFloat | None = None
    """The same for ten (fraction; Gopher: 0.1)."""
    min_zlib_fraction: NonNegativeFloat | None = None
    """Least compressed size by size (fraction of bytes; ours: prose lies at 0.4 to 0.6, loops below 0.1)."""
    min_c4_sentences: NonNegativeInt | None = None
    """Fewest sentences in the lines that C4 keeps (sentences; C4: 5)."""
    min_c4_kept_line_fraction: NonNegativeFloat | None = None
    """Fewest lines that C4 keeps (fraction of lines with something in them; C4 has no limit: 0)."""
    max_lorem_ipsum_lines: NonNegativeInt | None = None
    """Most lines with 'lorem ipsum', of those that C4's line rules leave (lines; C4: 0)."""
    max_curly_bracket_lines: NonNegativeInt | None = None
    """Most lines with a curly bracket, of those that C4's line rules leave (lines; C4: 0)."""
    max_long_word_lines: NonNegativeInt | None = None
    """Most lines with a word of more than 1,000 characters (lines; C4 removes the line, and so for the next four)."""
    max_unpunctuated_lines: NonNegativeInt | None = None
    """Most lines that do not end a sentence (lines)."""
    max_few_word_lines: NonNegativeInt | None = None
    """Most lines of fewer than three words (lines)."""
    max_javascript_lines: NonNegativeInt | None = None
    """Most lines that name JavaScript (lines)."""
    max_policy_lines: NonNegativeInt | None = None
    """Most lines that speak of cookies, terms of use or a privacy policy (lines)."""
    min_punctuated_line_fraction: NonNegativeFloat | None = None
    """Fewest lines that end a sentence (fraction of lines with something in them; FineWeb: 0.12)."""
    max_short_line_fraction: NonNegativeFloat | None = None
    """Most lines of 30 characters or fewer (fraction of lines with something in them; FineWeb: 0.67)."""
    max_duplicate_filled_line_char_fraction: NonNegativeFloat | None = None
    """Most characters in lines, of those with something in them, that stood before (fraction; FineWeb: 0.01)."""
    max_newlines_per_word: NonNegativeFloat | None = None
    """Most line feeds per word (FineWeb: 0.3)."""

    @field_validator("preset", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    def own_limits(self) -> dict[str, float]:
        """The limits that the recipe gives itself."""
        return self.model_dump(exclude={"preset", "imported_family"}, exclude_none=True)


class Rules(TextFilter):
    """Measures a document, or a chat's answers, and compares the measures with the presets' limits."""

    name = "rules"
    version = 1
    settings: RulesSettings

    def scored_with(self) -> list[object]:
        """See `Filter.scored_with`: what is measured is what some limit speaks of."""
        return list(self._measures)

    def judged_with(self) -> list[object]:
        """See `Filter.judged_with`: a preset's limits are no settings."""
        return [self._profiles, self._web, JUDGED_FROM_WORDS, sorted(AT_ANY_LENGTH)]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`."""
        measured = measure([row.text for row in rows], self._measures)
        return [[Score(PROFILE, None, _family(row)), *scores] for row, scores in zip(rows, measured, strict=True)]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`: the reason is the limit that is broken first."""
        for name, limit in self._limits(scores):
            value = scores[measure_of(name)].value
            assert value is not None, scores
            if value < limit if name.startswith("min_") else value > limit:
                return Verdict("drop", _reason(name))
        return KEEP

    def _limits(self, scores: Mapping[str, Score]) -> Iterator[tuple[str, float]]:
        yield from self._web.items()
        if not self._profiles:
            return
        family = scores[PROFILE].label or self.settings.imported_family
        words = scores["words"].value
        assert words is not None, scores
        for name, limit in self._profiles[family].items():
            if words >= JUDGED_FROM_WORDS or name in AT_ANY_LENGTH:
                yield name, limit

    @cached_property
    def _web(self) -> Limits:
        """The limits on all rows."""
        limits: dict[str, float] = {}
        for preset in (WEB[name] for name in self.settings.preset if name in WEB):
            for name, limit in preset.items():
                stricter = max if name.startswith("min_") else min
                limits[name] = stricter(limits.get(name, limit), limit)
        own = self.settings.own_limits()
        in_profiles = {name for profile in self._profiles.values() for name in profile}
        return {**limits, **{name: limit for name, limit in own.items() if name in limits or name not in in_profiles}}

    @cached_property
    def _profiles(self) -> Mapping[str, Limits]:
        """The limits on the rows of each family."""
        if "synthetic" not in self.settings.preset:
            return {}
        own = self.settings.own_limits()
        return {
            family: {name: own.get(name, limit) for name, limit in limits.items()}
            for family, limits in SYNTHETIC.items()
        }

    @cached_property
    def _measures(self) -> tuple[str, ...]:
        profiles = [*self._profiles.values(), {"min_words": 0}] if self._profiles else []
        wanted = {measure_of(name) for limits in (self._web, *profiles) for name in limits}
        return tuple(name for name in MEASURES if name in wanted)


def _family(row: Row) -> str | None:
    """Whose limits hold: a chat is a conversation."""
    return "conversational" if row.kind == "chats" else row.family if row.family in SYNTHETIC else None


def _reason(limit: str) -> str:
    """`max_top_2gram_fraction` is broken by: too much top 2gram."""
    how = "too little" if limit.startswith("min_") else "too much"
    return f"{how}: {measure_of(limit).removesuffix('_fraction').replace('_', ' ')}"
