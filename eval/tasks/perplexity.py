"""The task `perplexity`: bits per byte on texts that no arm was trained on.

Three kinds of text: generated documents that no mix may hold, the held-out clauses themselves, and control texts in
the same register on other subjects. A model that only learned the register gains on all three; one that learned what
the spec says gains more on the clauses than on the control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, cast

from pydantic import NonNegativeInt, PositiveInt

from corpus.held_out import is_held_out_document
from corpus.recipe import Recipe, Section
from corpus.store import Store
from corpus.store.identity import content_id, draw
from eval.scoring.continuations import text_bits
from eval.tasks.items import load_control
from eval.tasks.material import ById, Measured

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DOCUMENTS, CLAUSES, CONTROL = "held_out_documents", "held_out_clauses", "control"


class PerplexitySettings(Section):
    """Settings of the task `perplexity`."""

    max_documents: NonNegativeInt = 200
    """Held-out documents that are read, drawn by hash (documents); bounds the time, at some 600 tokens a second on two
    cores."""
    max_window_tokens: PositiveInt = 2048
    """Longest piece of a text that is read at once (tokens); bounds memory. As long as a row of training by default."""
    batch_tokens: PositiveInt = 512
    """Tokens of one forward pass (tokens). For the CPU: six items took 5.8, 6.2 and 6.8 CPU-seconds with 384, 768 and
    1,536 (SmolLM2-135M, fp32); an accelerator wants more."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text to read."""

    item_id: str
    variant: str
    cluster: str
    text: str


class Texts(ById[Text]):
    """The texts of the task."""

    def __init__(self, texts: Sequence[Text], settings: PerplexitySettings) -> None:
        """Keep them, in their order."""
        super().__init__({text.item_id: text for text in texts})
        self._settings = settings

    @property
    def content_hash(self) -> str:
        """Hash of the texts with their kinds and clusters."""
        return content_id("texts", *([t.item_id, t.variant, t.cluster, t.text] for t in self._items.values()))

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, item_ids: Sequence[str]
    ) -> list[Measured]:
        """One row a text: score = bits, weight = bytes, value = bits per byte."""
        texts = [self._items[item_id] for item_id in item_ids]
        bits = text_bits(
            model,
            tokenizer,
            [text.text for text in texts],
            self._settings.batch_tokens,
            self._settings.max_window_tokens,
        )
        return [
            Measured(
                item_id=text.item_id,
                variant=text.variant,
                cluster=text.cluster,
                score=one.bits,
                value=None if one.bits is None else one.bits / one.num_bytes,
                weight=float(one.num_bytes),
                explanation="the model gave no number" if one.bits is None else None,
            )
            for text, one in zip(texts, bits, strict=True)
        ]


def load_texts(recipe: Recipe, store: Store | None, settings: PerplexitySettings) -> Texts:
    """The texts that a run has for this (None: there is no run yet), and the control texts always."""
    documents = _held_out_documents(recipe.seed, store, settings.max_documents) if store else []
    clauses = _held_out_clauses(store) if store else []
    control = [Text(item.item_id, CONTROL, item.cluster, item.text) for item in load_control()]
    return Texts([text for text in [*documents, *clauses, *control] if text.text], settings)


def _held_out_documents(seed: int, store: Store, max_documents: int) -> list[Text]:
    """Curated documents kept out of every mix; one's cluster is its first clause."""
    doc_ids = [cast("str", row["doc_id"]) for row in store.rows("SELECT doc_id FROM curated")]
    reserved = [doc_id for doc_id in doc_ids if is_held_out_document(seed, doc_id)]
    chosen = sorted(reserved, key=lambda doc_id: draw("perplexity", seed, doc_id))[:max_documents]
    sql = """
        SELECT doc_id, coalesce(clause_ids[1], doc_id) AS cluster, text FROM curated
        WHERE doc_id IN (SELECT unnest($chosen::VARCHAR[])) ORDER BY doc_id
    """
    return [Text(row["doc_id"], DOCUMENTS, row["cluster"], row["text"]) for row in _texts(store, sql, chosen=chosen)]


def _held_out_clauses(store: Store) -> list[Text]:
    """Clauses that no prompt shows; one's cluster is its heading at the first level where their headings differ.

    A spec often has one title, which all clauses share. A clause without a heading of that level stands for itself.
    """
    sql = """
        SELECT clause_id, path, text FROM clauses
        WHERE split = 'held_out' AND kind IN ('rule', 'value') ORDER BY ordinal
    """
    rows = store.rows(sql)
    paths = [cast("list[str] | None", row["path"]) or [] for row in rows]
    level = sum(1 for _ in takewhile(lambda headings: len(set(headings)) == 1, zip(*paths, strict=False)))
    clusters = [
        path[level] if level < len(path) else str(row["clause_id"]) for row, path in zip(rows, paths, strict=True)
    ]
    return [
        Text(str(row["clause_id"]), CLAUSES, cluster, str(row["text"]))
        for row, cluster in zip(rows, clusters, strict=True)
    ]


def _texts(store: Store, sql: str, **parameters: object) -> list[dict[str, str]]:
    return cast("list[dict[str, str]]", store.rows(sql, parameters))
