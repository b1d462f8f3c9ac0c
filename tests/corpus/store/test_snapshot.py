"""A look at a run is of one moment, whatever the writer does between two steps of the look."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.rows import row

from corpus.store import open_writer, snapshot
from corpus.store.journal import Contents, read_segment
from corpus.store.parts import TEMPORARY
from corpus.store.store import WritingStore


def brief(number: int) -> pa.Table:
    return pa.Table.from_pylist([row("briefs", brief_id=f"brief-{number}", clause_ids=["c"])])


def document(number: int) -> dict[str, object]:
    return row("documents", doc_id=f"doc-{number}", brief_id=f"brief-{number}", text="text", clause_ids=["c"])


def write(store: WritingStore, number: int) -> None:
    """One brief as a part of its own, then its document and call as one record."""
    writer = store.writer("corpus")
    writer.add_part("briefs", brief(number))
    writer.append({"documents": [document(number)], "calls": [row("calls", call_id=f"call-{number}")]})


def seen(look: snapshot.Snapshot) -> tuple[int, int, int]:
    """Briefs, documents and calls of a look."""

    def count(table: str) -> int:
        sealed = sum(pq.read_metadata(path).num_rows for path in look.parts[table])
        return sealed + len(look.journal.get(table, []))

    return count("briefs"), count("documents"), count("calls")


def between(monkeypatch: pytest.MonkeyPatch, name: str, time: int, act: Callable[[], None]) -> None:
    """Have the writer act once, just before the look calls `snapshot.<name>` for the `time`-th time."""
    original, calls = getattr(snapshot, name), itertools.count(1)

    def first_act(*arguments: object) -> object:
        if next(calls) == time:
            act()
        return original(*arguments)

    monkeypatch.setattr(snapshot, name, first_act)


@pytest.mark.parametrize(
    ("step", "time"),
    [("segment_numbers", 1), ("part_paths", 1), ("segment_numbers", 2), ("read_segment", 1), ("columns_of", 1)],
)
def test_whatever_a_writer_does_between_two_steps_a_look_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, time: int
) -> None:
    """Every brief has its document and every document its call; nothing from before the look is missing."""
    root = tmp_path / "run"
    with open_writer(root) as store:
        for number in (1, 2, 3):
            write(store, number)

        def seal_and_write_on() -> None:
            for number in (4, 5, 6):
                write(store, number)
                if number == 5:
                    store.seal()

        between(monkeypatch, step, time, seal_and_write_on)
        num_briefs, num_documents, num_calls = seen(snapshot.take_snapshot(root))
        assert num_documents == num_calls
        assert 3 <= num_documents <= num_briefs <= num_documents + 1
        assert seen(snapshot.take_snapshot(root)) == (6, 6, 6)


def test_a_segment_that_grew_after_it_was_read_is_not_taken_from_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the above: its first record was read, then a second came and both were sealed."""
    root = tmp_path / "run"
    with open_writer(root) as store:
        store.writer("corpus").append({"documents": [document(1)], "calls": [row("calls", call_id="call-1")]})

        def read_then_grow(path: Path) -> Contents:
            contents = read_segment(path)
            store.writer("corpus").append({"documents": [document(2)], "calls": [row("calls", call_id="call-2")]})
            store.seal()
            return contents

        monkeypatch.setattr(snapshot, "read_segment", read_then_grow)
        look = snapshot.take_snapshot(root)
    assert seen(look) == (0, 1, 1)


def test_a_file_that_is_being_written_is_not_looked_at(tmp_path: Path) -> None:
    """Its real name comes with a rename: till then it may be half there, and a moment later gone."""
    root = tmp_path / "run"
    with open_writer(root) as store:
        write(store, 1)
        store.writer("corpus").set_current("briefs", {"plan": "b2:1"})
        (root / snapshot.CURRENT / f"{TEMPORARY}7-briefs.json").write_text('{"plan": "b2')
        (root / "briefs" / f"{TEMPORARY}7-000009.parquet").write_bytes(b"PAR1")
        look = snapshot.take_snapshot(root)
    assert look.current == {"briefs": {"plan": "b2:1"}}
    assert (seen(look), look.faults) == ((1, 1, 1), [])


def test_tables_that_were_set_together_are_what_a_room_says_last(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run") as store:
        writer = store.writer("filters")
        writer.set_current("verdicts", {"length": "of before"})
        writer.set_current("mixes", {"docs": "m"})
        writer.set_current_together({"verdicts": {"length": "now"}, "duplicates": {"documents": "d"}})
        assert (store.current("verdicts"), store.current("duplicates"), store.current("mixes")) == (
            {"length": "now"}, {"documents": "d"}, {"docs": "m"},
        )  # fmt: skip
