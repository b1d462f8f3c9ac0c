"""Whether a file is a whole fastText model that gives labels: fastText itself hangs or dies on one that is torn.

The format is fastText's own (version 12, its `.bin` and `.ftz`): a header, the training's settings, the dictionary,
then the input and the output matrix, each plain or quantized. Only sizes are read here.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from corpus.errors import DataError

_MAGIC, _VERSION = 793_712_314, 12
_SUPERVISED = 3
_NUM_SETTINGS = 12
_DIM_SETTING, _MODEL_SETTING = 0, 7
_CENTROIDS = 256
"""Centroids of a product quantizer: one byte chooses among them."""
_LABEL = 1


class _Torn(Exception):
    """The file ends before what it announces."""


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.at = 0

    def numbers(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize(f"<{form}")
        self.skip(size)
        return struct.unpack(f"<{form}", self._data[self.at - size : self.at])

    def skip(self, num_bytes: int) -> None:
        if num_bytes < 0 or self.at + num_bytes > len(self._data):
            raise _Torn
        self.at += num_bytes

    def word(self) -> bytes:
        end = self._data.find(b"\0", self.at)
        if end < 0:
            raise _Torn
        word = self._data[self.at : end]
        self.at = end + 1
        return word

    def is_at_end(self) -> bool:
        return self.at == len(self._data)


def read_labels(path: Path, setting: str) -> list[str]:
    """The labels of a fastText model, as they stand in the file; its numbers are not read.

    Args:
        path: the file.
        setting: the recipe's key, for the messages.

    Raises:
        DataError: not there, not a fastText model, one without labels, or torn.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(_Reader(data))
    except _Torn:
        raise DataError(f"{setting}: {path} is no whole fastText model; {_ADVICE}") from None
    except ValueError as error:  # an empty file, too
        raise DataError(f"{setting}: {path} is no fastText model ({error}); {_ADVICE}") from None
    except OSError as error:
        raise DataError(f"{setting}: {path} cannot be read ({error.strerror}); {_ADVICE}") from None


_ADVICE = "give a .bin or .ftz file that was trained with labels (lid.176.ftz, say), or leave the setting out"


def _read(reader: _Reader) -> list[str]:
    magic, version = reader.numbers("ii")
    if (magic, version) != (_MAGIC, _VERSION):
        raise ValueError(f"it begins with {magic}, {version} where {_MAGIC}, {_VERSION} is expected")
    settings = reader.numbers(f"{_NUM_SETTINGS}i")
    reader.skip(8)
    if settings[_MODEL_SETTING] != _SUPERVISED:
        raise ValueError("it holds word vectors without labels")
    labels = _dictionary(reader)
    for _ in range(2):
        if _matrix(reader) != settings[_DIM_SETTING]:
            raise ValueError("its settings and its numbers do not go together")
    if not reader.is_at_end():
        raise _Torn
    return labels


def _dictionary(reader: _Reader) -> list[str]:
    num_entries, _, num_labels, _, num_pruned = reader.numbers("iiiqq")
    labels = []
    for _ in range(num_entries):
        word = reader.word()
        _, kind = reader.numbers("qb")
        if kind == _LABEL:
            labels.append(word.decode("utf-8", "replace"))
    reader.skip(8 * max(0, num_pruned))
    if len(labels) != num_labels or not labels:
        raise _Torn
    return labels


def _matrix(reader: _Reader) -> int:
    """Go past one; its columns."""
    (is_quantized,) = reader.numbers("b")
    if not is_quantized:
        rows, columns = reader.numbers("qq")
        reader.skip(4 * rows * columns)
        return int(columns)
    has_norms, rows, columns, num_codes = reader.numbers("bqqi")
    reader.skip(num_codes)
    _quantizer(reader)
    if has_norms:
        reader.skip(rows)
        _quantizer(reader)
    return int(columns)


def _quantizer(reader: _Reader) -> None:
    dim = reader.numbers("4i")[0]
    reader.skip(4 * dim * _CENTROIDS)
