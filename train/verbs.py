"""The verb of the train room."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from corpus.command import Overrides, RecipeArgument, opened
from corpus.errors import RecipeError

app = typer.Typer()
_UNITS = {"s": 1, "m": 60, "h": 3600}


def read_seconds(text: str) -> float:
    """A time such as 90s, 9m or 1.5h in seconds.

    Raises:
        RecipeError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not found:
        raise RecipeError(f"--stop-after {text!r} is no time; give one such as 90s, 9m or 1.5h")
    return float(found[1]) * _UNITS[found[2]]


@app.command()
def train(
    recipe: RecipeArgument,
    arm: Annotated[list[str] | None, typer.Option("--arm", help="Only this arm; may be repeated.")] = None,
    stop_after: Annotated[
        str | None,
        typer.Option(help="Save and stop after this time (90s, 9m, 1.5h) of training; the same command goes on."),
    ] = None,
    override: Overrides = None,
) -> None:
    """Train the chains that the arms need, each shared beginning once."""
    from corpus.console import show_table
    from train import train_chains

    seconds = None if stop_after is None else read_seconds(stop_after)
    with opened("train", recipe, override) as (run, progress):
        report = train_chains(run.recipe, run.store, arm, progress, stop_after_seconds=seconds)
    for title, rows in report.tables():
        show_table(title, rows)
