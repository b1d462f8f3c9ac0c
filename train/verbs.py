"""The verbs of the train room."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from corpus.command import Overrides, RecipeArgument, opened, run_folder_of
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
    """Train the chains that the arms need, each shared beginning once.

    On several GPUs: accelerate launch --config_file examples/accelerate/ddp.yaml -m specmill train RECIPE
    """
    from corpus.console import show_table
    from train import follow_chains, train_chains

    seconds = None if stop_after is None else read_seconds(stop_after)
    if os.environ.get("RANK", "0") != "0":  # set by every launcher; the first process writes the run
        from corpus.recipe.file import load_recipe
        from corpus.run import run_folder

        loaded = load_recipe(recipe, override or ())
        return follow_chains(loaded, run_folder(loaded), arm, stop_after_seconds=seconds)
    with opened("train", recipe, override) as (run, progress):
        report = train_chains(run.recipe, run.store, arm, progress, stop_after_seconds=seconds)
    for title, rows in report.tables():
        show_table(title, rows)
    return None


@app.command()
def export(
    recipe: RecipeArgument,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="The arm whose model is wanted.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that is not there yet.")],
    seed: Annotated[int | None, typer.Option(help="Training seed; the recipe's first by default.")] = None,
    override: Overrides = None,
) -> None:
    """Write an arm's model as one folder, its adapter merged into the base model in fp32.

    transformers and vLLM load it as it is. How far its next-token distributions are from those of base and adapter
    apart is measured and shown.
    """
    from corpus.console import show_table
    from corpus.recipe.file import load_recipe
    from train import export_merged

    loaded = load_recipe(recipe, override or ())
    chosen = loaded.train.seeds[0] if seed is None else seed
    show_table("merged", [export_merged(loaded, run_folder_of(recipe, override), arm, chosen, folder)])
