"""The watchdog itself, with small children instead of an engine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corpus.engine import watchdog

OWNER = """
import subprocess, sys, time
from corpus.engine.watchdog import watched
sleeper = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
grandparent = "import subprocess, time; subprocess.Popen({0!r}, start_new_session=True); time.sleep(600)"
with watched():
    subprocess.Popen(sleeper)
    subprocess.Popen([sys.executable, "-S", "-c", grandparent.format(sleeper)], start_new_session=True)
    print("ready", flush=True)
    time.sleep(600)
"""


def marked_by(owner: int) -> list[int]:
    """Living processes, zombies aside, with the mark of `owner`, whatever its start time."""
    wanted = f"{watchdog.MARK}={owner}-".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_until(condition, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def start_owner(code: str = OWNER) -> subprocess.Popen:
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "ready\n"
    return owner


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_children_and_their_children_die_with_a_killed_owner(how):
    owner = start_owner()
    assert wait_until(lambda: len(marked_by(owner.pid)) == 3)
    owner.send_signal(how)
    owner.wait()
    assert wait_until(lambda: not marked_by(owner.pid))


def test_without_the_watchdog_they_would_live_on():
    """The control: the same children, and a watchdog that was killed first."""
    owner = start_owner()
    assert wait_until(lambda: len(marked_by(owner.pid)) == 3)
    (guard,) = _watchdogs(owner.pid)
    os.kill(guard, signal.SIGKILL)
    owner.kill()
    owner.wait()
    survivors = marked_by(owner.pid)
    assert len(survivors) == 3
    for survivor in survivors:
        os.kill(survivor, signal.SIGKILL)


def test_leaving_the_block_ends_the_watch_and_cleans_the_environment():
    """Beside the watch of the engine that the tests share, which may be on when this one runs."""
    before, others = dict(os.environ), set(_watchdogs(os.getpid()))
    with watchdog.watched():
        assert wait_until(lambda: len(set(_watchdogs(os.getpid())) - others) == 1)
        assert os.environ[watchdog.MARK] != before.get(watchdog.MARK)
    assert set(_watchdogs(os.getpid())) == others
    assert dict(os.environ) == before


def test_processes_of_others_are_not_touched():
    bystander = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    owner = start_owner()
    owner.kill()
    owner.wait()
    assert wait_until(lambda: not marked_by(owner.pid))
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def _watchdogs(owner: int) -> list[int]:
    """The owner's living watchdogs."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if watchdog.__file__.encode() in words and str(owner).encode() in words:
            found.append(int(entry.name))
    return found
