"""Files that do not read back are named, and the rest still reads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from fakes.stored import document, ids

from corpus.errors import CorruptFileError, StoreError
from corpus.store import open_reader, open_writer
from corpus.store.snapshot import part_paths, segment_path, take_snapshot


def test_a_truncated_part_is_named_and_the_rest_still_reads(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with open_writer(root) as store:
        writer = store.writer("corpus")
        for number in (1, 2):
            writer.append({"documents": [document(number)]})
            store.seal()
    path = part_paths(root, "documents")[0]
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CorruptFileError, match=r"000001\.parquet"):
        open_reader(root).query("SELECT * FROM documents")
    with pytest.raises(CorruptFileError, match=r"000001\.parquet"), open_writer(root):
        pass
    snapshot = take_snapshot(root)
    assert [fault.args[0].split()[0] for fault in snapshot.faults] == [str(path)]
    assert snapshot.parts["documents"] == [part_paths(root, "documents")[1]]


def test_a_changed_byte_inside_a_part_is_found_and_named(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with open_writer(root) as store:
        for number in range(300):
            store.writer("corpus").append({"documents": [document(number, text=os.urandom(300).hex())]})
    (path,) = part_paths(root, "documents")
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 64] = bytes(64)
    path.write_bytes(bytes(damaged))
    with pytest.raises(CorruptFileError, match=r"000001\.parquet"):
        open_reader(root).query("SELECT sum(length(text)) FROM documents")


def test_a_damaged_journal_is_named_and_stops_the_writer_with_nothing_lost(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with open_writer(root) as store:
        for number in (1, 2, 3):
            store.writer("corpus").append({"documents": [document(number)]})
        kept = segment_path(root, 1).read_bytes()
    damaged = bytearray(kept)
    damaged[len(kept) // 2] ^= 1
    shutil.rmtree(root)
    with open_writer(root):
        pass
    segment_path(root, 1).write_bytes(bytes(damaged))
    with pytest.raises(CorruptFileError, match=r"000001\.journal"), open_writer(root):
        pass
    assert segment_path(root, 1).read_bytes() == bytes(damaged)
    assert [r["doc_id"] for r in take_snapshot(root).journal["documents"]] == ["doc-1", "doc-3"]


def test_an_unfinished_record_at_the_end_is_said_and_the_run_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with open_writer(root) as store:
        store.writer("corpus").append({"documents": [document(1)]})
        kept = segment_path(root, 1).read_bytes()
    shutil.rmtree(root)
    with open_writer(root):
        pass
    segment_path(root, 1).write_bytes(kept + kept[:-3])
    notes: list[str] = []
    with open_writer(root, notes.append):
        assert ids(root) == ["doc-1"]
    assert len(notes) == 1
    assert "000001.journal" in notes[0]


def test_reading_a_folder_that_is_no_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="specmill run"):
        open_reader(tmp_path)
