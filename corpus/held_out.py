"""Which generated documents are kept out of every mix, so that bits per byte can be measured on unseen ones."""

from __future__ import annotations

from corpus.store.identity import draw

ONE_IN = 10
"""One document in ten is reserved: as many as `spec.hold_out` keeps of the clauses by default."""


def is_held_out_document(seed: int, doc_id: str) -> bool:
    """Whether no mix may contain this document. A pure function, so that mixing and evaluating agree for ever."""
    return draw("held_out_document", seed, doc_id) % ONE_IN == 0
