"""Which documents are kept out of every mix, so that bits per byte can be measured on unseen ones."""

from __future__ import annotations

from corpus.recipe import Recipe
from corpus.store.identity import draw

ONE_IN = 10
"""One document in ten is reserved: as many as `spec.hold_out` keeps of the clauses by default."""


def is_held_out_document(seed: int, doc_id: str) -> bool:
    """Whether no mix may contain this document. A pure function, so that mixing and evaluating agree for ever."""
    return draw("held_out_document", seed, doc_id) % ONE_IN == 0


def hold_out_of(recipe: Recipe) -> dict[str, object]:
    """What decides which documents and clauses are unseen, besides the seed: a mix's manifest keeps it."""
    clauses = None if recipe.spec is None else recipe.spec.hold_out.fraction
    return {"documents_one_in": ONE_IN, "clauses_fraction": clauses}
