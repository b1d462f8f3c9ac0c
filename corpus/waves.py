"""What a wave of documents is told not to use: what recurs in the waves before it, listed once and stored."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from corpus.recurring import Recurring, as_rows
from corpus.store import Store, WritingStore
from corpus.store.schema import TABLES

MAX_LISTED = 20
"""Names, openings and phrases, of each at most so many, that a prompt lists."""


def worn_list(found: Sequence[Recurring]) -> str:
    """What a prompt shows of it, one a line; "" where nothing recurs."""
    lines = []
    for kind, title in (("name", "Names"), ("opening", "Openings"), ("phrase", "Phrases")):
        texts = [each.text for each in found if each.kind == kind][:MAX_LISTED]
        lines += [f"{title}: {'; '.join(texts)}"] if texts else []
    return "\n".join(lines)


def stored_worn(store: Store) -> dict[str, str]:
    """What prompts were told is worn, by the hash it was stored under."""
    waves: dict[str, list[Recurring]] = {key: [] for key in store.current("worn").values()}
    for row in store.rows("SELECT * FROM worn ORDER BY kind, num_documents DESC, text"):
        each = Recurring(str(row["kind"]), str(row["text"]), int(str(row["num_documents"])))
        waves[str(row["pass_hash"])].append(each)
    return {key: worn_list(found) for key, found in waves.items()}


def store_worn(store: WritingStore, wave: int, key: str, found: Sequence[Recurring]) -> None:
    """Keep what recurs before a wave, under the hash of the briefs whose texts it was found in."""
    writer = store.writer("corpus")
    writer.commit("worn", key, pa.Table.from_pylist(as_rows(found, key), schema=TABLES["worn"].schema))
    writer.set_current("worn", {**store.current("worn"), f"wave {wave}": key})
