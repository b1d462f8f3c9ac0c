"""Compiling what is too slow in Python: numba, at the first call, kept for the next process.

Compiling takes some seconds, once a machine: numba keeps the code beside the sources, or in the user's cache folder
where that one cannot be written, and replaces its files by renaming, so that two processes may compile at once. Where
neither can be written, each process compiles for itself.

Compiled functions let other threads run meanwhile (`nogil`): threads over batches use every core.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Values = NDArray[np.uint32]


def compiled(function: Function) -> Function:
    """The function, compiled when it is first called.

    Machine code holds what it calls, and numba looks at the time of the function's own file alone: so code is kept in a
    folder named after the sources of all modules beside it.
    """
    home = Path(function.__code__.co_filename).parent
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(home / "__pycache__" / f"kernels-{_digest(home)}")
    try:
        made: Function = numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # there is no folder that the code could be kept in
        made = numba.njit(function, nogil=True)
    finally:
        numba.config.CACHE_DIR = before
    return made


@cache
def _digest(home: Path) -> str:
    sources = [path.read_bytes() for path in sorted(home.glob("*.py"))]
    return hashlib.blake2b(b"\0".join(sources), digest_size=8).hexdigest()
