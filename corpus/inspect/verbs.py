"""The verbs that look at a run: sql, status. They take no lock and wait for nobody."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from corpus.command import Overrides, RecipeArgument, run_folder_of

app = typer.Typer()
Format = Literal["table", "csv", "json", "parquet"]


@app.command()
def sql(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE", help="A recipe file, or a run's folder.", show_default=False)
    ] = None,
    query: Annotated[str | None, typer.Argument(help="SQL, or the name of a query; left out: a shell.")] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option("-p", "--param", metavar="KEY=VALUE", help="A value for a named query; may be repeated."),
    ] = None,
    written_as: Annotated[Format | None, typer.Option("--format", help="How the answer is written.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Write the answer to this file.")] = None,
    show_list: Annotated[bool, typer.Option("--list", help="Show the named queries and what they take.")] = False,
    override: Overrides = None,
) -> None:
    """Ask the run in SQL; it works while the run is being written."""
    from corpus.console import show_table
    from corpus.errors import QueryError
    from corpus.inspect import answer_or_shell, query_table

    if show_list:
        show_table("named queries", query_table())
        return
    if recipe is None:
        raise QueryError("specmill sql needs a recipe or a run's folder; --list shows the named queries")
    answer_or_shell(run_folder_of(recipe, override), query, written_as, output, pair or ())


@app.command()
def status(recipe: RecipeArgument) -> None:
    """Where a run stands."""
    from corpus.console import show_table
    from corpus.inspect import status_tables

    for title, rows in status_tables(run_folder_of(recipe)):
        show_table(title, rows)
    sys.stdout.flush()
