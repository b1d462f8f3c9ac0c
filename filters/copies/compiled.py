"""Compiling what is too slow in Python: numba, at the first call, kept for the next process.

Compiling takes some seconds, once a machine: numba keeps the code beside the source file, or in the user's cache folder
where that one cannot be written, and replaces its files by renaming, so that two processes may compile at once. Where
neither can be written, each process compiles for itself. Numba looks at the one file alone to see whether its code is
still good, so a compiled function calls none of another file.

Compiled functions let other threads run meanwhile (`nogil`): threads over batches use every core.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """The function, compiled when it is first called."""
    try:
        made: Function = numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # there is no folder that the code could be kept in
        made = numba.njit(function, nogil=True)
    return made
