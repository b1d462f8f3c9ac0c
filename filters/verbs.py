"""The verbs of the filters room: curate, mix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpus.command import Overrides, RecipeArgument, opened

if TYPE_CHECKING:
    from filters.thresholds import WhatIfReport

app = typer.Typer()


@app.command()
def curate(
    recipe: RecipeArgument,
    override: Overrides = None,
    train_classifier: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only train and measure this classifier of the recipe.")
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(metavar="FILTER.SETTING=VALUE", help="Show what another threshold would change; may be repeated."),
    ] = None,
) -> None:
    """Score every document and chat, judge them, and find their duplicates. Nothing is deleted."""
    import filters
    from corpus.console import show_table
    from corpus.errors import RecipeError

    if what_if:
        if train_classifier is not None:
            raise RecipeError("--what-if writes nothing and --train-classifier does; give one of them")
        tables = _what_if(recipe, override, what_if).tables()
    else:
        with opened("curate", recipe, override, filters.check_settings) as (run, progress):
            tables = (
                filters.curate_corpus(run.recipe, run.store, progress)
                if train_classifier is None
                else filters.train_classifier(run.recipe, run.store, train_classifier, progress)
            ).tables()
    for title, rows in tables:
        show_table(title, rows)


def _what_if(recipe: Path, override: list[str] | None, changes: list[str]) -> WhatIfReport:
    """Without a lock: another process may write the run meanwhile."""
    from corpus.recipe.file import load_recipe
    from corpus.run import run_folder
    from corpus.store import open_reader
    from filters import what_if

    loaded = load_recipe(recipe, override or ())
    return what_if(loaded, open_reader(run_folder(loaded)), changes)


@app.command()
def mix(
    recipe: RecipeArgument,
    name: Annotated[str | None, typer.Argument(help="The mix; left out: every mix of the recipe.")] = None,
    override: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show target against actual; write nothing.")] = False,
) -> None:
    """Sample the curated rows to the target mix and write train-ready shards; first show target against actual."""
    from corpus.console import say, show_table
    from corpus.recipe.file import load_recipe
    from corpus.run import run_folder
    from corpus.store import open_reader
    from filters import build_mix, check_settings, plan_mix

    loaded = load_recipe(recipe, override or ())
    names = [name] if name else list(loaded.every_mix())
    if dry_run or run_folder(loaded).is_dir():
        # Without the writer's lock, and before its panel takes the screen.
        store = open_reader(run_folder(loaded))
        for plan in (plan_mix(loaded, store, each) for each in names):
            for title, rows in plan.tables():
                show_table(title, rows)
            for note in plan.notes:
                say(note)
    if dry_run:
        return
    with opened("mix", recipe, override, check_settings) as (run, progress):
        reports = [build_mix(run.recipe, run.store, each, progress) for each in names]
    for report in reports:
        for title, rows in report.tables():
            show_table(title, rows)
