"""The verb of the train room."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.command import Overrides, RecipeArgument, opened

app = typer.Typer()


@app.command()
def train(
    recipe: RecipeArgument,
    arm: Annotated[list[str] | None, typer.Option("--arm", help="Only this arm; may be repeated.")] = None,
    override: Overrides = None,
) -> None:
    """Train the chains that the arms need, each shared beginning once."""
    from corpus.console import show_table
    from train import train_chains

    with opened("train", recipe, override) as (run, progress):
        report = train_chains(run.recipe, run.store, arm, progress)
    for title, rows in report.tables():
        show_table(title, rows)
