"""Parquet to kept ids with rensa: signatures and the flags of its bands in bulk, one member kept of what they join."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq
from rensa import RMinHash, RMinHashLSH

BANDS, ROWS, SHINGLE_WORDS, BATCH = 20, 6, 5, 10_000


def shingles(text: str) -> list[str]:
    """Word sequences, made the quickest way that Python has."""
    words = text.lower().replace(".", "").split()
    return list(map(" ".join, zip(*(words[start:] for start in range(SHINGLE_WORDS)), strict=False)))


def main(folder: Path) -> None:
    """Read `documents.parquet`, write `kept.txt`."""
    file = pq.ParquetFile(folder / "documents.parquet")
    ids = file.read(["id"])["id"].to_pylist()
    batches = file.iter_batches(BATCH, columns=["text"])
    sets = (shingles(text) for batch in batches for text in batch["text"].to_pylist())
    matrix = RMinHash.digest_matrix_from_token_sets(sets, BANDS * ROWS, 42)
    index = RMinHashLSH(threshold=0.8, num_perm=BANDS * ROWS, num_bands=BANDS)
    flags = index.query_duplicate_flags_matrix_one_shot(matrix)
    parents = list(range(len(ids)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    # It flags every text that shares a band with another; which of them share one says grouping those few.
    groups: dict[tuple[int, ...], int] = {}
    for place, (row, is_flagged) in enumerate(zip(matrix.to_rows(), flags, strict=True)):
        for band in range(BANDS) if is_flagged else ():
            first = groups.setdefault((band, *row[band * ROWS : (band + 1) * ROWS]), place)
            one, two = sorted((root(first), root(place)))
            parents[two] = one
    (folder / "kept.txt").write_text("\n".join(one for place, one in enumerate(ids) if root(place) == place))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
