"""Bookkeeping: nothing is measured twice, nothing old is shown, and what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from corpus.errors import RecipeError, SetupError
from corpus.recipe import EngineSettings, Eval, Recipe
from corpus.stage import Silent
from corpus.store import WritingStore
from eval import check_settings, evaluate
from eval.evaluate import EvalReport, evaluate_missing
from eval.tasks import perplexity, preference
from eval.tasks.items import ControlItem, ItemError, PreferenceItem
from tests.train.tiny import write_shards
from train.checkpoint import MANIFEST
from train.model import precision_of
from train.runs import stage_runs

Add = Callable[..., None]
NUM_CHOICES, NUM_CONTROL = 5, 3


@pytest.fixture(autouse=True)
def few_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of two, of a few items."""
    choices = [
        PreferenceItem(item_id=f"choice-{n}", cluster=f"c{n % 2}", question="Q?", aligned=f"I tell {n}.", other="I do.")
        for n in range(NUM_CHOICES)
    ]
    control = [ControlItem(item_id=f"text-{n}", cluster=f"c{n}", text=f"Bees {n}.") for n in range(NUM_CONTROL)]
    monkeypatch.setattr(preference, "load_preference", lambda path=None: choices)
    monkeypatch.setattr(perplexity, "load_control", lambda: control)
    monkeypatch.setattr(evaluate, "CHUNK_ITEMS", 2)


class Loads:
    """Loads the tiny model, and remembers for which checkpoints."""

    def __init__(self, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
        self.loaded = model, tokenizer
        self.checkpoints: list[str | None] = []

    def __call__(self, recipe: Recipe, checkpoint: Path | None) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
        self.checkpoints.append(None if checkpoint is None else checkpoint.parent.name)
        return self.loaded


@pytest.fixture
def loads(roomy_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Loads:
    return Loads(roomy_model, tokenizer)


def train(recipe: Recipe, store: WritingStore, add_rows: Add, data: str) -> None:
    """What the train room leaves behind when it has trained on `data`."""
    write_shards(store.root, "docs", [{"doc_id": data, "text": data}])
    (one,) = stage_runs(recipe, store.root, [("midtrain",)])
    one.folder.mkdir(parents=True, exist_ok=True)
    manifest = {
        "stage_hash": one.stage_hash,
        "settings": one.settings.model_dump(mode="json"),
        "lora": recipe.train.lora and recipe.train.lora.model_dump(mode="json"),
        "precision": precision_of(recipe.train),
        "base_hash": one.base_hash,
        "data_hash": one.mix.data_hash,
        "files": {},
    }
    (one.folder / MANIFEST).write_text(json.dumps(manifest))
    add_rows("stages", {"chain": one.chain, "seed": one.seed, "stage": one.stage, "stage_hash": one.stage_hash})


def nothing_is_served(recipe: Recipe, one: object, folder: Path) -> EngineSettings:
    raise AssertionError("no task of these samples")


def run(recipe: Recipe, store: WritingStore, loads: Loads, arms: Sequence[str] | None = None) -> EvalReport:
    return evaluate_missing(recipe, store, arms, Silent(), loads, nothing_is_served)


def num_rows(store: WritingStore, view: str = "evals") -> dict[str, int]:
    rows = store.rows(
        f"SELECT arm, count(*) AS n, count(DISTINCT eval_id) AS ids FROM {view} GROUP BY arm ORDER BY arm"
    )
    assert all(row["n"] == row["ids"] for row in rows), "an eval_id stands twice"
    return {str(row["arm"]): int(str(row["n"])) for row in rows}


ROWS_PER_ARM = 4 * NUM_CHOICES + NUM_CONTROL


def test_every_arm_is_measured_once_and_a_second_run_does_nothing(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads
) -> None:
    train(recipe, store, add_rows, "one")
    first = run(recipe, store, loads)
    assert num_rows(store) == {"base": ROWS_PER_ARM, "midtrain": ROWS_PER_ARM}
    assert loads.checkpoints == [None, "midtrain"]
    second = run(recipe, store, loads)
    assert loads.checkpoints == [None, "midtrain"], "a model was loaded although nothing was missing"
    assert [stage.num_missing for stage in second.stages] == [0, 0]
    assert second.rows() == first.rows()


def test_a_killed_run_goes_on_with_what_was_not_written(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe, store, add_rows, "one")
    whole, calls = preference.Choices.measure, 0

    def dies(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(preference.Choices, "measure", dies)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, store, loads)
    assert num_rows(store) == {"base": NUM_CONTROL + 2 * 2 * 4}
    run(recipe, store, loads)
    assert num_rows(store, "all_evals") == {"base": ROWS_PER_ARM, "midtrain": ROWS_PER_ARM}
    assert calls == 3 + 1 + 3


def test_the_same_model_in_two_arms_gives_a_difference_of_zero_that_is_flagged(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads
) -> None:
    train(recipe, store, add_rows, "one")
    differences = [row for row in run(recipe, store, loads).arms if row.against == "base"]
    assert {row.metric for row in differences} >= {"bits_per_byte/control", "preference/sum/rate"}
    for row in differences:
        assert (row.estimate.value, row.estimate.low, row.estimate.degenerate) == (0.0, 0.0, True)
        assert "between-seed variance not measured" in row.note


@pytest.mark.parametrize("task", [{"preference": {"batch_tokens": 64}}, {"perplexity": {"max_window_tokens": 32}}])
def test_a_changed_setting_makes_that_task_stale_and_no_other(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads, task: dict[str, dict[str, object]]
) -> None:
    train(recipe, store, add_rows, "one")
    run(recipe, store, loads)
    before = store.current("evals")
    (name,) = task
    other = "perplexity" if name == "preference" else "preference"
    run(recipe.model_copy(update={"eval": Eval(tasks=[other, task])}), store, loads)
    changed = {scope for scope, value in store.current("evals").items() if before[scope] != value}
    assert changed == {f"base/untrained/{name}", f"midtrain/seed-0/{name}"}
    assert num_rows(store) == {"base": ROWS_PER_ARM, "midtrain": ROWS_PER_ARM}
    assert num_rows(store, "all_evals")["base"] > ROWS_PER_ARM


def test_what_another_machine_measured_in_other_arithmetic_is_not_taken_for_this_ones(
    recipe: Recipe, store: WritingStore, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = recipe.model_copy(update={"train": recipe.train.model_copy(update={"precision": "auto"})})
    for multiplies_bf16 in (True, False):
        monkeypatch.setattr("train.model.cpu_multiplies_bf16", lambda answer=multiplies_bf16: answer)
        run(auto, store, loads, ["base"])
    assert loads.checkpoints == [None, None]
    assert (num_rows(store), num_rows(store, "all_evals")) == ({"base": ROWS_PER_ARM}, {"base": 2 * ROWS_PER_ARM})


def test_an_arm_that_was_trained_anew_is_measured_anew_and_alone(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads
) -> None:
    train(recipe, store, add_rows, "one")
    run(recipe, store, loads)
    train(recipe, store, add_rows, "two")
    run(recipe, store, loads)
    assert loads.checkpoints == [None, "midtrain", "midtrain"]
    assert num_rows(store) == {"base": ROWS_PER_ARM, "midtrain": ROWS_PER_ARM}
    assert num_rows(store, "all_evals")["midtrain"] == 2 * ROWS_PER_ARM


def test_asking_for_one_arm_hides_rows_of_others_that_no_longer_hold(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads
) -> None:
    train(recipe, store, add_rows, "one")
    run(recipe, store, loads)
    run(recipe, store, loads, ["base"])
    assert num_rows(store) == {"base": ROWS_PER_ARM, "midtrain": ROWS_PER_ARM}, "rows that hold were hidden"
    train(recipe, store, add_rows, "two")
    run(recipe, store, loads, ["base"])
    assert num_rows(store) == {"base": ROWS_PER_ARM}


def test_an_arm_without_a_checkpoint_is_refused_with_the_command(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads
) -> None:
    with pytest.raises(SetupError, match=r"midtrain \(seed 0\); run: specmill train RECIPE --arm midtrain"):
        run(recipe, store, loads)
    assert num_rows(store, "all_evals") == {}
    run(recipe, store, loads, ["base"])
    assert num_rows(store) == {"base": ROWS_PER_ARM}


def changed(recipe: Recipe, **stage: object) -> Recipe:
    """The recipe with other settings of its stage."""
    stages = {name: settings.model_copy(update=stage) for name, settings in recipe.train.stages.items()}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"stages": stages})})


def test_a_checkpoint_of_other_settings_is_not_measured_as_if_it_were_the_recipes(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads
) -> None:
    train(recipe, store, add_rows, "one")
    other = changed(recipe, learning_rate=0.5)
    with pytest.raises(
        SetupError, match=r"train RECIPE --arm midtrain .*\n.*stages.midtrain.learning_rate was 0.0001, is 0.5$"
    ):
        run(other, store, loads, ["midtrain"])
    lora = recipe.model_copy(update={"train": recipe.train.model_copy(update={"lora": None, "precision": "bf16"})})
    with pytest.raises(SetupError, match=r"train.lora was .*'rank': 64.*, is None, train.precision was fp32, is bf16$"):
        run(lora, store, loads, ["midtrain"])
    train(other, store, add_rows, "one")
    with pytest.raises(SetupError, match=r"learning_rate was 0.5, is 0.0001$"):
        run(recipe, store, loads, ["midtrain"])
    assert num_rows(store, "all_evals") == {}
    run(other, store, loads, ["midtrain"])
    run(changed(other, checkpoint_updates=7), store, loads, ["midtrain"])
    assert num_rows(store) == {"midtrain": ROWS_PER_ARM}
    assert loads.checkpoints == ["midtrain"]


def test_a_checkpoint_of_other_data_or_without_its_row_is_not_measured(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads
) -> None:
    train(recipe, store, add_rows, "one")
    write_shards(store.root, "docs", [{"doc_id": "two", "text": "two"}])
    with pytest.raises(SetupError, match=r"the mix docs held other rows$"):
        run(recipe, store, loads)
    train(recipe, store, lambda *_: None, "three")
    with pytest.raises(SetupError, match=r"is not in the table stages$"):
        run(recipe, store, loads)


def test_documents_that_another_seed_would_hold_out_are_not_measured_as_unseen(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads
) -> None:
    train(recipe, store, add_rows, "one")
    with pytest.raises(
        SetupError, match=r"--arm midtrain .*\n.*measures as unseen: it was made with seed 17 \(the recipe's: 18\)"
    ):
        run(recipe.model_copy(update={"seed": 18}), store, loads, ["midtrain"])


def test_what_was_trained_with_auto_on_another_machine_is_measured_here(
    recipe: Recipe, store: WritingStore, add_rows: Add, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = recipe.model_copy(update={"train": recipe.train.model_copy(update={"precision": "auto"})})
    monkeypatch.setattr("train.model.cpu_multiplies_bf16", lambda: True)
    train(auto, store, add_rows, "one")
    monkeypatch.setattr("train.model.cpu_multiplies_bf16", lambda: False)
    run(auto, store, loads)
    assert loads.checkpoints == [None, "midtrain"]


def test_a_recipe_without_arms_measures_nothing(recipe: Recipe, store: WritingStore, loads: Loads) -> None:
    report = run(recipe.model_copy(update={"arms": {}}), store, loads)
    assert (report.stages, report.arms, loads.checkpoints) == ((), (), [])


def test_a_file_of_items_is_read_before_anything_is_trained(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"item_id": "a"}\n')
    for kind in ("capability", "spec_qa"):
        measured = Eval.model_validate({"tasks": [{kind: {"items_file": str(path)}}]})
        with pytest.raises(ItemError, match=rf"eval.tasks: {kind}: .*mine\.jsonl, line 1, field cluster: is missing"):
            check_settings(recipe.model_copy(update={"eval": measured}))
        check_settings(recipe.model_copy(update={"eval": measured, "arms": {}}))  # nothing would be measured


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (["perplexty"], "there is no kind of task 'perplexty'; did you mean 'perplexity'"),
        ([{"preference": {"batch_token": 3}}], "unknown key 'batch_token'; did you mean 'batch_tokens'"),
        ([{"perplexity": {"max_documents": -1}}], "max_documents"),
        (["preference", {"preference": None}], "twice"),
    ],
)
def test_a_wrong_task_is_refused_by_name(recipe: Recipe, tasks: list[object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_settings(recipe.model_copy(update={"eval": Eval.model_validate({"tasks": tasks})}))


def test_an_unknown_arm_is_refused_with_the_nearest(recipe: Recipe, store: WritingStore, loads: Loads) -> None:
    with pytest.raises(RecipeError, match="did you mean 'midtrain'"):
        run(recipe, store, loads, ["midtrian"])
