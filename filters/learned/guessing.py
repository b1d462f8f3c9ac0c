"""Guesses of fastText models over all cores: fastText holds the interpreter's lock, so other processes make them.

A few texts are guessed at in this process: starting others takes longer. The others are started afresh, not forked:
a fork beside the threads of torch or DuckDB may hang. They end with this process, also where it is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path

from filters.learned.fasttext_model import Guess, Model, guess, load
from filters.text import words

POOL_FROM_TEXTS = 8_192
"""Texts that one guesser reads by itself before it calls in other processes: about two seconds of work."""
_CHUNK_TEXTS = 256


def as_line(text: str) -> str:
    """A text as our models read it: one line, words only, so that no text can hold a label or end the line."""
    return " ".join(words(text))


def on_one_line(text: str) -> str:
    """A text as the models of others may have read it: as it is, on one line, which is what fastText takes."""
    return " ".join(text.split())


class Guesser:
    """Says of texts how probable a label is, by the model of one of several files."""

    def __init__(self, *, words_only: bool, num_processes: int | None = None) -> None:
        """`words_only`: as our own models are trained. The number of processes is that of the cores."""
        self._words_only = words_only
        self._num_processes = num_processes or len(os.sched_getaffinity(0))
        self._num_texts = 0
        self._pool: ProcessPoolExecutor | None = None

    def guess(self, path: Path, texts: Sequence[str], labels: Sequence[str]) -> list[Guess]:
        """The guesses of the model in `path`, in the order of the texts; of each the probability of its label."""
        self._num_texts += len(texts)
        if self._num_processes == 1 or self._num_texts <= POOL_FROM_TEXTS:
            return _guess(path, self._words_only, texts, labels)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._num_processes, multiprocessing.get_context("spawn"), initializer=_end_with_parent
            )
        starts = range(0, len(texts), _CHUNK_TEXTS)
        of_chunk = [slice(start, start + _CHUNK_TEXTS) for start in starts]
        try:
            chunks = [self._pool.submit(_guess, path, self._words_only, texts[at], labels[at]) for at in of_chunk]
            return [one for chunk in chunks for one in chunk.result()]
        except BrokenProcessPool:  # one was killed, for want of memory say: the work is done here instead
            self._num_processes, self._pool = 1, None
            return _guess(path, self._words_only, texts, labels)


def _guess(path: Path, words_only: bool, texts: Sequence[str], labels: Sequence[str]) -> list[Guess]:
    line = as_line if words_only else on_one_line
    return guess(_loaded(path), [line(text) for text in texts], labels)


@lru_cache(maxsize=16)
def _loaded(path: Path) -> Model:
    return load(path)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
