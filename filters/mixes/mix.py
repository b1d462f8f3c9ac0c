"""Mixes: a sample of the curated rows in given shares, written as shards to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from corpus.held_out import hold_out_of
from corpus.models import tokenizer_hash
from corpus.recipe import Recipe
from corpus.run import code_version
from corpus.stage import Progress
from corpus.store import Store, WritingStore
from corpus.store.identity import PREFIX, content_id
from corpus.store.schema import TABLES
from filters.mixes.card import card_text
from filters.mixes.card_facts import gather_facts
from filters.mixes.mix_plan import MixPlan, check_shortfall, plan_mix, shortfall_lines
from filters.mixes.sampling import Pick
from filters.mixes.shards import SHARD_BYTES, read_manifest, shard_name, shards_are_whole, split_shards, write_shards
from filters.mixes.unique import unique_tokens

VERSION = 2
"""Raised when the code chooses or writes other rows than before."""


@dataclass(frozen=True)
class MixReport:
    """A mix that is written."""

    plan: MixPlan
    """What it holds."""
    folder: Path
    """Its shards, card and manifest."""
    data_hash: str
    """Hash of the ordered rows: the same hash, the same training data."""
    is_new: bool
    """False where the same mix was there already, and whole."""

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person; `MixPlan.tables` has the shares."""
        plan = self.plan
        whole: dict[str, object] = {
            "rows": len(plan.picks),
            "distinct rows": plan.num_distinct_rows,
            "tokens": plan.num_tokens,
            "distinct tokens": plan.distinct_tokens,
            "unique tokens": plan.unique_tokens,
            "held out": plan.num_held_out,
            "data hash": self.data_hash,
            "written": "now" if self.is_new else "before",
        }
        return [(f"mix {plan.name}: {self.folder}", [whole])]


def build_mix(recipe: Recipe, store: WritingStore, name: str, progress: Progress) -> MixReport:
    """See `filters.build_mix`."""
    plan = plan_mix(recipe, store, name)
    check_shortfall(plan)
    for note in plan.notes:
        progress.note(note)
    if plan.shortfalls:
        progress.note(f"mix '{name}' takes what there is:{shortfall_lines(plan)}")
    about = _about(recipe, plan)
    pieces = split_shards(plan.picks)
    rows = [[pick.source.id, pick.repeat] for pick in plan.picks]
    mix_id = content_id("mix", VERSION, SHARD_BYTES, about, rows)
    folder = store.root / "shards" / name
    manifest = read_manifest(folder)
    is_new = manifest is None or manifest["mix_id"] != mix_id or not shards_are_whole(folder, manifest)
    if manifest is None or is_new:
        store.verify(plan.settings.kind)  # what is trained on is what was written, bit for bit
        progress.start(f"mix {name}", 1)
        made_by = _made_by(recipe, store)
        facts = gather_facts(store, plan)
        manifest = write_shards(
            store,
            plan.settings.kind,
            folder,
            pieces,
            {**about, "mix_id": mix_id, **made_by},
            lambda known: card_text(recipe, plan, facts, known),
        )
        progress.advance(f"mix {name}", "ok")
    _record(recipe, store, plan, mix_id, pieces)
    return MixReport(plan=plan, folder=folder, data_hash=str(manifest["data_hash"]), is_new=is_new)


def _about(recipe: Recipe, plan: MixPlan) -> dict[str, object]:
    """What the mix is, as the manifest says it."""
    return {
        "mix": plan.name,
        "family": plan.family,
        "kind": plan.settings.kind,
        "license": plan.settings.license,
        "left_out": plan.settings.leave_out.model_dump(mode="json"),
        "budget_tokens": plan.budget,
        "num_rows": len(plan.picks),
        "num_distinct_rows": plan.num_distinct_rows,
        "num_tokens": plan.num_tokens,
        "distinct_tokens": plan.distinct_tokens,
        "unique_tokens": plan.unique_tokens,
        "unique_tokens_by": plan.clusters.basis,
        "num_held_out_documents": plan.num_held_out,
        "tokenizer": {"model": recipe.train.model, "revision": recipe.train.revision},
        "seed": recipe.seed,
        "hold_out": hold_out_of(recipe),
        "parts": _parts(plan),
    }


def _parts(plan: MixPlan) -> list[dict[str, object]]:
    """The cells of the mix, in the columns of the table `mix_parts`."""
    return [
        {
            "set": filled.cell.set,
            "genre": filled.cell.genre,
            "clause": filled.cell.clause,
            "target_share": float(filled.cell.share),
            "target_tokens": filled.target_tokens,
            "available_tokens": filled.available_tokens,
            "tokens": filled.num_tokens,
            "unique_tokens": unique_tokens(filled.picks, plan.clusters),
            "rows": len(filled.picks),
            "distinct_rows": filled.num_distinct_rows,
        }
        for filled in plan.cells
    ]


def _made_by(recipe: Recipe, store: Store) -> dict[str, object]:
    """The hashes of what stood behind the rows; a mix of the same rows is not written anew when one changes."""
    spec = recipe.spec
    return {
        "recipe_hash": recipe.recipe_hash(),
        "code_version": code_version(),
        "spec_hash": PREFIX + spec.path.name if spec is not None else None,  # a run keeps its spec under its hash
        "tokenizer_hash": tokenizer_hash(recipe.train.model, recipe.train.revision),
        "clauses_hash": store.current("clauses"),
        "briefs_hash": store.current("briefs"),
        "filter_hashes": store.current("verdicts"),
        "scorer_hashes": store.current("scores"),
        "duplicates_hash": store.current("duplicates"),
    }


def _record(recipe: Recipe, store: WritingStore, plan: MixPlan, mix_id: str, pieces: Sequence[Sequence[Pick]]) -> None:
    """Put the mix into `mixes` and `mix_parts`, and mixes that the recipe no longer has out of their plain views."""
    placed = [(number, pick) for number, picks in enumerate(pieces) for pick in picks]
    rows = [
        {
            "mix": plan.name,
            "position": position,
            "doc_id": pick.source.id,
            "repeat": pick.repeat,
            "shard": shard_name(number),
            "num_tokens": pick.source.num_tokens,
            "pass_hash": mix_id,
        }
        for position, (number, pick) in enumerate(placed)
    ]
    parts = [{"mix": plan.name, "part": part, **row, "pass_hash": mix_id} for part, row in enumerate(_parts(plan))]
    writer, mixes = store.writer("filters"), recipe.every_mix()
    for table, made in (("mix_parts", parts), ("mixes", rows)):
        current = store.current(table)
        wanted = {mix: its_id for mix, its_id in current.items() if mix in mixes} | {plan.name: mix_id}
        if not store.has_pass(table, mix_id):
            writer.commit(table, mix_id, pa.Table.from_pylist(made, schema=TABLES[table].schema))
        if current != wanted:
            writer.set_current(table, wanted)
