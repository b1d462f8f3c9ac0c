"""Load a mix's folder with `datasets.load_dataset`, as it lies, and compare every row with the shards.

`datasets` is no dependency of Specmill: run this in an environment that has it (and pyarrow).

    python benchmarks/load_card.py runs/demo/shards/docs
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq


def main() -> None:
    """Load, compare, print what was loaded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path, help="Folders of mixes.")
    for folder in parser.parse_args().folders:
        print(json.dumps(load(folder)))


def load(folder: Path) -> dict[str, object]:
    """Load one folder and compare it.

    Raises:
        SystemExit: what was loaded is not what the shards hold.
    """
    import datasets

    manifest = json.loads((folder / "manifest.json").read_bytes())
    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset(str(folder.resolve()), cache_dir=cache)
        [split] = loaded
        rows = 0
        for ours, theirs in zip(_rows(folder, manifest), loaded[split], strict=True):
            if ours != theirs:
                raise SystemExit(f"{folder}: row {rows} differs: {ours!r:.200} and {theirs!r:.200}")
            rows += 1
        if rows != manifest["num_rows"]:
            raise SystemExit(f"{folder}: {rows} rows were loaded, the manifest says {manifest['num_rows']}")
        return {
            "folder": str(folder),
            "datasets": datasets.__version__,
            "split": split,
            "rows": rows,
            "features": {name: str(feature) for name, feature in loaded[split].features.items()},
        }


def _rows(folder: Path, manifest: Mapping[str, object]) -> Iterator[dict[str, object]]:
    for shard in cast("list[dict[str, object]]", manifest["shards"]):
        yield from pq.read_table(folder / str(shard["file"])).to_pylist()


if __name__ == "__main__":
    main()
