"""The journal keeps whole records whole, whatever happens to the bytes behind or between them."""

from __future__ import annotations

import resource
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import StoreError
from corpus.store.journal import MAGIC, SYNC_ROWS, Segment, encode, read_segment

VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
ROWS = st.dictionaries(
    st.sampled_from(["calls", "documents", "evals"]),
    st.lists(st.dictionaries(st.text(max_size=8), VALUES | st.lists(st.text(), max_size=3), max_size=4), max_size=3),
    max_size=3,
)


def segment_of(folder: Path, records: list[dict[str, list[dict[str, object]]]]) -> Path:
    path = folder / "000001.journal"
    path.write_bytes(b"".join(encode(record) for record in records))
    return path


@given(records=st.lists(ROWS, max_size=6))
def test_any_rows_come_back_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, records) -> None:
    contents = read_segment(segment_of(tmp_path_factory.mktemp("j"), records))
    assert contents.records == records
    assert contents.torn_bytes == 0
    assert contents.corrupt_offset is None


@given(records=st.lists(ROWS, min_size=1, max_size=5), data=st.data())
def test_a_segment_cut_at_any_byte_gives_its_whole_records(tmp_path_factory, records, data) -> None:
    path = segment_of(tmp_path_factory.mktemp("j"), records)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    contents = read_segment(path)
    sizes = [len(encode(record)) for record in records]
    num_whole = next((n for n in range(len(records) + 1) if sum(sizes[: n + 1]) > cut), len(records))
    assert contents.records == records[:num_whole]
    assert contents.torn_bytes == cut - sum(sizes[:num_whole])
    assert contents.corrupt_offset is None


@given(records=st.lists(ROWS, min_size=2, max_size=5), data=st.data())
def test_a_changed_byte_never_gives_a_changed_record(tmp_path_factory, records, data) -> None:
    path = segment_of(tmp_path_factory.mktemp("j"), records)
    damaged = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(damaged))
    contents = read_segment(path)
    ends = [sum(len(encode(record)) for record in records[: n + 1]) for n in range(len(records))]
    hit = next(n for n, end in enumerate(ends) if place < end)
    assert contents.records == records[:hit] + records[hit + 1 :]
    assert (contents.corrupt_offset is not None) == (hit < len(records) - 1)


def test_text_that_looks_like_a_record_is_only_text(tmp_path: Path) -> None:
    inner = encode({"calls": [{"reply": "inner"}]}).decode("latin-1")
    records = [{"calls": [{"reply": inner}]}, {"calls": [{"reply": MAGIC.decode("latin-1")}]}]
    assert read_segment(segment_of(tmp_path, records)).records == records


def test_an_appended_row_is_in_the_file_at_once(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "000001.journal")
    segment.append({"calls": [{"call_id": "a"}]})
    assert read_segment(segment.path).records == [{"calls": [{"call_id": "a"}]}]
    segment.close()


def test_rows_reach_the_disk_after_the_promised_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("corpus.store.journal.SYNC_SECONDS", 3600.0)
    segment = Segment(tmp_path / "000001.journal")
    monkeypatch.setattr("corpus.store.journal.os.fsync", lambda _: synced.append(segment.num_rows))
    for number in range(2 * SYNC_ROWS):
        segment.append({"calls": [{"call_id": str(number)}]})
    assert synced == [SYNC_ROWS, 2 * SYNC_ROWS]
    segment.close()


def test_a_lone_row_reaches_the_disk_in_the_promised_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr("corpus.store.journal.SYNC_SECONDS", 0.02)
    segment = Segment(tmp_path / "000001.journal")
    synced = threading.Event()
    monkeypatch.setattr("corpus.store.journal.os.fsync", lambda _: synced.set())
    segment.append({"calls": [{"call_id": "a"}]})
    assert synced.wait(timeout=30)
    segment.close()


def test_a_time_comes_back_as_text_that_reads_as_the_same_time(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 4, 5, 6, 7, 89)
    (record,) = read_segment(segment_of(tmp_path, [{"invocations": [{"started": moment}]}])).records
    assert datetime.fromisoformat(str(record["invocations"][0]["started"])) == moment


FILL = """
import resource, signal, sys
from pathlib import Path
from corpus.errors import StoreError
from corpus.store.journal import Segment, read_segment
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
segment = Segment(Path(sys.argv[1]))
written = 0
try:
    while True:
        segment.append({"calls": [{"reply": "x" * 900, "attempt": written}]})
        written += 1
except StoreError as error:
    print(error)
assert [r["calls"][0]["attempt"] for r in read_segment(segment.path).records] == list(range(written))
assert read_segment(segment.path).torn_bytes == 0
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
segment.append({"calls": [{"reply": "room again", "attempt": written}]})
segment.close()
assert len(read_segment(segment.path).records) == written + 1
"""


def test_a_full_disk_is_one_message_and_loses_no_row(tmp_path: Path) -> None:
    """A limit on the file's size stops a write in the middle of a record, as a full disk does."""
    ran = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "000001.journal")], capture_output=True, text=True, check=True
    )
    assert "no space left" in ran.stdout
    assert "every finished row is kept" in ran.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20_000


def test_a_segment_is_never_written_over(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "000001.journal")
    with pytest.raises(StoreError, match="000001"):
        Segment(tmp_path / "000001.journal")
    segment.close()
