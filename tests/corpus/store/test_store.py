"""The store gives back what went in: from the journal, from parts, after any order of the two, to any reader."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.rows import row
from fakes.stored import call, document, ids
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from corpus.errors import StoreError
from corpus.store import open_reader, open_writer
from corpus.store.schema import TABLES
from corpus.store.snapshot import segment_numbers, segment_path, take_snapshot


class StoreMachine(RuleBasedStateMachine):
    """Appends, parts, seals, crashes and reopenings in any order, against a plain dictionary."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.root = Path(tempfile.mkdtemp(prefix="specmill-store-")) / "run"
        self.expected: dict[str, set[str]] = {"calls": set(), "documents": set(), "scores": set()}
        self.count = 0
        self.open()

    def open(self) -> None:
        self.context = open_writer(self.root)
        self.store = self.context.__enter__()

    @rule(num_documents=st.integers(0, 3))
    def append(self, num_documents: int) -> None:
        self.count += 1
        documents = [document(self.count * 10 + n, text="\0{}%é") for n in range(num_documents)]
        self.store.writer("corpus").append({"calls": [call(self.count)], "documents": documents})
        self.expected["calls"].add(f"call-{self.count}")
        self.expected["documents"] |= {str(doc["doc_id"]) for doc in documents}

    @rule(num_rows=st.integers(1, 4))
    def add_part(self, num_rows: int) -> None:
        self.count += 1
        rows = [row("scores", doc_id=f"s-{self.count}-{n}", scorer="length", value=1.0) for n in range(num_rows)]
        self.store.writer("filters").add_part("scores", pa.Table.from_pylist(rows, schema=TABLES["scores"].schema))
        self.expected["scores"] |= {str(each["doc_id"]) for each in rows}

    @rule()
    def seal(self) -> None:
        self.store.seal()

    @rule()
    def close_and_open(self) -> None:
        self.context.__exit__(None, None, None)
        self.open()

    @rule(torn=st.binary(max_size=20))
    def crash_and_open(self, torn: bytes) -> None:
        """What a killed process leaves: its journal as it is, perhaps with half a record, and temporary files."""
        left = self.root.with_name("left")
        shutil.copytree(self.root, left)
        self.context.__exit__(None, None, None)
        shutil.rmtree(self.root)
        left.rename(self.root)
        for number in segment_numbers(self.root):
            with segment_path(self.root, number).open("ab") as file:
                file.write(torn)
        (self.root / "calls" / ".tmp-1-000009.parquet").write_bytes(torn)
        self.open()

    @invariant()
    def every_reader_sees_every_row_once(self) -> None:
        reader = open_reader(self.root)
        for table, key in (("calls", "call_id"), ("documents", "doc_id"), ("scores", "doc_id")):
            seen = reader.query(f"SELECT {key} FROM all_{table}")[key].to_pylist()
            assert sorted(seen) == sorted(self.expected[table])

    def teardown(self) -> None:
        if hasattr(self, "context"):
            self.context.__exit__(None, None, None)
            shutil.rmtree(self.root.parent)


StoreMachine.TestCase.settings = settings(
    max_examples=10, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStoreMachine = StoreMachine.TestCase


def test_views_are_typed_before_there_is_a_row(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run"):
        pass
    reader = open_reader(tmp_path / "run")
    for name, table in TABLES.items():
        assert reader.query(f"SELECT * FROM {name}").schema.names == table.schema.names
    assert reader.query("SELECT doc_id, text FROM curated").num_rows == 0
    assert reader.query("SELECT messages[1].content FROM curated_chats").num_rows == 0


def test_a_record_of_two_tables_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with open_writer(root) as store:
        store.writer("corpus").append({"calls": [call(1)], "documents": [document(1)]})
        path = segment_path(root, 1)
        whole = path.read_bytes()
        for cut in range(len(whole)):
            path.write_bytes(whole[:cut])
            assert take_snapshot(root).journal == {}
        path.write_bytes(whole)
        assert (ids(root), ids(root, "calls", "call_id")) == (["doc-1"], ["call-1"])


def test_a_room_cannot_write_anothers_table(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run") as store, pytest.raises(AssertionError, match="filters may not write documents"):
        store.writer("filters").append({"documents": [document(1)]})


def test_a_row_with_a_missing_or_an_extra_column_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run") as store:
        writer = store.writer("corpus")
        with pytest.raises(AssertionError, match="num_chars"):
            writer.append({"documents": [{k: v for k, v in document(1).items() if k != "num_chars"}]})
        with pytest.raises(pa.ArrowInvalid):
            writer.append({"documents": [document(1, num_chars="many")]})
    assert ids(tmp_path / "run") == []


def test_a_part_from_before_a_column_was_added_reads_as_null_there(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with open_writer(root):
        old = pa.Table.from_pylist([document(1)], schema=TABLES["documents"].schema).drop_columns(["extra"])
    pq.write_table(old, root / "documents" / "000001.parquet")
    with open_writer(root) as store:
        assert store.rows("SELECT doc_id, extra FROM documents") == [{"doc_id": "doc-1", "extra": None}]
        store.writer("corpus").append({"documents": [document(2, extra="{}")]})
        assert store.rows("SELECT extra FROM documents ORDER BY doc_id") == [{"extra": None}, {"extra": "{}"}]
        assert store.query("FROM documents").schema.names == TABLES["documents"].schema.names


def test_a_part_whose_batches_end_in_an_error_is_not_there(tmp_path: Path) -> None:
    root, schema = tmp_path / "run", TABLES["documents"].schema

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist([document(1)], schema=schema)
        raise ValueError("the second batch")

    with open_writer(root) as store:
        with pytest.raises(ValueError, match="the second batch"):
            store.writer("corpus").add_part("documents", batches())
        store.writer("corpus").add_part("documents", iter(()))
    assert ids(root) == []
    assert list((root / "documents").iterdir()) == []


def test_a_pass_is_visible_at_one_rename(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run") as store:
        writer = store.writer("corpus")
        for number in (1, 2):
            rows = [row("clauses", clause_id=f"{number}-{n}", pass_hash=f"b2:{number}") for n in range(number)]
            writer.commit("clauses", f"b2:{number}", pa.Table.from_pylist(rows, schema=TABLES["clauses"].schema))
            assert len(store.rows("SELECT * FROM clauses")) == number - 1
            writer.set_current("clauses", {"spec": f"b2:{number}"})
            assert len(store.rows("SELECT * FROM clauses")) == number
        assert [r["stale"] for r in store.rows("SELECT stale FROM all_clauses ORDER BY clause_id")] == [
            True,
            False,
            False,
        ]
        writer.set_current("clauses", {"spec": "b2:1"})
        assert len(store.rows("SELECT * FROM clauses")) == 1


def test_documents_go_stale_with_their_brief_and_imports_never(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run") as store:
        writer = store.writer("corpus")
        briefs = [row("briefs", brief_id="b1", context_hash="old", pass_hash="b2:1")]
        writer.commit("briefs", "b2:1", pa.Table.from_pylist(briefs, schema=TABLES["briefs"].schema))
        writer.set_current("briefs", {"plan": "b2:1"})
        writer.append({"documents": [document(1, brief_id="b1", context_hash="old"), document(2, brief_id="gone")]})
        writer.append({"documents": [document(3)]})
        assert [r["doc_id"] for r in store.rows("SELECT doc_id FROM documents ORDER BY 1")] == ["doc-1", "doc-3"]


def test_a_refreshed_document_takes_the_place_of_the_one_with_the_old_context(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run") as store:
        writer = store.writer("corpus")
        briefs = [row("briefs", brief_id="b1", context_hash="new", pass_hash="b2:1")]
        writer.commit("briefs", "b2:1", pa.Table.from_pylist(briefs, schema=TABLES["briefs"].schema))
        writer.set_current("briefs", {"plan": "b2:1"})
        writer.append({"documents": [document(1, brief_id="b1", context_hash="old")]})
        assert [r["doc_id"] for r in store.rows("SELECT doc_id FROM documents")] == ["doc-1"]
        writer.append({"documents": [document(2, brief_id="b1", context_hash="new")]})
        assert [r["doc_id"] for r in store.rows("SELECT doc_id FROM documents")] == ["doc-2"]


def curated_ids(root: Path) -> list[object]:
    return [each["doc_id"] for each in open_reader(root).rows("SELECT doc_id FROM curated ORDER BY 1")]


def test_curated_is_what_every_filter_keeps_and_what_survives_its_cluster(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with open_writer(root) as store:
        store.writer("corpus").append({"documents": [document(n) for n in range(1, 6)]})
        filters = store.writer("filters")
        outcomes = {
            1: ("keep", "keep"),
            2: ("keep", "drop"),
            3: ("keep", "unjudged"),
            4: ("keep",),
            5: ("keep", "keep"),
        }
        filters.append(
            {
                "verdicts": [
                    row("verdicts", doc_id=f"doc-{n}", filter=f"f{k}", outcome=outcome, filter_hash=f"h{k}")
                    for n, outcomes_of in outcomes.items()
                    for k, outcome in enumerate(outcomes_of)
                ]
            }
        )
        assert curated_ids(root) == []
        filters.set_current("verdicts", {"f0": "h0", "f1": "h1", "@unjudged": "drop"})
        assert curated_ids(root) == []
        pair = [row("duplicates", doc_id=f"doc-{n}", survivor_id="doc-1", pass_hash="b2:d") for n in (1, 5)]
        filters.commit("duplicates", "b2:d", pa.Table.from_pylist(pair, schema=TABLES["duplicates"].schema))
        filters.set_current("duplicates", {"documents": "b2:d"})
        assert curated_ids(root) == ["doc-1"]
        filters.set_current("verdicts", {"f0": "h0", "f1": "h1", "@unjudged": "keep"})
        assert curated_ids(root) == ["doc-1", "doc-3"]


HOLD = """
import sys, time
from pathlib import Path
from corpus.store import open_writer
with open_writer(Path(sys.argv[1])):
    print("open", flush=True)
    time.sleep(600)
"""


def test_a_second_writer_is_told_the_pid_of_the_first_and_enters_when_it_is_killed(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=rf"process {first.pid}\b"), open_writer(root):
            pass
        assert open_reader(root).rows("SELECT * FROM documents") == []
        first.send_signal(signal.SIGKILL)
    with open_writer(root):
        pass


APPEND = """
import sys
from pathlib import Path
from corpus.store import open_writer, store
from fakes.rows import row
store.SEAL_ROWS = 40
with open_writer(Path(sys.argv[1])) as opened:
    writer = opened.writer("corpus")
    done = {r["doc_id"] for r in opened.rows("SELECT doc_id FROM documents")}
    for number in range(int(sys.argv[2])):
        doc_id = f"doc-{number:05d}"
        if doc_id not in done:
            writer.append({
                "calls": [row("calls", call_id=f"call-{number:05d}")],
                "documents": [row("documents", doc_id=doc_id, text="x" * (number % 977))],
            })
            print(number, flush=True)
"""


def append_and_kill(root: Path, num_rows: int, after_rows: int | None) -> list[int]:
    """Run the appending process, kill it once it has said `after_rows` numbers; returns the numbers it said."""
    command = [sys.executable, "-c", APPEND, str(root), str(num_rows)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(int(line))
            if len(said) == after_rows:
                process.send_signal(signal.SIGKILL)
    return said


@pytest.mark.parametrize("instants", [(3, 57), pytest.param((1, 39, 40, 41, 90, 120), marks=pytest.mark.slow)])
def test_no_acknowledged_row_is_lost_or_doubled_by_kill_9(tmp_path: Path, instants: tuple[int, ...]) -> None:
    root, num_rows = tmp_path / "run", 400
    said: set[int] = set()
    for after_rows in instants:
        said |= set(append_and_kill(root, num_rows, after_rows))
        seen = ids(root)
        assert len(seen) == len(set(seen))
        assert {f"doc-{number:05d}" for number in said} <= set(map(str, seen))
        assert len(ids(root, "calls", "call_id")) == len(seen)
    append_and_kill(root, num_rows, None)
    assert ids(root) == [f"doc-{number:05d}" for number in range(num_rows)]
    assert ids(root, "calls", "call_id") == [f"call-{number:05d}" for number in range(num_rows)]
