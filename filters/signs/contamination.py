"""Eval texts in the corpus: n-grams shared with eval questions, with their answers, and with held-out clauses.

A model that was trained on what it is asked about is not measured. GPT-3's 13 words in a row (arXiv 2005.14165,
appendix C) are what counts as shared. A short answer says nothing alone: it counts where it follows its question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from pydantic import Field, NonNegativeInt, PositiveInt

from corpus.recipe import Section
from corpus.store.identity import content_id
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.signs.eval_texts import EvalText, ItemFile, Role
from filters.signs.shared_runs import Run, SharedRuns
from filters.signs.spec_copying import quoted
from filters.text import words

_ANSWER_WITHIN_WORDS = 50
"""How far behind its question a short answer is looked for (words; ours)."""
_REASONS: Mapping[Role, str] = {
    "question": "eval question", "answer": "eval answer", "held_out": "held-out clause",
}  # fmt: skip


class ContaminationSettings(Section):
    """What counts as eval text, and how much of it a row may hold."""

    ngram_words: PositiveInt = Field(13, ge=2)
    """Words in a row that two texts share by no chance (words; GPT-3, arXiv 2005.14165: 13)."""
    min_question_words: PositiveInt = 8
    """Questions and clauses shorter than `ngram_words` count where they stand whole, from this length on (words;
    GPT-3's shortest n-gram: 8)."""
    own_items: bool = True
    """Whether the items of our own eval tasks count."""
    files: tuple[ItemFile, ...] = ()
    """Other items: `{path: FILE.jsonl, question: FIELD, answers: [FIELDS]}`, beside the recipe."""
    held_out_clauses: bool = True
    """Whether the wording of held-out clauses counts: bits per byte are measured on it."""
    max_question_ngrams: NonNegativeInt = 0
    """n-grams of questions that a row may hold (n-grams)."""
    max_answer_ngrams: NonNegativeInt = 0
    """n-grams of answers that a row may hold (n-grams)."""
    max_held_out_ngrams: NonNegativeInt = 0
    """n-grams of held-out clauses that a row may hold, of those that no other clause has (n-grams)."""

    def scored_with(self) -> list[object]:
        """What decides the scores, besides the eval texts."""
        return [self.ngram_words, self.min_question_words]


class Contamination(TextFilter):
    """How much of the eval texts stands in a row: of a chat, in any of its turns."""

    name = "contamination"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {
        "max_question_ngrams": "question_ngrams", "max_answer_ngrams": "answer_ngrams",
        "max_held_out_ngrams": "held_out_ngrams",
    }  # fmt: skip
    settings: ContaminationSettings

    def __init__(
        self, settings: ContaminationSettings, eval_texts: Iterable[EvalText], shown_clauses: Sequence[str] = ()
    ) -> None:
        """Index the eval texts.

        Args:
            settings: see `ContaminationSettings`.
            eval_texts: what counts.
            shown_clauses: clauses that are not held out: what they share with held-out ones does not count.
        """
        super().__init__(settings)
        self._texts = list(eval_texts)
        self._shown = list(shown_clauses)
        found = [words(one.text) for one in self._texts]
        least = settings.min_question_words
        indexed = [
            one if len(one) >= (settings.ngram_words if self._texts[place].role == "answer" else least) else []
            for place, one in enumerate(found)
        ]
        is_clause = [one.role == "held_out" for one in self._texts]
        items = _only(indexed, [not held_out for held_out in is_clause])
        self._in_items = SharedRuns(items, settings.ngram_words)
        self._in_clauses = SharedRuns(
            _only(indexed, is_clause), settings.ngram_words, leave_out=map(words, self._shown)
        )
        self._short_answers: dict[str, list[list[str]]] = defaultdict(list)
        for text, one in zip(self._texts, found, strict=True):
            if text.role == "answer" and 0 < len(one) < settings.ngram_words:
                self._short_answers[text.item].append(one)

    def scored_with(self) -> list[object]:
        """The eval texts, and what counts as shared; see `Filter.scored_with`."""
        texts = [[one.role, one.item, one.text] for one in self._texts]
        return [content_id("eval texts", texts, self._shown), *self.settings.scored_with()]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`; labels name the item or the clause, evidence is the longest shared run."""
        return [self._score(f"{row.asked}\n\n{row.text}" if row.asked else row.text) for row in rows]

    def _score(self, text: str) -> list[Score]:
        found = words(text)
        runs = [*self._in_items.in_text(found), *self._in_clauses.in_text(found)]
        by_role: dict[Role, list[Run]] = {"question": [], "answer": [], "held_out": []}
        for run in runs:
            by_role[self._texts[run.source].role].append(run)
        by_role["answer"] += self._answers_after(by_role["question"], found)
        return [score for role in by_role for score in self._of_role(role, by_role[role], found)]

    def _of_role(self, role: Role, runs: Sequence[Run], found: Sequence[str]) -> list[Score]:
        starts = {start for run in runs for start in run.ngram_starts()}
        covered = {place for run in runs for place in run.places()}
        longest = max(runs, key=lambda run: run.num_words, default=None)
        return [
            Score(
                f"{role}_ngrams",
                len(starts),
                label=self._texts[longest.source].item if longest else None,
                evidence=quoted(found, longest) if longest else None,
            ),
            Score(f"{role}_fraction", len(covered) / max(1, len(found))),
        ]

    def _answers_after(self, questions: Sequence[Run], found: Sequence[str]) -> list[Run]:
        """The short answers that stand whole behind a run of their own question."""
        answers: list[Run] = []
        for run in questions:
            behind = run.start + run.num_words
            for answer in self._short_answers.get(self._texts[run.source].item, ()):
                size = len(answer)
                for start in range(behind, min(behind + _ANSWER_WITHIN_WORDS, len(found) - size + 1)):
                    if list(found[start : start + size]) == answer:
                        answers.append(Run(start, size, run.source, size))
                        break
        return answers

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        limits: Mapping[Role, int] = {
            "question": self.settings.max_question_ngrams,
            "answer": self.settings.max_answer_ngrams,
            "held_out": self.settings.max_held_out_ngrams,
        }
        for role, limit in limits.items():
            value = scores[f"{role}_ngrams"].value
            assert value is not None, scores
            if value > limit:
                return Verdict("drop", _REASONS[role])
        return KEEP


def _only(texts: Sequence[list[str]], wanted: Sequence[bool]) -> list[list[str]]:
    """The texts that are wanted, with an empty one in place of each other, so that places stay."""
    return [text if is_wanted else [] for text, is_wanted in zip(texts, wanted, strict=True)]
