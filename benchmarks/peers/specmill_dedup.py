"""Parquet to kept ids with Specmill: as `specmill curate` does it, but with the texts straight from the file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.recipe import Duplicates
from filters.copies.duplicates import CANDIDATES, find_duplicates
from filters.rows import READ_ROWS


def main(folder: Path) -> None:
    """Read `documents.parquet`, write `kept.txt`."""
    file = pq.ParquetFile(folder / "documents.parquet")
    ids = file.read(["id"])["id"]
    empty = pa.nulls(len(ids))
    columns = {name: empty.cast(CANDIDATES.field(name).type) for name in CANDIDATES.names}
    candidates = pa.table({**columns, "id": ids, "genre": pa.repeat("memo", len(ids))}, schema=CANDIDATES)
    place_of_row = np.arange(len(ids))

    def read(asked: pa.Table) -> Iterator[tuple[np.ndarray, pa.Array]]:
        """The file is in the order of its ids, and so is what is asked for."""
        wanted = np.full(len(ids), -1)
        found = np.searchsorted(ids.to_numpy().astype(str), asked["id"].to_numpy().astype(str))
        wanted[place_of_row[found]] = np.arange(len(asked))
        start = 0
        for batch in file.iter_batches(READ_ROWS, columns=["text"]):
            places = wanted[start : start + len(batch)]
            start += len(batch)
            rows = np.flatnonzero(places >= 0)
            if len(rows):
                texts = batch["text"] if len(rows) == len(batch) else batch["text"].take(pa.array(rows))
                yield places[rows], texts

    found = find_duplicates(candidates, read, Duplicates()).to_pylist()
    dropped = {row["doc_id"] for row in found if row["doc_id"] != row["survivor_id"]}
    (folder / "kept.txt").write_text("\n".join(one for one in ids.to_pylist() if one not in dropped))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
