"""Train-ready shards: Parquet files in the order of training, and a manifest that is written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

import pyarrow as pa

from corpus.store import Store
from corpus.store.identity import PREFIX, file_id
from corpus.store.journal import sync_folder
from corpus.store.parts import write_durably, write_part
from corpus.store.schema import MESSAGES
from filters.base import Kind
from filters.mixes.sampling import Pick
from filters.rows import KEYS

SHARD_BYTES = 32 << 20
"""Text in one shard (bytes, before compression): one is in memory at a time, here and in training."""
MANIFEST = "manifest.json"
CARD = "README.md"
"""The dataset card, under the name that the Hugging Face hub and its libraries read."""
_CONTENT: dict[Kind, tuple[str, pa.DataType, list[str]]] = {
    "documents": ("text", pa.string(), ["genre", "set"]),
    "chats": ("messages", MESSAGES, ["set"]),
}


class Shard(TypedDict):
    """A shard's entry in the manifest."""

    file: str
    rows: int
    tokens: int
    text_bytes: int
    hash: str


def shard_schema(kind: Kind) -> pa.Schema:
    """The columns of a shard; `doc_id` is a chat's id in shards of chats."""
    content, content_type, labels = _CONTENT[kind]
    return pa.schema(
        [
            ("position", pa.int64()),
            ("doc_id", pa.string()),
            ("repeat", pa.int64()),
            (content, content_type),
            ("num_tokens", pa.int64()),
            *((label, pa.string()) for label in labels),
        ]
    )


def split_shards(picks: Sequence[Pick]) -> list[Sequence[Pick]]:
    """The picks, in order, in pieces of at most `SHARD_BYTES` of text; a longer row has a shard of its own."""
    pieces: list[Sequence[Pick]] = []
    start = num_bytes = 0
    for index, pick in enumerate(picks):
        if index > start and num_bytes + pick.source.num_bytes > SHARD_BYTES:
            pieces.append(picks[start:index])
            start, num_bytes = index, 0
        num_bytes += pick.source.num_bytes
    return [*pieces, picks[start:]]


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"{number:05d}.parquet"


def read_manifest(folder: Path) -> dict[str, object] | None:
    """The manifest of a finished mix; None while there is none, or none that is whole."""
    try:
        return cast("dict[str, object]", json.loads((folder / MANIFEST).read_bytes()))
    except (FileNotFoundError, ValueError):
        return None


def shards_are_whole(folder: Path, manifest: dict[str, object]) -> bool:
    """Whether every file that the manifest names is there, byte by byte."""
    named = {shard["file"]: shard["hash"] for shard in cast("list[Shard]", manifest["shards"])}
    named[CARD] = str(manifest.get("card_hash"))
    return all((folder / file).exists() and file_id(folder / file) == file_hash for file, file_hash in named.items())


def write_shards(
    store: Store,
    kind: Kind,
    folder: Path,
    pieces: Sequence[Sequence[Pick]],
    about: Mapping[str, object],
    card: Callable[[Mapping[str, object]], str],
) -> dict[str, object]:
    """Write the shards of a mix, its card and then its manifest: `about` with all hashes. Returns the manifest.

    `card` makes the text of the card from the manifest as far as it is known.

    Raises:
        StoreError: no space left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # From here until the new manifest is there, this folder is no mix.
    (folder / MANIFEST).unlink(missing_ok=True)
    sync_folder(folder)
    for path in folder.glob("*.parquet"):
        if path.name not in {shard_name(number) for number in range(len(pieces))}:
            path.unlink()
    digest = hashlib.blake2b(digest_size=16)
    shards: list[Shard] = []
    position = 0
    for number, picks in enumerate(pieces):
        rows = _rows(store, kind, picks, position)
        for entry in _content_hashes(rows, kind):
            digest.update(entry)
        path = folder / shard_name(number)
        write_part(path, rows.schema, rows.to_batches())
        shards.append(
            {
                "file": path.name,
                "rows": len(picks),
                "tokens": sum(pick.source.num_tokens for pick in picks),
                "text_bytes": sum(pick.source.num_bytes for pick in picks),
                "hash": file_id(path),
            }
        )
        position += len(picks)
    manifest: dict[str, object] = {**about, "data_hash": PREFIX + digest.hexdigest(), "shards": shards}
    write_durably(folder / CARD, card(manifest).encode())
    manifest["card_hash"] = file_id(folder / CARD)
    write_durably(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    return manifest


def _rows(store: Store, kind: Kind, picks: Sequence[Pick], position: int) -> pa.Table:
    content, _, labels = _CONTENT[kind]
    key = KEYS[kind]
    found = store.query(
        f"SELECT {key} AS doc_id, {', '.join([content, 'num_tokens', *labels])} FROM {kind} "
        f"WHERE {key} IN (SELECT unnest($ids))",
        {"ids": sorted({pick.source.id for pick in picks})},
    )
    place = {row_id: index for index, row_id in enumerate(found.column("doc_id").to_pylist())}
    ordered = found.take([place[pick.source.id] for pick in picks])
    ordered = ordered.append_column("position", pa.array(range(position, position + len(picks)), pa.int64()))
    ordered = ordered.append_column("repeat", pa.array([pick.repeat for pick in picks], pa.int64()))
    schema = shard_schema(kind)
    return ordered.select(schema.names).cast(schema).combine_chunks()


def _content_hashes(rows: pa.Table, kind: Kind) -> Iterator[bytes]:
    """What `data_hash` is made of: id, repeat and content of each row, in order."""
    for row in rows.select(["doc_id", "repeat", _CONTENT[kind][0]]).to_pylist():
        content = json.dumps(row, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        yield hashlib.blake2b(content.encode("ascii"), digest_size=16).digest()
