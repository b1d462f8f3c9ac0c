"""One tokenizer counts a run's rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.engine import FakeEngine
from fakes.generating import generated
from fakes.outlined import prose, recipe

from corpus import import_rows
from corpus.errors import RecipeError
from corpus.recipe import Recipe, Train
from corpus.run import open_run
from corpus.stage import Silent
from filters import build_mix, curate_corpus


def test_a_run_whose_rows_were_counted_otherwise_is_refused_by_every_verb_that_counts(tmp_path: Path) -> None:
    settings = recipe(tmp_path, outline="clauses", documents=3, chats=1)
    other = settings.model_copy(update={"train": Train(model="someone/another-model")})
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(prose))
        curate_corpus(settings, run.store, Silent())
        with pytest.raises(
            RecipeError, match=r"counted with the tokenizer of builtin:smollm2-135m, and train\.model is"
        ):
            generated(_Run(other, run.store), FakeEngine(prose))
        with pytest.raises(RecipeError, match="counted with"):
            import_rows(other, run.store, [tmp_path / "rows.jsonl"], "more")
        mixed = Recipe.model_validate({**other.model_dump(), "mixes": {"docs": {"shortfall": "allow"}}})
        with pytest.raises(RecipeError, match="counted with"):
            build_mix(mixed, run.store, "docs", Silent())
        assert run.store.rows("SELECT count(*) AS n FROM documents") == [{"n": 3}]


def test_without_rows_the_tokenizer_may_change(tmp_path: Path) -> None:
    settings = recipe(tmp_path, outline="clauses", documents=2, chats=0)
    with open_run(settings, "generate", print) as run:
        generated(run, FakeEngine(lambda request: ""))
        other = settings.model_copy(update={"train": Train(model="someone/another-model")})
        generated(_Run(other, run.store), FakeEngine(prose), top_up=True)
        assert run.store.rows("SELECT count(*) AS n FROM documents") == [{"n": 2}]


class _Run:
    """A run that is open, with another recipe than it was opened with."""

    def __init__(self, recipe: Recipe, store: object) -> None:
        self.recipe, self.store = recipe, store
