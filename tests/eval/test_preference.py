"""Forced choice: both orders, and what models with a known behaviour get."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from pydantic import ValidationError
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from corpus.recipe import Recipe
from corpus.store import WritingStore
from eval.scoring.continuations import Scored, score_continuations
from eval.statistics.arms import arms_table
from eval.tasks import preference
from eval.tasks.items import PreferenceItem
from eval.tasks.preference import Choices, PreferenceSettings
from prompts import load

ITEMS = [
    PreferenceItem(
        item_id=f"item-{number}",
        cluster=f"cluster-{number % 3}",
        question=f"Case {number}?",
        aligned=f"I would tell her {number}.",
        other=f"I would write {number} lines.",
    )
    for number in range(6)
]
Add = Callable[..., None]
Metrics = dict[str, float | None]


def measure_with(
    monkeypatch: pytest.MonkeyPatch,
    favours: Callable[[str, str], float],
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    items: Sequence[PreferenceItem] = tuple(ITEMS),
    **settings: object,
) -> list[dict[str, object]]:
    """Rows of a model whose log-probability of an option is `favours(prompt, option)`."""

    def fake(model: object, tokenizer: object, pairs: Sequence[tuple[str, str]], max_batch_tokens: int) -> list[Scored]:
        return [Scored(favours(prompt, option), 5, len(option.encode())) for prompt, option in pairs]

    monkeypatch.setattr(preference, "score_continuations", fake)
    choices = Choices(items, PreferenceSettings.model_validate(settings))
    return [
        {
            "eval_id": f"{row.item_id}/{row.variant}", "arm": "base", "task": "preference", "eval_hash": "h",
            "item_id": row.item_id, "variant": row.variant, "score": row.score, "value": row.value,
            "cluster": row.cluster,
        }
        for row in choices.measure(model, tokenizer, choices.item_ids)
    ]  # fmt: skip


@pytest.fixture
def metrics_of(
    monkeypatch: pytest.MonkeyPatch,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    store: WritingStore,
    add_rows: Add,
) -> Callable[..., Metrics]:
    """metrics_of(favours, items, **settings): the metrics of such a model."""

    def measure(favours: Callable[[str, str], float], *items: Sequence[PreferenceItem], **settings: object) -> Metrics:
        add_rows("evals", *measure_with(monkeypatch, favours, model, tokenizer, *items, **settings))
        store.writer("eval").set_current("evals", {"base/untrained/preference": "h"})
        return {row.metric: row.estimate.value for row in arms_table(store, Recipe(name="run"))}

    return measure


def test_a_model_that_always_takes_the_first_item_gets_half_and_no_consistency(
    metrics_of: Callable[..., Metrics],
) -> None:
    def first_item(prompt: str, option: str) -> float:
        return -1.0 if prompt.index(option) < prompt.index("\n* ", prompt.index("\n* ") + 1) else -3.0

    found = metrics_of(first_item)
    assert found["preference/sum/rate"] == 0.5
    assert found["preference/sum/order_consistency"] == 0.0
    assert found["preference/sum/log_odds"] == 0.0


def test_an_oracle_gets_everything(metrics_of: Callable[..., Metrics]) -> None:
    def oracle(prompt: str, option: str) -> float:
        return -1.0 if "tell her" in option else -3.0

    found = metrics_of(oracle)
    assert {found[f"preference/{scoring}/{name}"] for scoring in ("sum", "per_byte") for name in ("rate",)} == {1.0}
    assert found["preference/sum/order_consistency"] == 1.0
    assert found["preference/sum/log_odds"] == 2.0


def test_swapping_the_options_of_an_item_turns_its_log_odds_round(
    roomy_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    swapped = [item.model_copy(update={"aligned": item.other, "other": item.aligned}) for item in ITEMS]
    mean = {}
    for name, items in (("as is", ITEMS), ("swapped", swapped)):
        rows = Choices(items, PreferenceSettings()).measure(roomy_model, tokenizer, [item.item_id for item in items])
        mean[name] = [
            sum(row.score or 0 for row in rows if row.item_id == item.item_id and row.variant.endswith("/sum")) / 2
            for item in items
        ]
    assert mean["as is"] == pytest.approx([-value for value in mean["swapped"]], abs=1e-5)
    assert max(map(abs, mean["as is"])) > 0.1


def test_log_odds_are_the_difference_of_the_two_options_scored_alone(
    roomy_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    item = ITEMS[2]
    rows = {r.variant: r for r in Choices([item], PreferenceSettings()).measure(roomy_model, tokenizer, [item.item_id])}
    prompt = load("preference").render(question=item.question, first=item.other, second=item.aligned)[0]["content"]
    context = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    aligned, other = (
        score_continuations(roomy_model, tokenizer, [(context, text)], 8)[0] for text in (item.aligned, item.other)
    )
    assert aligned.sum_logprob is not None and other.sum_logprob is not None
    difference = aligned.sum_logprob - other.sum_logprob
    assert rows["aligned_second/sum"].score == pytest.approx(difference, abs=1e-5)
    assert rows["aligned_second/sum"].value == float(difference > 0)
    per_byte = aligned.sum_logprob / len(item.aligned) - other.sum_logprob / len(item.other)
    assert rows["aligned_second/per_byte"].score == pytest.approx(per_byte, abs=1e-6)


def test_an_option_longer_than_the_context_is_null_and_counted(
    roomy_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, store: WritingStore, add_rows: Add
) -> None:
    items = [ITEMS[0], ITEMS[1].model_copy(update={"other": "é" * 600})]
    rows = Choices(items, PreferenceSettings()).measure(roomy_model, tokenizer, [item.item_id for item in items])
    unscored = [row for row in rows if row.item_id == "item-1"]
    assert len(unscored) == 4
    assert all((row.score, row.value, row.answer) == (None, None, None) and row.explanation for row in unscored)
    add_rows(
        "evals",
        *(
            {
                "eval_id": f"{row.item_id}/{row.variant}", "arm": "base", "task": "preference", "eval_hash": "h",
                "item_id": row.item_id, "variant": row.variant, "score": row.score, "cluster": row.cluster,
            }
            for row in rows
        ),
    )  # fmt: skip
    store.writer("eval").set_current("evals", {"base/untrained/preference": "h"})
    rate = next(row for row in arms_table(store, Recipe(name="run")) if row.metric == "preference/sum/rate")
    assert (rate.estimate.n, rate.num_unscored) == (1, 1)
    assert rate.estimate.standard_error is None and rate.estimate.low is None


def test_the_prompt_or_an_item_changes_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Choices(ITEMS, PreferenceSettings()).content_hash
    assert before == Choices(ITEMS, PreferenceSettings()).content_hash
    assert before != Choices(ITEMS[:-1], PreferenceSettings()).content_hash
    monkeypatch.setattr(preference, "load", lambda name: load("chat_answer"))
    assert before != Choices(ITEMS, PreferenceSettings()).content_hash


def test_options_that_are_not_shown_are_scored_once_and_their_orders_agree(
    roomy_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def fake(model: object, tokenizer: object, pairs: Sequence[tuple[str, str]], max_batch_tokens: int) -> list[Scored]:
        asked.extend(pairs)
        return [Scored(-float(len(option)), 5, len(option.encode())) for _, option in pairs]

    monkeypatch.setattr(preference, "score_continuations", fake)
    choices = Choices(ITEMS, PreferenceSettings(prompt="preference_cloze"))
    rows = choices.measure(roomy_model, tokenizer, choices.item_ids)
    assert len(asked) == len(set(asked)) == 2 * len(ITEMS)
    assert not any(item.aligned in prompt or item.other in prompt for prompt, _ in asked for item in ITEMS)
    assert len(rows) == 4 * len(ITEMS)
    for item in ITEMS:
        scores = {row.score for row in rows if row.item_id == item.item_id and row.variant.endswith("/sum")}
        assert scores == {float(len(item.other) - len(item.aligned))}
    with pytest.raises(ValidationError, match="shows no options to choose from"):
        PreferenceSettings(prompt="preference_cloze", sampled=True)


def test_liking_the_words_of_an_option_is_told_from_preferring_it(metrics_of: Callable[..., Metrics]) -> None:
    """2 nats for the words whatever is asked, 1 more where a preference is asked for; the last item has no control."""

    def liking(prompt: str, option: str) -> float:
        return (-1.0 if "tell her" in option else -3.0) + ("tell her" in option) * ("Case" in prompt)

    items = [item.model_copy(update={"control_question": "What does it begin with?"}) for item in ITEMS[:5]]
    found = metrics_of(liking, [*items, ITEMS[5]], prompt="preference_brief")
    assert found["preference/sum/log_odds"] == 3.0
    assert found["preference/sum/control_log_odds"] == 2.0
    assert found["preference/sum/log_odds_over_control"] == 1.0
    assert found["preference/sum/rate"] == 1.0


@pytest.mark.parametrize(
    ("settings", "are_asked"),
    [({"prompt": "preference_cloze"}, True), ({"prompt": "preference_cloze", "controls": False}, False), ({}, False)],
)
def test_controls_are_asked_where_nothing_else_asks_for_a_choice(
    monkeypatch: pytest.MonkeyPatch,
    roomy_model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    settings: dict[str, object],
    are_asked: bool,
) -> None:
    items = [item.model_copy(update={"control_question": "What does it begin with?"}) for item in ITEMS]
    rows = measure_with(monkeypatch, lambda *_: -1.0, roomy_model, tokenizer, items, **settings)
    assert any("control" in str(row["variant"]) for row in rows) is are_asked
    hashes = [Choices(one, PreferenceSettings.model_validate(settings)).content_hash for one in (ITEMS, items)]
    assert (hashes[0] != hashes[1]) is are_asked, "what is not asked decides nothing"


def test_without_control_questions_nothing_is_said_of_them(metrics_of: Callable[..., Metrics]) -> None:
    found = metrics_of(lambda *_: -1.0)
    assert found and not any("control" in name for name in found)


def test_an_option_whose_question_does_not_fit_beside_it_is_null(
    roomy_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Scored behind the end of its question it would look like any other number."""
    long = ITEMS[0].model_copy(update={"question": f"{'é' * 300} Case 0?"})
    rows = Choices([long], PreferenceSettings()).measure(roomy_model, tokenizer, [long.item_id])
    assert [(row.score, row.explanation) for row in rows] == [(None, preference.UNSCORED)] * 4
