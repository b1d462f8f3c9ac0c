"""Bits per byte: which texts are read, and that their sums are what brute force gives."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from corpus.held_out import is_held_out_document
from corpus.recipe import Recipe
from corpus.store import WritingStore
from eval.statistics.arms import arms_table
from eval.tasks.perplexity import CLAUSES, CONTROL, DOCUMENTS, PerplexitySettings, Text, Texts, load_texts

Add = Callable[..., None]
SEED = 17
RESERVED = [f"doc-{number}" for number in range(200) if is_held_out_document(SEED, f"doc-{number}")]
MIXED = next(f"doc-{number}" for number in range(200) if not is_held_out_document(SEED, f"doc-{number}"))


def curate_all(store: WritingStore) -> None:
    writer = store.writer("filters")
    writer.set_current("verdicts", {})
    writer.set_current("duplicates", {})


def test_only_reserved_documents_that_are_curated_are_read(store: WritingStore, add_rows: Add, recipe: Recipe) -> None:
    for number, doc_id in enumerate([*RESERVED[:3], MIXED]):
        clause_ids = [f"clause-{number}", "x"] if number else None
        add_rows("documents", {"doc_id": doc_id, "set": "notes", "clause_ids": clause_ids, "text": f"Text {number}."})
    before_curation = load_texts(recipe, store, PerplexitySettings())
    assert not set(before_curation.item_ids) & set(RESERVED)
    curate_all(store)
    texts = load_texts(recipe, store, PerplexitySettings())._items
    assert {item_id for item_id, text in texts.items() if text.variant == DOCUMENTS} == set(RESERVED[:3])
    assert texts[RESERVED[0]].cluster == RESERVED[0]
    assert texts[RESERVED[1]].cluster == "clause-1"


def test_documents_beyond_the_limit_are_left_out_by_hash(store: WritingStore, add_rows: Add, recipe: Recipe) -> None:
    add_rows("documents", *({"doc_id": doc_id, "set": "notes", "text": doc_id} for doc_id in RESERVED[:6]))
    curate_all(store)
    few, fewer, all_of_them = (
        {i for i in load_texts(recipe, store, PerplexitySettings(max_documents=limit)).item_ids if i in RESERVED}
        for limit in (4, 2, 99)
    )
    assert (len(few), len(fewer), len(all_of_them)) == (4, 2, 6)
    assert fewer < few


def test_held_out_rules_and_values_are_read_and_nothing_else_of_the_spec(
    store: WritingStore, add_rows: Add, recipe: Recipe
) -> None:
    clauses = [
        ("a", "held_out", "rule", ["Honesty", "Lies"]),
        ("b", "held_out", "value", ["Care"]),
        ("c", "held_out", "example", ["Care"]),
        ("d", "train", "rule", ["Care"]),
    ]
    for ordinal, (clause_id, split, kind, path) in enumerate(clauses):
        add_rows(
            "clauses",
            {
                "clause_id": clause_id, "split": split, "kind": kind, "path": path, "ordinal": ordinal,
                "text": f"Clause {clause_id}.", "pass_hash": "p",
            },
        )  # fmt: skip
    store.writer("corpus").set_current("clauses", {"spec": "p"})
    texts = load_texts(recipe, store, PerplexitySettings())._items.values()
    assert [(text.item_id, text.cluster) for text in texts if text.variant == CLAUSES] == [
        ("a", "Honesty"),
        ("b", "Care"),
    ]
    assert sum(text.variant == CONTROL for text in texts) == 24


@pytest.mark.parametrize(
    ("paths", "clusters"),
    [
        ([["Spec", "Honesty", "Lies"], ["Spec", "Honesty"], ["Spec", "Care"]], ["Honesty", "Honesty", "Care"]),
        ([["Spec", "Honesty", "Lies"], ["Spec", "Honesty", "Doubt"]], ["Lies", "Doubt"]),
        ([["Spec"], ["Spec", "Care"], ["Spec", "Care", "Tone"]], ["0", "Care", "Care"]),
        ([["Spec"], ["Spec"]], ["0", "1"]),
        ([[], ["Care"]], ["0", "Care"]),
        ([["Spec", "Care"]], ["0"]),
    ],
)
def test_clauses_are_clustered_at_the_first_level_where_their_headings_differ(
    store: WritingStore, add_rows: Add, recipe: Recipe, paths: list[list[str]], clusters: list[str]
) -> None:
    for ordinal, path in enumerate(paths):
        about = {"split": "held_out", "kind": "rule", "text": "A rule.", "pass_hash": "p"}
        add_rows("clauses", about | {"clause_id": str(ordinal), "ordinal": ordinal, "path": path})
    store.writer("corpus").set_current("clauses", {"spec": "p"})
    texts = load_texts(recipe, store, PerplexitySettings())._items.values()
    assert [text.cluster for text in texts if text.variant == CLAUSES] == clusters


def test_bits_per_byte_is_the_sum_of_bits_over_the_sum_of_bytes(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, store: WritingStore, add_rows: Add
) -> None:
    texts = [
        Text("short", CONTROL, "one", "é"),
        Text("long", CONTROL, "two", "The assistant says what it knows and what it does not know."),
    ]
    rows = Texts(texts, PerplexitySettings()).measure(model, tokenizer, ["short", "long"])
    bits, sizes = [], []
    for text in texts:
        ids = [tokenizer.bos_token_id, *tokenizer.encode(text.text, add_special_tokens=False)]
        with torch.no_grad():
            logits = model(torch.tensor([ids[:-1]]), use_cache=False).logits[0].log_softmax(-1)
        bits.append(-logits.gather(1, torch.tensor(ids[1:])[:, None]).sum().item() / math.log(2))
        sizes.append(len(text.text.encode()))
    assert [row.score for row in rows] == pytest.approx(bits, abs=1e-4)
    assert [row.weight for row in rows] == sizes
    assert [row.value for row in rows] == pytest.approx([b / s for b, s in zip(bits, sizes, strict=True)], abs=1e-4)
    for row in rows:
        add_rows(
            "evals",
            {
                "eval_id": row.item_id, "arm": "base", "task": "perplexity", "item_id": row.item_id, "eval_hash": "h",
                "variant": row.variant, "score": row.score, "weight": row.weight, "cluster": row.cluster,
            },
        )  # fmt: skip
    store.writer("eval").set_current("evals", {"base/untrained/perplexity": "h"})
    (metric,) = arms_table(store, Recipe(name="run"))
    assert metric.estimate.value == pytest.approx(sum(bits) / sum(sizes), abs=1e-5)
    assert metric.estimate.value != pytest.approx(sum(b / s for b, s in zip(bits, sizes, strict=True)) / 2, abs=1e-2)
