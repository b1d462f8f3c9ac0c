"""Mixes: a sample of the curated rows in given shares, written as shards to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa

from corpus.counting import refuse_other_tokenizer
from corpus.errors import RecipeError, nearest
from corpus.held_out import hold_out_of, is_held_out_document
from corpus.recipe import Mix, Recipe
from corpus.stage import Progress
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id
from corpus.store.schema import TABLES
from filters.curate import check_curated
from filters.sampling import Filled, Pick, Source, fill_cells
from filters.shards import SHARD_BYTES, read_manifest, shard_name, shards_are_whole, split_shards, write_shards

VERSION = 1
"""Raised when the code chooses or writes other rows than before."""
_SOURCES = {
    "documents": "SELECT doc_id AS id, set, genre, num_tokens, strlen(text) AS num_bytes FROM curated ORDER BY id",
    "chats": "SELECT chat_id AS id, set, NULL AS genre, num_tokens, "
    "coalesce(list_sum([strlen(message.content) FOR message IN messages]), 0)::BIGINT AS num_bytes "
    "FROM curated_chats WHERE twin_id IS NULL OR $both OR reasoning = $reasoning ORDER BY id",
}


@dataclass(frozen=True)
class MixReport:
    """What a mix holds."""

    mix: str
    kind: str
    folder: Path
    """Its shards and manifest."""
    data_hash: str
    """Hash of the ordered rows: the same hash, the same training data."""
    num_rows: int
    num_distinct_rows: int
    num_tokens: int
    num_held_out: int
    """Curated documents that no mix may hold, because held-out perplexity is measured on them."""
    cells: tuple[Filled, ...]
    """Targets and what there is, by set and genre."""
    is_new: bool
    """False where the same mix was there already, and whole."""

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person."""
        shares = [
            {
                "part": filled.cell.label,
                "rows": len(filled.picks),
                "tokens": filled.num_tokens,
                "target tokens": filled.target_tokens,
                "available tokens": filled.available_tokens,
                "share": filled.num_tokens / self.num_tokens,
                "target share": filled.cell.share,
            }
            for filled in self.cells
        ]
        whole: list[dict[str, object]] = [
            {
                "rows": self.num_rows,
                "distinct rows": self.num_distinct_rows,
                "tokens": self.num_tokens,
                "held out": self.num_held_out,
                "data hash": self.data_hash,
                "written": "now" if self.is_new else "before",
            }
        ]
        return [(f"mix {self.mix}: {self.folder}", whole), (f"mix {self.mix}: shares", shares)]


def build_mix(recipe: Recipe, store: WritingStore, name: str, progress: Progress) -> MixReport:
    """See `filters.build_mix`."""
    if name not in recipe.mixes:
        raise RecipeError(f"the recipe has no mix '{name}'; {nearest(name, recipe.mixes)}")
    settings = recipe.mixes[name]
    check_curated(recipe, store, settings.kind)
    refuse_other_tokenizer(recipe, store)
    _check_twins(store, settings, name)
    sources, num_held_out = _sources(store, settings, recipe.seed)
    cells = fill_cells(settings, recipe.seed, name, sources)
    _check_shortfall(settings, name, cells, sources, num_held_out, progress)
    picks = sorted((pick for filled in cells for pick in filled.picks), key=lambda pick: (pick.order, pick.source.id))
    about = _about(recipe, name, settings, cells, num_held_out)
    pieces = split_shards(picks)
    mix_id = content_id(
        "mix", VERSION, SHARD_BYTES, {**about, "recipe_hash": None}, [[pick.source.id, pick.repeat] for pick in picks]
    )
    folder = store.root / "shards" / name
    manifest = read_manifest(folder)
    is_new = manifest is None or manifest["mix_id"] != mix_id or not shards_are_whole(folder, manifest)
    if manifest is None or is_new:
        progress.start(f"mix {name}", 1)
        manifest = write_shards(store, settings.kind, folder, pieces, {**about, "mix_id": mix_id})
        progress.advance(f"mix {name}", "ok")
    _record(recipe, store, name, mix_id, pieces)
    return MixReport(
        mix=name,
        kind=settings.kind,
        folder=folder,
        data_hash=str(manifest["data_hash"]),
        num_rows=len(picks),
        num_distinct_rows=len({pick.source.id for pick in picks}),
        num_tokens=sum(pick.source.num_tokens for pick in picks),
        num_held_out=num_held_out,
        cells=tuple(cells),
        is_new=is_new,
    )


def _sources(store: Store, settings: Mix, seed: int) -> tuple[list[Source], int]:
    """The rows that may go into the mix, and how many documents are held out of every mix."""
    found = [
        Source(
            id=str(row["id"]),
            set=str(row["set"]),
            genre=cast("str | None", row["genre"]),
            num_tokens=cast("int", row["num_tokens"]),
            num_bytes=cast("int", row["num_bytes"]),
        )
        for row in store.rows(_SOURCES[settings.kind], _reasoning(settings))
    ]
    if settings.kind == "chats":
        return found, 0
    free = [source for source in found if not is_held_out_document(seed, source.id)]
    return free, len(found) - len(free)


def _reasoning(settings: Mix) -> dict[str, object]:
    if settings.kind == "documents":
        return {}
    return {"both": settings.reasoning in ("both", None), "reasoning": settings.reasoning == "with"}


def _check_twins(store: Store, settings: Mix, name: str) -> None:
    """Refuse to train on each question twice because nobody said which of its answers is meant."""
    if settings.kind == "chats" and settings.reasoning is None:
        (row,) = store.rows("SELECT count(*) AS twins FROM curated_chats WHERE twin_id IS NOT NULL")
        if row["twins"]:
            raise RecipeError(
                f"mix '{name}': {row['twins']} curated chats are there twice, with reasoning and without; say which "
                f"are meant: mixes.{name}.reasoning: with, without or both"
            )


def _check_shortfall(
    settings: Mix, name: str, cells: Sequence[Filled], sources: Sequence[Source], num_held_out: int, progress: Progress
) -> None:
    short = [filled for filled in cells if filled.is_short or not filled.available_tokens]
    lines = "".join(
        f"\n  {filled.cell.label}: wanted {filled.target_tokens:,} tokens ({filled.cell.share:.1%}), "
        f"there are {filled.available_tokens:,}"
        for filled in short
    )
    known = sorted({label for source in sources for label in (source.set, source.genre) if label is not None})
    there = f"{len(sources)} curated {settings.kind} (held out: {num_held_out}) of {', '.join(known) or 'nothing'}"
    if not any(filled.picks for filled in cells):
        raise RecipeError(f"mix '{name}' would be empty; there are {there}{lines}")
    if short and settings.shortfall == "refuse":
        raise RecipeError(
            f"mix '{name}' asks for more than there is:{lines}\nThere are {there}. Generate or import more, "
            f"lower mixes.{name}.tokens, raise repeats ({settings.repeats}), or set shortfall: allow"
        )
    if short:
        progress.note(f"mix '{name}' takes what there is:{lines}")


def _about(recipe: Recipe, name: str, settings: Mix, cells: Sequence[Filled], num_held_out: int) -> dict[str, object]:
    """The manifest but for hashes and shards."""
    picks = [pick for filled in cells for pick in filled.picks]
    return {
        "mix": name,
        "kind": settings.kind,
        "num_rows": len(picks),
        "num_distinct_rows": len({pick.source.id for pick in picks}),
        "num_tokens": sum(pick.source.num_tokens for pick in picks),
        "num_held_out_documents": num_held_out,
        "tokenizer": {"model": recipe.train.model, "revision": recipe.train.revision},
        "recipe_hash": recipe.recipe_hash(),
        "seed": recipe.seed,
        "hold_out": hold_out_of(recipe),
        "parts": [
            {
                "set": filled.cell.set,
                "genre": filled.cell.genre,
                "target_share": filled.cell.share,
                "target_tokens": filled.target_tokens,
                "available_tokens": filled.available_tokens,
                "tokens": filled.num_tokens,
                "rows": len(filled.picks),
            }
            for filled in cells
        ],
    }


def _record(recipe: Recipe, store: WritingStore, name: str, mix_id: str, pieces: Sequence[Sequence[Pick]]) -> None:
    """Put the mix into the table `mixes`, and mixes that the recipe no longer has out of the plain view."""
    current = store.current("mixes")
    if current.get(name) == mix_id:
        return
    placed = [(number, pick) for number, picks in enumerate(pieces) for pick in picks]
    rows = [
        {
            "mix": name,
            "position": position,
            "doc_id": pick.source.id,
            "repeat": pick.repeat,
            "shard": shard_name(number),
            "num_tokens": pick.source.num_tokens,
            "pass_hash": mix_id,
        }
        for position, (number, pick) in enumerate(placed)
    ]
    writer = store.writer("filters")
    writer.commit("mixes", mix_id, pa.Table.from_pylist(rows, schema=TABLES["mixes"].schema))
    writer.set_current("mixes", {mix: made for mix, made in current.items() if mix in recipe.mixes} | {name: mix_id})
