"""A run with rows to curate, made without an engine."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from corpus.recipe import Recipe
from corpus.store import WritingStore, open_writer
from corpus.store.schema import TABLES

_WORDS = (
    "river winter paper garden lantern market engine harbor letter forest signal copper window bridge season record "
    "kettle valley ribbon anchor barrel candle dancer elbow fabric glacier hammer island jacket kitchen ladder mirror "
    "needle orchard pepper quarry rocket saddle thread umbrella violin wagon yellow zipper acorn basket cradle desert"
)
WORDS = _WORDS.split()


def prose(seed: int, num_words: int = 80) -> str:
    """Words in an order of chance, in sentences: nothing in it repeats."""
    rng = random.Random(seed)
    found = [rng.choice(WORDS) + str(rng.randrange(100)) for _ in range(num_words)]
    return " ".join(" ".join(found[start : start + 10]).capitalize() + "." for start in range(0, num_words, 10))


class Notes:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []

    def start(self, stage: str, total: int) -> None:
        self.stages.append(stage)

    def grow(self, stage: str, num_more: int) -> None:
        pass

    def advance(self, stage: str, outcome: str) -> None:
        pass

    def describe(self, stage: str, text: str) -> None:
        pass

    def note(self, message: str) -> None:
        self.notes.append(message)


class Run:
    """An open run and short ways to fill it."""

    def __init__(self, store: WritingStore) -> None:
        self.store = store
        self.progress = Notes()

    def add_documents(self, texts: Mapping[str, str], **columns: object) -> None:
        rows = []
        for doc_id, text in texts.items():
            row: dict[str, object] = dict.fromkeys(TABLES["documents"].schema.names)
            row |= {"doc_id": doc_id, "set": "web", "clause_ids": [], "text": text, "num_chars": len(text)}
            rows.append(row | {"num_tokens": len(text.split())} | columns)
        self.store.writer("corpus").append({"documents": rows})

    def add_chats(self, chats: Mapping[str, Sequence[tuple[str, str]]], **columns: object) -> None:
        rows = []
        for chat_id, turns in chats.items():
            row: dict[str, object] = dict.fromkeys(TABLES["chats"].schema.names)
            messages = [{"role": role, "content": content} for role, content in turns]
            num_tokens = sum(len(content.split()) for _, content in turns)
            row |= {"chat_id": chat_id, "set": "talk", "reasoning": False, "clause_ids": [], "messages": messages}
            rows.append(row | {"num_tokens": num_tokens} | columns)
        self.store.writer("corpus").append({"chats": rows})

    def recipe(self, **sections: object) -> Recipe:
        return Recipe.model_validate({"name": "run", **sections})

    def column(self, sql: str) -> list[object]:
        table = self.store.query(sql)
        return table.column(0).to_pylist()

    def files(self) -> dict[str, int]:
        """Every file of the run with the time it was last written."""
        paths = [path for path in self.store.root.rglob("*") if path.is_file() and path.name != ".lock"]
        return {str(path.relative_to(self.store.root)): path.stat().st_mtime_ns for path in paths}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with open_writer(tmp_path / "run") as store:
        yield Run(store)


@pytest.fixture
def make_prose() -> object:
    return prose
