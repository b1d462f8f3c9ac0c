"""Traces of how a text was made: tags, planning, blanks, the prompt's own words, stock phrases of assistants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import PositiveInt

from corpus.recipe import Section
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.text import longest_shared_span, snippet, words

Rule = Literal["tag", "planning", "placeholder", "boilerplate", "echo"]

_EDGE_CHARS = 300
"""Planning stands before or after the text; in its middle the same words are somebody speaking."""
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`", re.DOTALL)
_TAG = re.compile(
    r"</?(?:think|thinking|thoughts?|scratchpad|reasoning|plan|planning|content|document|doc|draft|output|answer|response"
    r"|instructions?|prompt|system|user|assistant)>"
    r"|<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>",
    re.IGNORECASE,
)
_REASONED = re.compile(r"\A\s*<think>((?:(?!</?think>).)*)</think>", re.DOTALL)
"""The block that an answer with reasoning begins with: its tags belong there, once."""
_PIECE = (
    r"(?:(?:the|a|an|this|your|my)\s+)?(?:[a-z-]+\s+){0,3}?"
    r"(?:document|draft|text|memo|article|post|essay|story|version|example|piece|message|write-up|rewrite)\b"
)
_OPENING = re.compile(
    r"\A\W*(?:(?:sure|certainly|of course|absolutely|okay|great)\b[^\n]{0,20}?[,.!:]\s*)?"
    r"(?:here(?:'s| is| are)|below is|the following is"
    r"|(?:i will|i'll|let me|i am going to|i need to|we need to)\s+(?:now\s+)?(?:write|draft|create|compose|produce))"
    rf"\s+{_PIECE}",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"^\W*(?:word count\b|end of (?:the )?(?:document|draft|text)\b"
    r"|note:\s+(?:this|the) (?:document|draft|text|memo|article|post|essay|story|piece)\b"
    r"|(?:this|the) (?:document|draft|text) (?:is|has been|was) written (?:to|in|as)\b"
    r"|(?:please )?let me know if you(?:'d| would)? (?:like|want|need)\b[^\n]{0,40}\b"
    r"(?:changes|revisions|edits|adjust))",
    re.IGNORECASE | re.MULTILINE,
)
_BLANK = (
    r"(?:name|date|time|title|company|organi[sz]ation|address|city|state|location|phone|e-?mail|link|url|number|role|department"
    r"|signature|recipient|sender|author|model|product|amount|topic)"
)
_PLACEHOLDER = re.compile(
    rf"\[(?:(?:your|insert|add|enter|the|full|first|last|user|model|company|client|customer|manager|sender|recipient)'?s?\s+"
    rf"[^\[\]\n]{{1,40}}|{_BLANK}(?:\s+\w+)?)\](?!\()"
    r"|(?<![\w$\\}{])\{\{?\s*[a-z][a-z_ ]{2,30}\s*\}\}?"
    r"|\blorem ipsum\b|\bXX+[/-]XX+(?:[/-]XX+)?\b",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(
    r"\bas an? (?:ai|artificial intelligence|large)[- ]language model\b|\bas a language model\b"
    r"|\b(?:as of )?my (?:last|latest) (?:knowledge )?(?:update|training)\b|\bmy knowledge cut-?off\b"
    # In quotation marks, somebody in the text declines.
    r"|(?<![\"\u201c\u00ab'])\bi(?:'m| am) sorry, but i (?:can't|cannot|am unable to) "
    r"(?:assist|help|fulfill|comply|provide)\b"
    r"|\bi (?:can't|cannot) fulfill (?:this|that|your) request\b",
    re.IGNORECASE,
)


class LeaksSettings(Section):
    """Which traces a text may not show."""

    rules: tuple[Rule, ...] = ("tag", "planning", "placeholder", "boilerplate", "echo")
    """What drops a row; all are scored."""
    max_echo_words: PositiveInt = 12
    """Longest run of words shared with the instructions that the text was written from (words; ours: shorter ones are
    ordinary phrases, and a clause may be quoted at any length)."""


class Leaks(TextFilter):
    """Patterns, and the longest run of words that a text shares with its prompt."""

    name = "leaks"
    version = 4
    thresholds: ClassVar[Mapping[str, str]] = {"rules": "echo", "max_echo_words": "echo"}
    settings: LeaksSettings

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`; the value is the number of finds, and for `echo` the words of the longest one."""
        return [self._score(row) for row in rows]

    def _score(self, row: Row) -> list[Score]:
        # The patterns know one apostrophe.
        text = "\n\n".join(_REASONED.sub(r"\1", answer) for answer in row.answers) if row.reasoning else row.text
        answer, asked = text.replace("\u2019", "'"), row.asked.replace("\u2019", "'")
        whole = f"{asked}\n\n{answer}" if asked else answer
        prose = _CODE.sub("`code`", whole)
        return [
            _finds("tag", _TAG, prose),
            # "Here is a draft" is how an answer may well begin.
            _planning(answer if row.kind == "documents" else asked),
            _finds("placeholder", _PLACEHOLDER, prose),
            _finds("boilerplate", _BOILERPLATE, answer),
            _echo(whole.removeprefix(row.opening.replace("\u2019", "'")), row.instructions),
        ]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        for rule in self.settings.rules:
            value = scores[rule].value
            assert value is not None, scores[rule]
            if value > (self.settings.max_echo_words if rule == "echo" else 0):
                return Verdict("drop", rule)
        return KEEP


def _finds(name: Rule, pattern: re.Pattern[str], text: str) -> Score:
    found = list(pattern.finditer(text))
    return Score(name, len(found), evidence=snippet(text, *found[0].span()) if found else None)


def _planning(text: str) -> Score:
    opening = _OPENING.search(text)
    found = [opening[0]] if opening else []
    found += [closing[0] for closing in _CLOSING.finditer(text[-_EDGE_CHARS:])]
    return Score("planning", len(found), evidence=" ".join(found[0].split()) if found else None)


def _echo(text: str, instructions: Sequence[str]) -> Score:
    # A run of words may not go on from one instruction into the next: no word is "".
    told = [word for instruction in instructions for word in [*words(instruction), ""]]
    span = longest_shared_span(words(text), told)
    return Score("echo", len(span), evidence=" ".join(span)[:200] or None)
