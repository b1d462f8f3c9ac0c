"""Tokenized once: the segments of a stage's data in flat files, which every process maps into its memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.checkpoint import read_manifest, write_folder, write_manifest

_IDS, _TARGETS, _STARTS, _SOURCES = "token_ids.int32", "is_target.bool", "starts.int64", "sources.json"
_BUFFERED_TOKENS = 1 << 20


@dataclass(frozen=True)
class Segment:
    """A stretch of tokens that sees only itself: a document, a piece of one, or a chat."""

    source: str
    """The id of the document or chat."""
    token_ids: Sequence[int]
    is_target: Sequence[bool]
    """Which tokens are to be predicted; never the first, which nothing comes before."""


@dataclass(frozen=True)
class Segments:
    """Segments in flat arrays, and what could not become one."""

    token_ids: NDArray[np.int32]
    """[num_tokens]"""
    is_target: NDArray[np.bool_]
    """[num_tokens]"""
    starts: NDArray[np.int64]
    """[num_segments + 1]: segment s is `token_ids[starts[s]:starts[s + 1]]`."""
    sources: list[str]
    """[num_segments]"""
    dropped: Mapping[str, list[str]]
    """Ids of what is not trained on, by reason."""


def write_segments(folder: Path, segments: Iterable[Segment], dropped: Mapping[str, list[str]]) -> Segments:
    """Write segments as they come, a few MB of them in memory at a time, and open them; whole or not at all.

    `dropped` may still fill up while `segments` is read.

    Raises:
        StoreError: the disk is full.
    """

    def fill(temporary: Path) -> None:
        lengths, sources = [0], []
        ids: list[int] = []
        targets: list[bool] = []
        with (temporary / _IDS).open("wb") as id_file, (temporary / _TARGETS).open("wb") as target_file:

            def empty_buffers() -> None:
                np.asarray(ids, dtype=np.int32).tofile(id_file)
                np.asarray(targets, dtype=np.bool_).tofile(target_file)
                ids.clear()
                targets.clear()

            for segment in segments:
                assert len(segment.token_ids) == len(segment.is_target) > 0, segment.source
                assert not segment.is_target[0], segment.source
                ids += segment.token_ids
                targets += segment.is_target
                lengths.append(len(segment.token_ids))
                sources.append(segment.source)
                if len(ids) >= _BUFFERED_TOKENS:
                    empty_buffers()
            empty_buffers()
        np.cumsum(lengths, dtype=np.int64).tofile(temporary / _STARTS)
        (temporary / _SOURCES).write_text(json.dumps(sources), encoding="utf-8")
        about = {"num_segments": len(sources), "num_tokens": sum(lengths), "dropped": dict(dropped)}
        write_manifest(temporary, about)

    write_folder(folder, fill)
    written = open_segments(folder)
    assert written is not None, folder
    return written


def open_segments(folder: Path) -> Segments | None:
    """The segments that were written to `folder`; None if they are not there, or not as they were written."""
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    dropped = manifest["dropped"]
    assert isinstance(dropped, dict), folder
    starts = np.fromfile(folder / _STARTS, dtype=np.int64)
    num_tokens = int(starts[-1])
    assert num_tokens == manifest["num_tokens"], folder
    if num_tokens == 0:  # an empty file cannot be mapped
        return Segments(np.zeros(0, np.int32), np.zeros(0, np.bool_), starts, [], dropped)
    return Segments(
        np.memmap(folder / _IDS, dtype=np.int32, mode="r"),
        np.memmap(folder / _TARGETS, dtype=np.bool_, mode="r"),
        starts,
        json.loads((folder / _SOURCES).read_text(encoding="utf-8")),
        dropped,
    )
