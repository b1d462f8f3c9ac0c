"""The verbs of the filters room: curate, mix."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.command import Overrides, RecipeArgument, opened

app = typer.Typer()


@app.command()
def curate(recipe: RecipeArgument, override: Overrides = None) -> None:
    """Score every document and chat, judge them, and find their duplicates. Nothing is deleted."""
    from corpus.console import show_table
    from filters import check_settings, curate_corpus

    with opened("curate", recipe, override, check_settings) as (run, progress):
        report = curate_corpus(run.recipe, run.store, progress)
    for title, rows in report.tables():
        show_table(title, rows)


@app.command()
def mix(
    recipe: RecipeArgument,
    name: Annotated[str | None, typer.Argument(help="The mix; left out: every mix of the recipe.")] = None,
    override: Overrides = None,
) -> None:
    """Sample the curated rows to the target mix and write train-ready shards."""
    from corpus.console import show_table
    from filters import build_mix, check_settings

    with opened("mix", recipe, override, check_settings) as (run, progress):
        reports = [build_mix(run.recipe, run.store, each, progress) for each in ([name] if name else run.recipe.mixes)]
    for report in reports:
        for title, rows in report.tables():
            show_table(title, rows)
