"""Texts that decline to be written: the refusal of a model that was asked for something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from corpus.engine.calls import opens_as_refusal
from corpus.recipe import Section
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.text import snippet

_OPENING_CHARS = 120


class RefusalSettings(Section):
    """Whose refusals drop a row; all are scored."""

    chats: bool = False
    """Whether a chat goes, too, in which an answer is one: declining may be what the spec asks for."""


class Refusal(TextFilter):
    """Short texts that begin by declining, as replies are judged when a corpus is generated."""

    name = "refusal"
    version = 1
    settings: RefusalSettings

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`; the value is the number of texts that decline: a document, or a chat's answers."""
        return [[self._score(row)] for row in rows]

    def _score(self, row: Row) -> Score:
        is_chat = row.kind == "chats"
        declining = [text for text in (row.answers if is_chat else (row.text,)) if opens_as_refusal(text)]
        evidence = snippet(declining[0], 0, _OPENING_CHARS, margin_chars=0) if declining else None
        return Score("refusing_answers" if is_chat else "refusing_documents", len(declining), evidence=evidence)

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        counted = ("refusing_documents", "refusing_answers") if self.settings.chats else ("refusing_documents",)
        refuses = any(scores[name].value for name in counted if name in scores)
        return Verdict("drop", "refusal") if refuses else KEEP
