"""Named limits on measures: the published ones for web pages, and ours for synthetic texts by family of genres.

A limit is named after its measure: `min_words` is the least that `words` may be, `max_words` the most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from prompts import Family

Limits = Mapping[str, float]
Preset = Literal["gopher_quality", "gopher_repetition", "c4", "fineweb", "synthetic"]

WEB: Mapping[str, Limits] = {
    # Rae et al. 2021, arXiv 2112.11446, section A1.1.
    "gopher_quality": {
        "min_words": 50,
        "max_words": 100_000,
        "min_mean_word_chars": 3,
        "max_mean_word_chars": 10,
        "max_hashes_per_word": 0.1,
        "max_ellipses_per_word": 0.1,
        "max_bullet_line_fraction": 0.9,
        "max_ellipsis_line_fraction": 0.3,
        "min_alphabetic_word_fraction": 0.8,
        "min_stop_words": 2,
    },
    # The same, table A1.
    "gopher_repetition": {
        "max_duplicate_paragraph_fraction": 0.3,
        "max_duplicate_paragraph_char_fraction": 0.2,
        "max_duplicate_line_fraction": 0.3,
        "max_duplicate_line_char_fraction": 0.2,
        "max_top_2gram_fraction": 0.2,
        "max_top_3gram_fraction": 0.18,
        "max_top_4gram_fraction": 0.16,
        "max_duplicate_5gram_fraction": 0.15,
        "max_duplicate_6gram_fraction": 0.14,
        "max_duplicate_7gram_fraction": 0.13,
        "max_duplicate_8gram_fraction": 0.12,
        "max_duplicate_9gram_fraction": 0.11,
        "max_duplicate_10gram_fraction": 0.1,
    },
    # Raffel et al. 2019, arXiv 1910.10683, section 2.2, as a verdict on the document: C4 drops these, and of the others
    # it keeps some lines only. What it would keep is measured and limits nothing unless a recipe says so.
    "c4": {
        "max_lorem_ipsum_lines": 0,
        "max_curly_bracket_lines": 0,
        "min_c4_sentences": 5,
        "min_c4_kept_line_fraction": 0,
    },
    # Penedo et al. 2024, arXiv 2406.17557, section 3.6; newlines per word are its code's.
    "fineweb": {
        "min_punctuated_line_fraction": 0.12,
        "max_short_line_fraction": 0.67,
        "max_duplicate_filled_line_char_fraction": 0.01,
        "max_newlines_per_word": 0.3,
    },
}
"""By preset, in the order in which reasons are looked for."""

JUDGED_FROM_WORDS = 50
"""The synthetic profiles judge a shorter text by its repeated lines, paragraphs and sentences only: in few words any
pair is frequent and any share is high (words; Gopher's least)."""
AT_ANY_LENGTH = frozenset(
    {
        "max_duplicate_line_char_fraction",
        "max_duplicate_paragraph_char_fraction",
        "max_duplicate_sentence_char_fraction",
    }
)
ANY_FAMILY = "any"
"""What an imported row is of that has no genre: it is judged by the loosest limit that any family has."""

_ALL_FAMILIES: Limits = {
    # Loops: Gopher's limits, by characters: a speaker's name on a line of its own recurs in every good dialogue, and so
    # does "Answer:", but neither makes up a fifth of a text.
    "max_duplicate_line_char_fraction": 0.2,
    "max_duplicate_paragraph_char_fraction": 0.2,
    "max_duplicate_sentence_char_fraction": 0.2,
    "max_top_2gram_fraction": 0.2,
    "max_top_3gram_fraction": 0.18,
    "max_top_4gram_fraction": 0.16,
    "max_duplicate_5gram_fraction": 0.15,
    "max_duplicate_10gram_fraction": 0.1,
    # Prose compresses to 0.4 to 0.6 of its size, a loop to less than 0.1 (ours).
    "min_zlib_fraction": 0.2,
    # Gopher's.
    "max_mean_word_chars": 10,
    "max_hashes_per_word": 0.1,
    "max_ellipses_per_word": 0.1,
    "max_bullet_line_fraction": 0.9,
    "min_alphabetic_word_fraction": 0.8,
    # FineWeb's, where the family's own is not below.
    "min_punctuated_line_fraction": 0.12,
    "max_short_line_fraction": 0.67,
    "max_newlines_per_word": 0.3,
    "max_lorem_ipsum_lines": 0,
}
_OWN: Mapping[Family, Limits] = {
    # Headings, agendas, numbered points.
    "internal": {"max_short_line_fraction": 0.8},
    # Logs, quoted inputs, code, tables, lists of versions and steps.
    "technical": {
        "max_top_2gram_fraction": 0.25,
        "max_duplicate_5gram_fraction": 0.2,
        "max_duplicate_10gram_fraction": 0.15,
        "min_zlib_fraction": 0.15,
        "max_mean_word_chars": 12,
        "max_hashes_per_word": 0.2,
        "max_ellipses_per_word": 0.2,
        "max_bullet_line_fraction": 1.0,
        "min_alphabetic_word_fraction": 0.5,
        "min_punctuated_line_fraction": 0.0,
        "max_short_line_fraction": 0.9,
        "max_newlines_per_word": 0.5,
    },
    "public": {},
    # Speakers' names, on lines of their own or not, short turns, pauses as ellipses.
    "conversational": {
        "max_ellipses_per_word": 0.15,
        "min_punctuated_line_fraction": 0.1,
        "max_short_line_fraction": 0.9,
        "max_newlines_per_word": 0.5,
    },
    # Speech in quotation marks, after which FineWeb does not see the full stop; a scene's speeches of a few words, and
    # the speaker's name before each as a sentence of one.
    "fiction": {
        "max_duplicate_sentence_char_fraction": 0.3,
        "max_ellipses_per_word": 0.15,
        "min_punctuated_line_fraction": 0.0,
        "max_short_line_fraction": 0.9,
        "max_newlines_per_word": 0.5,
    },
    # Headwords, questions, tables, cross-references.
    "reference": {
        "max_duplicate_5gram_fraction": 0.2,
        "max_bullet_line_fraction": 1.0,
        "min_alphabetic_word_fraction": 0.7,
        "min_punctuated_line_fraction": 0.05,
        "max_short_line_fraction": 0.85,
        "max_newlines_per_word": 0.4,
    },
    # Formulas of the trade recur word for word; parts are numbered.
    "legal": {
        "max_top_4gram_fraction": 0.2,
        "max_duplicate_5gram_fraction": 0.25,
        "max_duplicate_10gram_fraction": 0.15,
        "max_short_line_fraction": 0.75,
    },
    # Exercises with options A to C, steps, questions to a class.
    "teaching": {
        "max_duplicate_5gram_fraction": 0.2,
        "min_alphabetic_word_fraction": 0.7,
        "min_punctuated_line_fraction": 0.1,
        "max_short_line_fraction": 0.85,
        "max_newlines_per_word": 0.4,
    },
}
"""Where a family is not like the others, from the forms that its genre cards ask for (ours)."""


def measure_of(limit: str) -> str:
    """The measure that a limit is one of."""
    return limit[4:]


def loosest(many: list[Limits]) -> dict[str, float]:
    """For each limit that stands in all of them, the one that keeps most."""
    names = [name for name in many[0] if all(name in limits for limits in many)]
    return {
        name: (min if name.startswith("min_") else max)(limits[name] for limits in many) for name in names
    }  # fmt: skip


FAMILIES: Mapping[str, Limits] = {family: {**_ALL_FAMILIES, **own} for family, own in _OWN.items()}
SYNTHETIC: Mapping[str, Limits] = {**FAMILIES, ANY_FAMILY: loosest(list(FAMILIES.values()))}
"""The synthetic profile of each family of genres, and of rows without one."""
