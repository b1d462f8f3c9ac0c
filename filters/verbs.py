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
