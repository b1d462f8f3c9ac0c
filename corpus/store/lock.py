"""One process writes a run: a record lock that dies with its owner, however it dies."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from corpus.errors import StoreError

_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length, pid
_held: set[Path] = set()
"""A record lock does not keep out its own process, so this does."""


class WriterLock:
    """Held from creation to `release`.

    The file must never be opened elsewhere in this process: closing any descriptor of it would drop the lock.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock of a run.

        Raises:
            StoreError: another process writes this run; the message names its pid.
        """
        self.path = folder.resolve() / ".lock"
        if self.path in _held:
            raise StoreError(f"this process (pid {os.getpid()}) already writes {folder}; close it first")
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = self._owner()
            os.close(self._descriptor)
            raise StoreError(
                f"{folder} is being written by process {owner}; wait for it or stop it (reading needs no waiting)"
            ) from None
        _held.add(self.path)

    def _owner(self) -> int:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        return int(_FLOCK.unpack(fcntl.fcntl(self._descriptor, fcntl.F_GETLK, asked))[4])

    def release(self) -> None:
        """Let the next writer in."""
        _held.discard(self.path)
        os.close(self._descriptor)
