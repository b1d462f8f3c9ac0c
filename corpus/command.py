"""What the verbs of all rooms share: their arguments, and opening a run with progress on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from corpus.recipe import Recipe
    from corpus.run import Run
    from corpus.stage import Progress
    from corpus.store import Store

RecipeArgument = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe file, or a run's folder.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", metavar="KEY.PATH=VALUE", help="Override a key of the recipe; may be repeated."),
]


@contextmanager
def opened(
    verb: str,
    path: Path,
    overrides: Sequence[str] | None,
    *checks: Callable[[Recipe], object],
    fits: Callable[[Recipe, Store], None] | None = None,
) -> Iterator[tuple[Run, Progress]]:
    """Load the recipe, let the rooms check their part of it, and open its run for writing.

    `fits` looks at the recipe beside the run as it is, and may refuse it before anything of it is kept.
    """
    from corpus.console import say, show_progress
    from corpus.recipe.file import load_recipe
    from corpus.run import open_run

    recipe = load_recipe(path, overrides or ())
    for check in checks:
        check(recipe)
    beside = None if fits is None else partial(fits, recipe)
    try:
        with show_progress() as progress, open_run(recipe, verb, progress.note, beside) as run:
            yield run, progress
    except KeyboardInterrupt:
        say("interrupted; what was finished is kept: run the same command to go on")
        raise


def run_folder_of(path: Path, overrides: Sequence[str] | None = None) -> Path:
    """The folder of a recipe's run, for verbs that only read; a run folder is its own, whatever its recipe says."""
    from corpus.recipe.file import load_recipe
    from corpus.run import run_folder

    return path if path.is_dir() else run_folder(load_recipe(path, overrides or ()))
