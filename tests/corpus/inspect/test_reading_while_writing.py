"""Reading a run while another process writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from corpus.inspect.sql import run_sql

WRITER = """
import sys
from pathlib import Path
from corpus.store import open_writer
from corpus.store.schema import TABLES

def row(table, **values):
    return {name: None for name, _ in TABLES[table].columns} | values

with open_writer(Path(sys.argv[1])) as store:
    writer = store.writer("corpus")
    print("open", flush=True)
    stop, number = Path(sys.argv[2]), 0
    while not stop.exists():
        writer.append({
            "calls": [row("calls", call_id=f"call-{number}", outcome="ok")],
            "documents": [row("documents", doc_id=f"doc-{number}", call_id=f"call-{number}", text="text")],
        })
        number += 1
        if number % 7 == 0:
            store.seal()
print(number)
"""


def test_every_look_at_a_run_in_writing_is_whole(tmp_path: Path) -> None:
    """Each record holds one call and one document, so their numbers are equal at every moment, and only grow."""
    root, stop = tmp_path / "run", tmp_path / "stop"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(root), str(stop)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        try:
            seen = [_counts(root) for _ in range(8)]
        finally:
            stop.touch()
        num_written = int(writer.stdout.readline())
    seen.append(_counts(root))
    assert seen == sorted(seen)
    assert {calls - documents for calls, documents, _ in seen} == {0}
    assert {unmatched for _, _, unmatched in seen} == {0}
    assert seen[0][0] < seen[-1][0] == num_written


def _counts(root: Path) -> tuple[int, int, int]:
    [row] = run_sql(
        root,
        "SELECT (SELECT count(*) FROM calls) AS calls, (SELECT count(*) FROM documents) AS documents, "
        "(SELECT count(*) FROM documents ANTI JOIN calls USING (call_id)) AS unmatched",
    ).table.to_pylist()
    return row["calls"], row["documents"], row["unmatched"]
