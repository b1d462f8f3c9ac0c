"""Knowledge items: the right choice against the best other, whole and per byte, and a loss within a stated margin."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from corpus.recipe import Recipe
from corpus.store import WritingStore
from eval.statistics.arms import ArmRow, arms_table
from eval.tasks.capability import ACCURACY, ACCURACY_PER_BYTE, UNSCORED, CapabilitySettings, Knowledge, load_capability
from eval.tasks.items import ItemError, KnowledgeItem, load_knowledge
from eval.tasks.material import Measured

Add = Callable[..., None]
QUESTION = "What does a keeper do?"
SHORT, LONG = "x", "The assistant says what it knows and what it does not know."
ITEMS = [
    KnowledgeItem(item_id="three", cluster="a", question=QUESTION, choices=["open a hive", "tell her", "go"], answer=1),
    KnowledgeItem(item_id="four", cluster="b", question="é?", choices=["the line", "ant", "🐝", "care"], answer=3),
    KnowledgeItem(item_id="lengths", cluster="b", question=QUESTION, choices=[SHORT, LONG], answer=1),
]
SPREAD = [0.25, 0.0] * 5
"""What an arm loses in each of ten clusters of four items."""


def measure(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, *items: KnowledgeItem
) -> dict[tuple[str, str], Measured]:
    task = Knowledge(items, CapabilitySettings())
    return {(row.item_id, row.variant): row for row in task.measure(model, tokenizer, task.item_ids)}


def token_nats(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, question: str, choice: str) -> torch.Tensor:
    """Of each token that comes after the word `assistant`, by one plain forward pass over the whole text."""
    prompt = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant"
    ids = torch.tensor(tokenizer.encode(f"{prompt}\n{choice}", add_special_tokens=False))
    first = len(tokenizer.encode(prompt, add_special_tokens=False))
    with torch.no_grad():
        logits: torch.Tensor = model(ids[None], use_cache=False).logits[0].log_softmax(-1)
    return logits[first - 1 : -1].gather(1, ids[first:, None])[:, 0].double()


def over_best_other(each: list[float], answer: int) -> float:
    return each[answer] - max(each[:answer] + each[answer + 1 :])


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.item_id)
def test_the_score_is_how_far_the_right_choice_is_above_the_best_other_over_all_its_tokens(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, item: KnowledgeItem
) -> None:
    """Negative control: by the first tokens alone the score would be another."""
    nats = [token_nats(model, tokenizer, item.question, choice) for choice in item.choices]
    whole = [float(one.sum()) for one in nats]
    per_byte = [one / len(choice.encode()) for one, choice in zip(whole, item.choices, strict=True)]
    rows = measure(model, tokenizer, *ITEMS)
    for variant, each in ((ACCURACY, whole), (ACCURACY_PER_BYTE, per_byte)):
        row, expected = rows[item.item_id, variant], over_best_other(each, item.answer)
        assert row.score == pytest.approx(expected, abs=1e-4)
        assert (row.value, row.cluster, row.explanation) == (float(expected > 0), item.cluster, None)
    by_first = over_best_other([float(one[:2].sum()) for one in nats], item.answer)
    assert abs(by_first - over_best_other(whole, item.answer)) > 0.1


def test_whole_and_per_byte_can_choose_differently(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    rows = measure(model, tokenizer, *ITEMS)
    assert (rows["lengths", ACCURACY].value, rows["lengths", ACCURACY_PER_BYTE].value) == (0.0, 1.0)


def test_a_tie_is_a_score_of_0_and_not_won(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Only the same words tie for certain; a file that offers them is refused."""
    same = ITEMS[0].model_copy(update={"choices": ["tell her", "tell her"]})
    for row in measure(model, tokenizer, same).values():
        assert (row.score, row.value, row.explanation) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"choices": ["tell her", "é" * 40], "answer": 0},  # 80 tokens, in a context of 64
        {"choices": ["tell her", "é" * 40], "answer": 1},
        {"question": "é" * 32},
    ],
    ids=["a wrong choice", "the right choice", "the question"],
)
def test_what_does_not_fit_into_the_context_is_null_with_the_reason(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, changes: dict[str, object]
) -> None:
    broken = ITEMS[0].model_copy(update={"item_id": "long", **changes})
    rows = measure(model, tokenizer, broken, ITEMS[1])
    for variant in (ACCURACY, ACCURACY_PER_BYTE):
        row, beside = rows["long", variant], rows["four", variant]
        assert (row.score, row.value, row.explanation) == (None, None, UNSCORED)
        assert beside.score is not None and beside.explanation is None


def line(**changes: object) -> str:
    item: dict[str, object] = {
        "item_id": "a-02", "cluster": "a", "question": "Tea?", "choices": ["yes", "no", "later"], "answer": 2,
    }  # fmt: skip
    return json.dumps({name: value for name, value in (item | changes).items() if value is not None}) + "\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": None}, r"line 2, field question: is missing"),
        ({"answer": None}, r"line 2, field answer: is missing"),
        ({"answer": -1}, r"line 2, field answer: .*greater than or equal to 0; seen: -1"),
        ({"answer": "2"}, r"line 2, field answer: .*integer"),
        ({"answer": 3}, r"line 2: .*answer is 3, and there are 3 choices, counted from 0"),
        ({"choices": ["yes"], "answer": 0}, r"line 2, field choices: .*at least 2 items"),
        ({"choices": ["yes", " ", "no"]}, r"line 2, field choices\.1: "),
        ({"choices": ["by  tea", "no", "by\ttea "]}, r"line 2: two options of 'a-02' are equal up to white space"),
        ({"item_id": "a-01"}, r"line 2, field item_id: 'a-01' is already the id of line 1"),
        ({}, None),
    ],
)
def test_a_broken_item_names_file_line_and_field(
    tmp_path: Path, changes: dict[str, object], message: str | None
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(line(item_id="a-01") + line(**changes))
    if message is None:
        assert [item.item_id for item in load_knowledge(path)] == ["a-01", "a-02"]
        return
    with pytest.raises(ItemError, match=r"mine\.jsonl, " + message):
        load_knowledge(path)


def test_our_items_are_200_in_10_clusters_and_neither_place_nor_length_tells_the_right_choice() -> None:
    task = load_capability(Recipe(name="run"), None, CapabilitySettings())
    assert len(task.item_ids) == len(set(task.item_ids)) == 200
    assert list(Counter(task.clusters.values()).values()) == [20] * 10
    items = load_knowledge()
    places: dict[str, Counter[int]] = defaultdict(Counter)
    for item in items:
        places[item.cluster][item.answer] += 1
    assert all(of_cluster == dict.fromkeys(range(4), 5) for of_cluster in places.values())
    assert len({re.sub(r"\W+", " ", item.question.lower()) for item in items}) == 200
    for pick in (max, min):
        hits = 0.0
        for item in items:
            lengths = [len(choice) for choice in item.choices]
            hits += (lengths[item.answer] == pick(lengths)) / lengths.count(pick(lengths))
        assert 0.2 <= hits / len(items) <= 0.3, "a guess by length alone"


def capability_rows(
    store: WritingStore, add_rows: Add, losses: list[float], margin: float, num_clusters: int = 10
) -> dict[tuple[str, str | None], ArmRow]:
    """By metric and what is subtracted: the base model gets all right, the arm `losses` of each cluster's four items.

    Scores are nats that would give another mean than the values do.
    """
    store.writer("eval").set_current("evals", {"all": "h"})
    for place in range(40):
        cluster, within = place // 4, place % 4
        wrong = within < 4 * losses[cluster]
        for arm, seed, value in (("base", None, 1.0), ("arm", 0, float(not wrong))):
            for variant in (ACCURACY, ACCURACY_PER_BYTE):
                add_rows("evals", {
                    "eval_id": f"{arm}{place}{variant}", "arm": arm, "train_seed": seed, "task": "capability",
                    "item_id": f"i{place}", "variant": variant, "cluster": f"c{cluster % num_clusters}",
                    "score": (2 * value - 1) * (1 + place), "value": value, "eval_hash": "h",
                })  # fmt: skip
    recipe = Recipe.model_validate({
        "name": "run", "mixes": {"docs": {}}, "train": {"stages": {"s": {"data": "docs"}}},
        "arms": {"base": [], "arm": ["s"]}, "eval": {"tasks": [{"capability": {"margin": margin}}]},
    })  # fmt: skip
    return {(row.metric, row.against): row for row in arms_table(store, recipe) if row.arm == "arm"}


@pytest.mark.parametrize(("margin", "said"), [(0.21, "yes"), (0.2, "not shown"), (0.1, "not shown")])
def test_a_loss_within_the_margin_is_shown_by_the_lower_end_of_the_one_sided_interval(
    store: WritingStore, add_rows: Add, margin: float, said: str
) -> None:
    """A loss of 0.125: inside of 0.2, which its one-sided end (-0.201) is not; the two-sided end is beyond 0.21 too."""
    changes = stats.ttest_1samp(-np.asarray(SPREAD), 0, alternative="greater")
    low = float(changes.confidence_interval(0.95).low)
    both_sides = float(stats.ttest_1samp(-np.asarray(SPREAD), 0).confidence_interval(0.95).low)
    assert both_sides < -0.21 < low < -0.2 < -0.125
    rows = capability_rows(store, add_rows, SPREAD, margin)
    row = rows[f"capability/{ACCURACY}", "base"]
    assert row.estimate.value == pytest.approx(-0.125), "shares of items, not nats"
    assert row.estimate.low == pytest.approx(both_sides)
    assert f"non-inferior within {margin:g}: {said} (one-sided 95 % bound {low:.3f})" in row.note
    p = stats.ttest_1samp(-np.asarray(SPREAD), -margin, alternative="greater").pvalue
    assert row.p_value == pytest.approx(p)
    assert (p < 0.05) == (said == "yes")
    others = [one.note for key, one in rows.items() if key != (f"capability/{ACCURACY}", "base")]
    assert len(others) == 3 and not any("non-inferior" in note for note in others)


def test_where_the_error_is_undefined_the_margin_is_undecided(store: WritingStore, add_rows: Add) -> None:
    rows = capability_rows(store, add_rows, SPREAD, 0.5, num_clusters=1)
    said = "non-inferior within 0.5: undecided (one-sided 95 % bound undefined)"
    assert said in rows[f"capability/{ACCURACY}", "base"].note


def test_nothing_lost_is_within_any_margin_and_a_gain_is_no_loss(store: WritingStore, add_rows: Add) -> None:
    rows = capability_rows(store, add_rows, [0.0] * 10, 0.001)
    assert "non-inferior within 0.001: yes (one-sided 95 % bound 0.000)" in rows[f"capability/{ACCURACY}", "base"].note
