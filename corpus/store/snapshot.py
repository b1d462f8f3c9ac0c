"""What a reader sees: which files hold a run's rows at one moment, while another process may be writing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from corpus.errors import CorruptFileError
from corpus.store.journal import read_segment
from corpus.store.parts import TEMPORARY, check_footer, corrupt_error
from corpus.store.schema import TABLES

JOURNAL = "journal"
CURRENT = "current"
SEGMENT_SUFFIX = ".journal"
_LOOKS = 50
"""A segment becomes a part every few seconds at most; a reader that keeps meeting that moment sees it end by then."""


@dataclass
class Snapshot:
    """The files and journal rows of a run at one moment, and which hashes are of its current recipe."""

    parts: dict[str, list[Path]] = field(default_factory=dict)
    """Parts that read back, by table."""
    journal: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    """Rows that are in no part yet, by table."""
    current: dict[str, dict[str, str]] = field(default_factory=dict)
    """Hashes of the current recipe, by table and scope; a table nothing was set for is not there."""
    faults: list[CorruptFileError] = field(default_factory=list)
    """Files that do not read back; their rows are missing here."""


def part_name(number: int) -> str:
    """File name of the part that segment `number` becomes."""
    return f"{number:06d}.parquet"


def segment_numbers(root: Path) -> list[int]:
    """Numbers of the segments that are not yet parts, oldest first."""
    return sorted(int(path.stem) for path in (root / JOURNAL).glob(f"*{SEGMENT_SUFFIX}"))


def segment_path(root: Path, number: int) -> Path:
    """Where segment `number` is."""
    return root / JOURNAL / f"{number:06d}{SEGMENT_SUFFIX}"


def part_paths(root: Path, table: str) -> list[Path]:
    """All parts of a table, in a fixed order."""
    return sorted(path for path in (root / table).glob("*.parquet") if not path.name.startswith(TEMPORARY))


def take_snapshot(root: Path) -> Snapshot:
    """Look at a run. A part is taken where it is there, else its segment; if any file came or went, look again.

    The rows are those of one moment in all tables: the listing before is the listing after.
    """
    for _ in range(_LOOKS):
        try:
            listing = segments, parts = _listing(root)
            snapshot = Snapshot(current=read_current(root))
            rows = _journal_rows(root, segments, snapshot)
            _check_parts(parts, snapshot)
        except FileNotFoundError:
            continue
        if _listing(root) == listing:
            _leave_out_sealed(rows, snapshot)
            return snapshot
    raise AssertionError(f"the files of {root} changed during {_LOOKS} looks at it")


def _journal_rows(
    root: Path, segments: list[int], snapshot: Snapshot
) -> dict[int, list[Mapping[str, list[dict[str, object]]]]]:
    rows: dict[int, list[Mapping[str, list[dict[str, object]]]]] = {}
    for number in segments:
        contents = read_segment(segment_path(root, number))
        rows[number] = list(contents.records)
        if contents.corrupt_offset is not None:
            path = segment_path(root, number)
            snapshot.faults.append(corrupt_error(path, f"a record at byte {contents.corrupt_offset} fails its check"))
    return rows


def _listing(root: Path) -> tuple[list[int], dict[str, list[Path]]]:
    return segment_numbers(root), {table: part_paths(root, table) for table in TABLES}


def _check_parts(parts: Mapping[str, list[Path]], snapshot: Snapshot) -> None:
    for table, paths in parts.items():
        snapshot.parts[table] = []
        for path in paths:
            try:
                check_footer(path)
            except CorruptFileError as fault:
                snapshot.faults.append(fault)
            else:
                snapshot.parts[table].append(path)


def _leave_out_sealed(rows: Mapping[int, list[Mapping[str, list[dict[str, object]]]]], snapshot: Snapshot) -> None:
    """Journal rows of the tables whose part of that number is not there yet."""
    sealed = {(table, path.name) for table, paths in snapshot.parts.items() for path in paths}
    for number, records in rows.items():
        for record in records:
            for table, table_rows in record.items():
                if (table, part_name(number)) not in sealed:
                    snapshot.journal.setdefault(table, []).extend(table_rows)


def read_current(root: Path) -> dict[str, dict[str, str]]:
    """Hashes of the current recipe, by table and scope."""
    return {path.stem: json.loads(path.read_bytes()) for path in (root / CURRENT).glob("*.json")}
