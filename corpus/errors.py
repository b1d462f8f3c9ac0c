"""The errors a user can cause or mend: what was wrong, the value seen, what to do next.

The front door prints the message of a `SpecmillError` and exits 2, without a traceback. Anything else is a bug of
ours and keeps its traceback (exit 1).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpecmillError(Exception):
    """The user's input or set-up is wrong; the message says what to do next."""


class RecipeError(SpecmillError, ValueError):
    """The recipe asks for something that cannot be: an unknown key, a wrong value, a change that needs `--update`."""


class SpecError(SpecmillError, ValueError):
    """The spec cannot be read, or holds nothing that could be discussed."""


class StoreError(SpecmillError, OSError):
    """The run's folder cannot be used: another writer, no space left, not a run."""


class CorruptFileError(StoreError):
    """A part or a journal segment does not read back; the message names it. Everything else still reads."""


class QueryError(SpecmillError, ValueError):
    """A query was refused by the sandbox, or DuckDB could not run it."""


class DataError(SpecmillError, ValueError):
    """Rows handed to Specmill do not have the form they need: an import, a shard, an item file."""


class SetupError(SpecmillError, RuntimeError):
    """Something is not installed or not there: an engine, a model folder, an extra. The message names the command."""


class EngineError(SpecmillError, RuntimeError):
    """The engine cannot go on for any request: a wrong key, an unknown model, a dead server, a usage limit."""


class TrainingError(SpecmillError, RuntimeError):
    """Training cannot start or go on: a parent on another base, a loss that is not a number."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known: the one that was probably meant, else all there are."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names) or 'none'}"
