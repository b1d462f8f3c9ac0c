"""Texts that break off: in the middle of a sentence, inside a code block, or inside a bracket.

What was generated says itself how it ended; an imported row does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import PositiveInt

from corpus.recipe import Section
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.text import lines, snippet

Rule = Literal["mid_sentence", "open_fence", "open_bracket"]

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)", re.MULTILINE)
_CODE_SPAN = re.compile(r"`[^`\n]*`")
_ENDS = re.compile(
    r"[.!?\u2026\u3002\uff01\uff1f\u061f\u06d4\u0964\u0e2f]['\"\u201d\u2019\u00bb\u300d\u300f)\]*_~`]*\Z"
)
"""How a sentence ends: the marks of Latin, Chinese, Japanese, Arabic, Urdu, Hindi and Thai text, and what closes after
them."""
_GOES_ON = re.compile(r"[,;:(\[{\u3001\uff0c/&+=\u2013\u2014-]\Z")
"""What no text ends in."""
_DANGLING = re.compile(
    r"(?:\A|\s)(?:an?|the|and|or|but|nor|of|than|because|if|whether|which|whose|whom|my|your|his|its|our|their|into|onto"
    r"|upon|between|among|towards?|without|although|unless|until)\Z",
    re.IGNORECASE,
)
"""English words that no sentence ends in."""
_NO_SENTENCE = re.compile(r"^(?:[-*+\u2022>#|]|\d+[.)]|https?://|\S+@\S+\Z)|[|\U0001f300-\U0001faff]\Z")
"""Lines that need no full stop: bullets, headings, quotations, table rows, addresses; and what ends in an emoji."""
_CLOSERS = {"(": ")", "[": "]", "{": "}", "\uff08": "\uff09", "\u300c": "\u300d"}
_BRACKET_CHARS = 400
"""A bracket opened further back was forgotten, not broken off in (characters; ours)."""
_EVIDENCE_CHARS = 80


class TruncatedSettings(Section):
    """What counts as breaking off."""

    rules: tuple[Rule, ...] = ("mid_sentence", "open_fence", "open_bracket")
    """What drops a row; all are scored."""
    min_line_words: PositiveInt = 6
    """A last line without a full stop is a sentence that breaks off from this length on; a shorter one may be a
    signature, a title or a line of verse (words; ours)."""


class Truncated(TextFilter):
    """How a document ends, or each answer of a chat: the value is the number of them that break off."""

    name = "truncated"
    version = 1
    settings: TruncatedSettings

    def scored_with(self) -> list[object]:
        """What counts as a sentence; see `Filter.scored_with`."""
        return [self.settings.min_line_words]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`."""
        return [self._score(row.answers if row.kind == "chats" else (row.text,)) for row in rows]

    def _score(self, texts: Sequence[str]) -> list[Score]:
        stripped = [text.rstrip() for text in texts]
        broken: Mapping[Rule, list[str]] = {
            "mid_sentence": [text for text in stripped if _ends_mid_sentence(text, self.settings.min_line_words)],
            "open_fence": [text for text in stripped if _has_open_fence(text)],
            "open_bracket": [text for text in stripped if _has_open_bracket(text)],
        }
        return [
            Score(rule, len(found), evidence=_ending(found[0]) if found else None) for rule, found in broken.items()
        ]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        for rule in self.settings.rules:
            if scores[rule].value:
                return Verdict("drop", rule.replace("_", " "))
        return KEEP


def _ends_mid_sentence(text: str, min_line_words: int) -> bool:
    """Whether the last line is prose that goes on: after such a comma or word, or because others end in full stops."""
    found = lines(text)
    # A code block is code to its end, and a list may end its items as it likes.
    if not found or found[-1].startswith(("```", "~~~")) or _has_open_fence(text) or _NO_SENTENCE.search(found[-1]):
        return False
    last = found[-1].rstrip("*_")
    if _ENDS.search(last):
        return False
    last_words = last.split()
    if len(last_words) > 2 and (_GOES_ON.search(last) or _DANGLING.search(last)):
        return True
    if len(last_words) < min_line_words:
        return False
    # A text that does without full stops (verse, notes, a list of plain lines) ends as its other lines do.
    others = [line for line in found[:-1] if len(line.split()) >= min_line_words and not _NO_SENTENCE.search(line)]
    if others:
        return sum(_ENDS.search(line) is not None for line in others) * 2 > len(others)
    return re.search(r"[.!?]\s", last) is not None


def _has_open_fence(text: str) -> bool:
    opened = None
    for fence in _FENCE.finditer(text):
        mark = fence[1][:3]
        opened = mark if opened is None else None if mark == opened else opened
    return opened is not None


def _has_open_bracket(text: str) -> bool:
    """Whether a bracket near the end is never closed, in the last paragraph and outside code."""
    paragraph = re.split(r"\n\s*\n", text[-_BRACKET_CHARS:])[-1]
    if "```" in text[-_BRACKET_CHARS:] or _has_open_fence(text):
        return False
    opened: list[str] = []
    for char in _CODE_SPAN.sub("", paragraph):
        if char in _CLOSERS:
            opened.append(char)
        elif opened and char == _CLOSERS[opened[-1]]:
            opened.pop()
    # A sentence that ends in spite of an open bracket, as ":(" and "1) a" leave it, is whole.
    return bool(opened) and _ENDS.search(text) is None


def _ending(text: str) -> str:
    return snippet(text, max(0, len(text) - _EVIDENCE_CHARS), len(text), margin_chars=0)
