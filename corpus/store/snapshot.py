"""What a reader sees: which files hold a run's rows at one moment, while another process may be writing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from corpus.errors import CorruptFileError
from corpus.store.journal import read_segment
from corpus.store.parts import TEMPORARY, columns_of, corrupt_error
from corpus.store.schema import TABLES

JOURNAL = "journal"
CURRENT = "current"
SEGMENT_SUFFIX = ".journal"


@dataclass
class Snapshot:
    """The files and journal rows of a run at one moment, and which hashes are of its current recipe."""

    root: Path
    parts: dict[str, list[Path]] = field(default_factory=dict)
    """Parts that read back, by table."""
    columns: dict[Path, frozenset[str]] = field(default_factory=dict)
    """Of each of these parts; one of an older run lacks those that were added since."""
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
    """Look at a run: all that was written up to one moment, in all tables, while another process writes on.

    A writer fills numbers in order, and number N is whole, as a segment or as parts, before N + 1 begins. So the look
    ends at the highest number there was at its start. A segment that is gone when its turn comes has become parts,
    which are listed only afterwards. The current hashes are read first: the rows they speak of were written before.
    """
    snapshot = Snapshot(root, current=read_current(root))
    last = _last_number(root)
    read = _read_segments(root, last, snapshot)
    for table in TABLES:
        snapshot.parts[table] = []
        for path in part_paths(root, table):
            number = _number(path)
            if number is not None and (number > last or number in read):
                continue
            try:
                snapshot.columns[path] = _known_columns(path, table)
            except CorruptFileError as fault:
                snapshot.faults.append(fault)
            else:
                snapshot.parts[table].append(path)
    return snapshot


def _known_columns(path: Path, table: str) -> frozenset[str]:
    known, found = set(TABLES[table].schema.names), columns_of(path)
    unknown = found - known
    if unknown and known - found:  # neither an older run's part nor a newer one's: a name was changed on the disk
        raise corrupt_error(path, f"it has no column '{min(known - found)}', but one named {min(unknown)!r}")
    return found


def _read_segments(root: Path, last: int, snapshot: Snapshot) -> set[int]:
    """Take in the segments up to number `last`; returns the numbers of those that were still there."""
    read = set()
    for number in segment_numbers(root):
        if number > last:
            break
        path = segment_path(root, number)
        try:
            contents = read_segment(path)
        except FileNotFoundError:
            continue
        read.add(number)
        for record in contents.records:
            for table, rows in record.items():
                snapshot.journal.setdefault(table, []).extend(rows)
        if contents.corrupt_offset is not None:
            snapshot.faults.append(corrupt_error(path, f"a record at byte {contents.corrupt_offset} fails its check"))
    return read


def _last_number(root: Path) -> int:
    """The highest number in use. Segments are listed first: one that is sealed meanwhile is then among the parts."""
    segments = segment_numbers(root)
    parts = [_number(path) for table in TABLES for path in part_paths(root, table)]
    return max([0, *segments, *(number for number in parts if number is not None)])


def _number(part: Path) -> int | None:
    """The number of a part; None for the part of a whole pass, which shows once its hash is current."""
    return int(part.stem) if part.stem.isdigit() else None


def read_current(root: Path) -> dict[str, dict[str, str]]:
    """Hashes of the current recipe, by table and scope.

    A file is of one table, or of a room, which then has tables that change together.

    Raises:
        CorruptFileError: a file is not as it was written.
    """
    current: dict[str, dict[str, str]] = {}
    for path in sorted((root / CURRENT).glob("*.json"), key=lambda path: (path.stem not in TABLES, path)):
        if path.name.startswith(TEMPORARY):
            continue
        try:
            held = json.loads(path.read_bytes())
        except ValueError as error:
            raise corrupt_error(path, str(error)) from error
        current |= {path.stem: held} if path.stem in TABLES else held
    return current
