"""Runs of words that a text shares with known texts: n-grams are looked up first, and only hits are followed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Run:
    """Words in a row that stand in a text and in one of the known texts, and go no further on either side."""

    start: int
    """The place of its first word in the text (words from 0)."""
    num_words: int
    source: int
    """Which of the known texts."""
    ngram_words: int
    """Words of the n-grams that it was found by: the run holds `num_words - ngram_words + 1` of them."""

    def ngram_starts(self) -> range:
        """Where in the text the n-grams of the run begin."""
        return range(self.start, self.start + self.num_words - self.ngram_words + 1)

    def places(self) -> range:
        """The words of the text that the run covers."""
        return range(self.start, self.start + self.num_words)


class SharedRuns:
    """An index of known texts by their n-grams, made once and asked about many texts."""

    def __init__(
        self, sources: Sequence[Sequence[str]], ngram_words: int, leave_out: Iterable[Sequence[str]] = ()
    ) -> None:
        """Index the known texts, each a sequence of words. Memory: some 300 bytes a word.

        Args:
            sources: the known texts; one of fewer than `ngram_words` words is only found whole, an empty one never.
            ngram_words: words of an n-gram; shorter runs are not found.
            leave_out: texts whose n-grams do not count, wherever else they stand.
        """
        self._starts: list[int] = []
        self._places: dict[int, dict[tuple[str, ...], list[int]]] = {}
        """By size of the n-gram: the places of each in all known texts written one after the other."""
        place = 0
        for source in sources:
            self._starts.append(place)
            size = min(ngram_words, len(source))
            if size:
                places = self._places.setdefault(size, {})
                for offset, ngram in enumerate(ngrams(source, size)):
                    places.setdefault(ngram, []).append(place + offset)
            # A gap, so that no run goes on from one text into the next.
            place += len(source) + 1
        for known in leave_out:
            for size, places in self._places.items():
                for ngram in ngrams(known, size):
                    places.pop(ngram, None)

    def in_text(self, words: Sequence[str]) -> list[Run]:
        """Every run that the words share with a known text, by where it begins; the longest of those first.

        Time: one look-up a word, and one step for each place in the known texts that an n-gram of the text has.
        """
        found = [
            run
            for size, places in self._places.items()
            # Nearly every text ends here, before any loop in Python.
            if not places.keys().isdisjoint(ngrams(words, size))
            for run in self._runs(words, size, places)
        ]
        return sorted(found, key=lambda run: (run.start, -run.num_words, run.source))

    def _runs(self, words: Sequence[str], size: int, places: dict[tuple[str, ...], list[int]]) -> Iterator[Run]:
        # By how far the known text is shifted against the text: where the run that is still going on began.
        going_on: dict[int, int] = {}
        at = -1
        for at, ngram in enumerate(ngrams(words, size)):
            shifts = [place - at for place in places.get(ngram, ())]
            if shifts or going_on:
                begun = {shift: going_on.pop(shift, at) for shift in shifts}
                yield from (self._run(start, at, shift, size) for shift, start in going_on.items())
                going_on = begun
        yield from (self._run(start, at + 1, shift, size) for shift, start in going_on.items())

    def _run(self, start: int, end: int, shift: int, size: int) -> Run:
        return Run(start, end - start + size - 1, bisect_right(self._starts, start + shift) - 1, size)


def ngrams(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Every `size` words in a row."""
    return zip(*(islice(words, start, None) for start in range(size)), strict=False)


def covered_words(runs: Iterable[Run]) -> int:
    """Words of a text that at least one run covers."""
    return len({place for run in runs for place in run.places()})
