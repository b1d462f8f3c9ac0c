"""Ctrl+C while DuckDB works: its client does not always hear it, and the statement would run on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TypeVar

Made = TypeVar("Made")
_ASK_SECONDS = 0.1
"""Time between two requests to stop: one that comes just before a statement begins stops nothing."""


def unless_interrupted(work: Callable[[], Made], stop: Callable[[], None]) -> Made:
    """What `work` gives. It runs in a thread of its own, so that this one is free to hear Ctrl+C.

    Args:
        work: what is done.
        stop: asks `work` to end; called from this thread, again until it has.

    Raises:
        KeyboardInterrupt: Ctrl+C came; `work` has ended by then.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="statement") as threads:
        doing = threads.submit(work)
        try:
            return doing.result()
        except KeyboardInterrupt:
            while not doing.done():
                with suppress(KeyboardInterrupt):  # pressed again meanwhile
                    stop()
                    wait([doing], _ASK_SECONDS)
            raise
