"""Identity is content: an id is the hash of what made the row, never a position, a file name or a title."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

PREFIX = "b2:"
"""Names the algorithm (BLAKE2b, 128 bits), so that a later change of it can be told apart."""

_CANONICAL = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"))
"""Made once: `json.dumps` would make one for every call."""


def content_id(kind: str, *parts: object) -> str:
    """Hash of `kind` and `parts`, each in canonical JSON: the same content gives the same id on any machine.

    Raises:
        TypeError: a part is not made of JSON's types (tuples count as lists).
    """
    canonical = _CANONICAL.encode([kind, *parts])
    return PREFIX + hashlib.blake2b(canonical.encode("ascii"), digest_size=16).hexdigest()


def file_id(path: Path) -> str:
    """Hash of a file's bytes, read in blocks."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return PREFIX + digest.hexdigest()


def draw(*parts: object) -> int:
    """A number in [0, 2**64) that is a pure function of `parts`: how every random choice of a run is made."""
    return int(content_id("draw", *parts)[len(PREFIX) :][:16], 16)
