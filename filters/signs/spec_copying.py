"""Verbatim copying of the spec: how long the longest shared run of words is, and how much of the text is copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field, PositiveInt

from corpus.recipe import Section
from corpus.store.identity import content_id
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.signs.shared_runs import Run, SharedRuns, covered_words
from filters.text import words

_EVIDENCE_CHARS = 200


class SpecCopyingSettings(Section):
    """How much of the spec a text may hold word for word: quoting a rule is natural, reprinting pages is not."""

    ngram_words: PositiveInt = Field(8, ge=2)
    """Shortest run of words that counts as copied (words; ours: shorter ones are ordinary phrases)."""
    max_run_words: PositiveInt = 100
    """Longest run of words shared with the spec (words; ours: longer than nearly every rule or example)."""
    max_copied_fraction: float = Field(0.5, ge=0, le=1)
    """Words that stand in some copied run (fraction of the text's words; ours: more quotation than text)."""


class SpecCopying(TextFilter):
    """Runs of words shared with the clauses of the run's own spec, examples and held-out ones included.

    The clauses are taken as one text in their order, so that a run may go on from one into the next. Of a chat, the
    assistant's turns are measured.
    """

    name = "spec_copying"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {
        "max_run_words": "copied_run_words",
        "max_copied_fraction": "copied_fraction",
    }
    settings: SpecCopyingSettings

    def __init__(self, settings: SpecCopyingSettings, clause_texts: Sequence[str]) -> None:
        """Index the clauses, given in the order of the spec; without any, nothing is judged."""
        super().__init__(settings)
        self._clause_texts = list(clause_texts)
        spec = [word for text in clause_texts for word in words(text)]
        self._index = SharedRuns([spec], settings.ngram_words)

    def scored_with(self) -> list[object]:
        """The spec, and what counts as a run; see `Filter.scored_with`."""
        return [content_id("clause texts", self._clause_texts), self.settings.ngram_words]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`."""
        return [self._score(row.text) for row in rows]

    def _score(self, text: str) -> list[Score]:
        if not self._clause_texts:
            return [
                Score("copied_run_words", None, "unjudged", "the run has no clauses"),
                Score("copied_fraction", None),
            ]
        found = words(text)
        runs = self._index.in_text(found)
        longest = max(runs, key=lambda run: run.num_words, default=Run(0, 0, 0, 0))
        return [
            Score("copied_run_words", longest.num_words, evidence=quoted(found, longest)),
            Score("copied_fraction", covered_words(runs) / max(1, len(found))),
        ]

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        run_words, fraction = scores["copied_run_words"].value, scores["copied_fraction"].value
        if run_words is None or fraction is None:
            return Verdict("unjudged", "no clauses")
        if run_words > self.settings.max_run_words:
            return Verdict("drop", "long copied run")
        return Verdict("drop", "mostly copied") if fraction > self.settings.max_copied_fraction else KEEP


def quoted(found: Sequence[str], run: Run) -> str | None:
    """The words of a run, as evidence; None for an empty one."""
    return " ".join(found[run.start : run.start + run.num_words])[:_EVIDENCE_CHARS] or None
