"""Which settings are thresholds, for every filter there is; and what curation rests on."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from corpus.errors import DataError
from corpus.recipe import Spec
from filters import build_mix, curate_corpus, what_if
from filters.curate import check_curated
from filters.registry import FILTERS, SETTINGS

QUESTION = '{"question": "How many herrings does the ferry carry to the island on a quiet morning in May?"}'
OTHER_QUESTION = '{"question": "Another question altogether, as long as the one before it was, about the tide?"}'


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_says_what_its_scores_depend_on_without_being_made(name: str) -> None:
    given = {"classifier": {"positives": "SELECT 1", "negatives": "SELECT 2"}, "judge": {"engine": "critic"}}
    settings: BaseModel = SETTINGS[name].model_validate(given.get(name, {}))
    assert FILTERS[name].scored_settings(settings) == FILTERS[name].scored_settings(settings.model_copy())
    for setting in FILTERS[name].thresholds or {}:
        assert setting in SETTINGS[name].model_fields
        moved = settings.model_copy(update={setting: 0.123})
        assert FILTERS[name].scored_settings(moved) == FILTERS[name].scored_settings(settings)


def contamination(file: Path) -> dict[str, object]:
    return {"contamination": {"files": [{"path": str(file), "question": "question"}]}}


def test_what_if_moves_the_lines_of_filters_that_hold_texts_against_something(run, make_prose, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(QUESTION)
    run.add_documents({f"d{n}": make_prose(n) for n in range(6)})
    recipe = run.recipe(
        curate={"filters": ["length", "identity", "spec_copying", "recurring", contamination(items)]}
    )  # fmt: skip
    curate_corpus(recipe, run.store, run.progress)
    changes = ["identity.max_mentions=0", "recurring.max_patterns=5", "contamination.max_question_ngrams=3"]
    report = what_if(recipe, run.store, changes)
    assert report.now["documents"].ids == report.then["documents"].ids


def test_curation_is_out_of_date_when_a_name_or_a_file_it_rests_on_changes(run, make_prose, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(QUESTION)
    run.add_documents({f"d{n}": make_prose(n) for n in range(3)})
    recipe = run.recipe(curate={"filters": ["identity", contamination(items)]})
    curate_corpus(recipe, run.store, run.progress)
    check_curated(recipe, run.store, "documents")
    (tmp_path / "spec.md").write_text("- Be fair.")
    spec = Spec(path=tmp_path / "spec.md", model_name="Another")
    with pytest.raises(DataError, match="with other settings"):
        check_curated(recipe.model_copy(update={"spec": spec}), run.store, "documents")
    items.write_text(OTHER_QUESTION)
    with pytest.raises(DataError, match="with other settings"):
        check_curated(recipe, run.store, "documents")


def test_a_copy_of_a_held_out_document_is_held_out_with_it_also_where_duplicates_stay(run, make_prose) -> None:
    texts = {f"d{n}": make_prose(n) for n in range(30)}
    run.add_documents(texts)
    run.add_documents({f"copy of {name}": text for name, text in texts.items()})
    recipe = run.recipe(curate={"filters": ["length"], "duplicates": None}, mixes={"docs": {"shortfall": "allow"}})
    curate_corpus(recipe, run.store, run.progress)
    report = build_mix(recipe, run.store, "docs", run.progress)
    mixed = {str(row).removeprefix("copy of ") for row in run.column("SELECT doc_id FROM mixes")}
    held = set(texts) - mixed
    assert held
    assert report.plan.num_held_out == 2 * len(held)


def test_a_mix_that_the_recipe_drops_goes_with_the_next_mix_that_is_built(run, make_prose) -> None:
    run.add_documents({f"d{n}": make_prose(n) for n in range(9)})
    both = run.recipe(mixes={"one": {"shortfall": "allow"}, "two": {"shortfall": "allow"}})
    curate_corpus(both, run.store, run.progress)
    for name in ("one", "two"):
        build_mix(both, run.store, name, run.progress)
    build_mix(run.recipe(mixes={"one": {"shortfall": "allow"}}), run.store, "one", run.progress)
    assert run.column("SELECT DISTINCT mix FROM mixes") == ["one"]
    assert run.column("SELECT DISTINCT mix FROM mix_parts") == ["one"]
