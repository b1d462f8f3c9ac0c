"""No engine process outlives its owner.

vLLM's EngineCore goes on computing when the process that started it is killed with SIGKILL. So a small process in
a session of its own looks after it: it waits until its parent is gone, then kills every process that carries the
owner's mark in its environment. Descendants inherit the mark whenever they start, so there is no list that could
be out of date, and nothing has to be told to the watchdog.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "SPECMILL_ENGINE_OWNER"
_POLL_SECONDS = 0.25
_QUIET_SCANS = 4
"""Scans in a row that must find nothing before the watchdog believes that all are gone."""


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Inside, every process that is started carries this process's mark; all of them die when this process does.

    Their deaths follow within a second, whatever kills the owner. Leaving the block ends the watch; processes that
    were started inside must have ended by then.
    """
    mark = f"{os.getpid()}-{time.time_ns()}"
    before = {name: os.environ.get(name) for name in (MARK, "SPT_NOENV")}
    # vLLM renames its processes with setproctitle, which would overwrite the environment that /proc shows.
    os.environ.update({MARK: mark, "SPT_NOENV": "1"})
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(os.getpid()), mark],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env={},
    )
    try:
        yield
    finally:
        guard.kill()
        guard.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def marked_processes(mark: str) -> list[int]:
    """Ids of the living processes whose environment carries `mark`."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        # A process may end while it is looked at; those of other users cannot be read and are not ours.
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _guard(parent: int, mark: str) -> None:
    """Wait until the parent is gone, then kill all that carries its mark."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    quiet = 0
    while quiet < _QUIET_SCANS:
        found = marked_processes(mark)
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        quiet = 0 if found else quiet + 1
        time.sleep(_POLL_SECONDS / 5)


if __name__ == "__main__":
    _guard(int(sys.argv[1]), sys.argv[2])
