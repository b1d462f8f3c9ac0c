"""Reading the train-ready shards of a mix, of this run or of a neighbour."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from corpus.errors import DataError, TrainingError
from corpus.held_out import hold_out_of
from corpus.recipe import Recipe
from corpus.store.identity import file_id

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Mix:
    """A finished mix."""

    name: str
    folder: Path
    kind: str
    """`documents` or `chats`."""
    data_hash: str
    """Identity of what it holds, in order."""
    seed: int
    """The seed that decided which documents and clauses stayed out of it."""
    hold_out: Mapping[str, object]
    """How many of them: see `corpus.held_out.hold_out_of`."""
    num_rows: int
    shard_hashes: Mapping[str, str]
    """Hash of each Parquet file, in order."""

    def documents(self) -> Iterator[tuple[str, str]]:
        """(doc_id, text) in the mix's order.

        Raises:
            DataError: the shards do not hold what the manifest says.
        """
        return ((str(row["doc_id"]), str(row["text"])) for row in self._rows("text"))

    def chats(self) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """(chat_id, messages) in the mix's order.

        Raises:
            DataError: the shards do not hold what the manifest says.
        """
        return ((str(row["doc_id"]), cast("list[dict[str, str]]", row["messages"])) for row in self._rows("messages"))

    def _rows(self, column: str) -> Iterator[dict[str, object]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        seen = 0
        for file, expected in self.shard_hashes.items():
            try:
                if file_id(self.folder / file) != expected:
                    raise DataError(f"{self.folder / file} is not as it was written; {self._again()}")
                with pq.ParquetFile(self.folder / file) as parquet:
                    for batch in parquet.iter_batches(batch_size=1024, columns=["doc_id", column]):
                        seen += batch.num_rows
                        yield from batch.to_pylist()
            except (pa.ArrowException, FileNotFoundError) as error:
                raise DataError(f"{self.folder / file} does not read ({error}); {self._again()}") from error
        if seen != self.num_rows:
            raise DataError(f"{self.folder} holds {seen} rows, its manifest says {self.num_rows}; {self._again()}")

    def _again(self) -> str:
        return f"delete {self.folder} and make it again with: specmill mix RECIPE {self.name}"


def mix_folder(run_folder: Path, data: str) -> Path:
    """Where the shards lie that a stage's `data` names: `MIX` of this run, or `OTHER_RUN:MIX` of the run beside it."""
    other_run, _, name = data.rpartition(":")
    return (run_folder.parent / other_run if other_run else run_folder) / "shards" / name


def find_mix(recipe: Recipe, run_folder: Path, data: str) -> Mix:
    """The finished mix that a stage's `data` names.

    Raises:
        TrainingError: its shards are not there (the message names the verb that makes them), or they may hold
            documents or clauses that this recipe measures as unseen.
    """
    other_run, _, name = data.rpartition(":")
    folder = mix_folder(run_folder, data)
    again = f"specmill mix {f'the recipe of run {other_run!r}' if other_run else 'RECIPE'} {name}"
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainingError(f"there are no shards in {folder}; make them with: {again}") from None
    if differing := _other_hold_out(recipe, manifest):
        both = "give both recipes one seed and one spec.hold_out, then " if other_run else ""
        raise TrainingError(
            f"the mix in {folder} may hold documents or clauses that this recipe measures as unseen: it was made with "
            f"{differing}; {both}make it again with: {again}"
        )
    hashes = {str(shard["file"]): str(shard["hash"]) for shard in manifest["shards"]}
    return Mix(
        name,
        folder,
        manifest["kind"],
        manifest["data_hash"],
        manifest["seed"],
        manifest["hold_out"],
        int(manifest["num_rows"]),
        hashes,
    )


def _other_hold_out(recipe: Recipe, manifest: Mapping[str, object]) -> str:
    """How what was kept out of a mix differs from what the recipe keeps out; empty if it does not."""
    there = {"seed": manifest.get("seed"), **cast("dict[str, object]", manifest.get("hold_out", {}))}
    here = {"seed": recipe.seed, **hold_out_of(recipe)}
    if there.get("clauses_fraction") is None or here["clauses_fraction"] is None:
        del here["clauses_fraction"]  # rows of a run without a spec come from no clause
    return ", ".join(
        f"{key} {there.get(key, 'not recorded')} (the recipe's: {value})"
        for key, value in here.items()
        if there.get(key) != value
    )
