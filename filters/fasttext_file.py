"""Whether a file is a fastText model, and whole: read by its own numbers before fastText reads it.

fastText believes what a file says of its own size: handed a file that was cut off, it asks for memory without end, or
gives a model of whatever lay there. The order of the fields is that of fastText's `saveModel`, format 12; where they
end is where the file has to end.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from corpus.errors import SetupError

_MAGIC, _FORMATS = 793712314, (11, 12)
_SUPERVISED = 3
"""Of the kinds of model the one that has labels."""
_MAX_FIELD = 1 << 40
"""Numbers beyond are none that a model has."""


def check_model_file(path: Path) -> None:
    """Make sure that fastText can read `path`, to its end, and that it is a classifier.

    Raises:
        SetupError: it is not there, no fastText model, cut off, or one without labels (word vectors).
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            kind, end = _walk(data)
            num_bytes = len(data)
    except OSError as error:
        raise SetupError(f"the classifier's model {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, struct.error, IndexError):  # an empty file cannot be mapped
        raise SetupError(
            f"{path} is no whole fastText model; `model` takes a file that fastText's save_model wrote"
        ) from None
    if end != num_bytes:
        raise SetupError(
            f"{path} is no whole fastText model: it should have {end} bytes and has {num_bytes}; copy it again"
        )
    if kind != _SUPERVISED:
        raise SetupError(f"{path} holds word vectors and no labels; `model` takes one that train_supervised made")


def _walk(data: mmap.mmap) -> tuple[int, int]:
    """What kind of model it is, and where it ends by its own numbers.

    Raises:
        ValueError, struct.error, IndexError: it does not read.
    """
    cursor = _Cursor(data)
    magic, form = cursor.take("ii")
    if magic != _MAGIC or form not in _FORMATS:
        raise ValueError(magic)
    kind = cursor.take("12i")[7]
    cursor.skip(8)  # the sampling threshold
    cursor.pass_dictionary()
    (is_quantized,) = cursor.take("?")
    cursor.pass_matrix(bool(is_quantized))
    (is_output_quantized,) = cursor.take("?")
    cursor.pass_matrix(bool(is_quantized and is_output_quantized))
    return kind, cursor.place


class _Cursor:
    """A place in a model's file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.place = 0

    def take(self, form: str) -> tuple[int, ...]:
        """The numbers that stand here, none of them beyond what a model can have."""
        found = struct.unpack_from(f"<{form}", self._data, self.place)
        self.skip(struct.calcsize(f"<{form}"))
        if any(not -1 <= value <= _MAX_FIELD for value in found):
            raise ValueError(found)
        return found

    def skip(self, num_bytes: int) -> None:
        self.place += num_bytes

    def pass_dictionary(self) -> None:
        num_entries, _, _ = self.take("iii")
        _, num_pruned = self.take("qq")
        for _ in range(num_entries):
            word_end = self._data.find(b"\0", self.place)
            if word_end < 0:
                raise ValueError(self.place)
            self.place = word_end + 1 + 8 + 1  # after the word its count and whether it is a label
        self.skip(8 * max(0, num_pruned))

    def pass_matrix(self, is_quantized: bool) -> None:
        if not is_quantized:
            num_rows, num_columns = self.take("qq")
            self.skip(4 * num_rows * num_columns)
            return
        (has_norms,) = self.take("?")
        num_rows, _ = self.take("qq")
        (num_codes,) = self.take("i")
        self.skip(num_codes)
        self._pass_quantizer()
        if has_norms:
            self.skip(num_rows)
            self._pass_quantizer()

    def _pass_quantizer(self) -> None:
        dim, _, _, _ = self.take("iiii")
        self.skip(4 * dim * 256)
