"""The verbs that write a corpus, and the one that leads back from a row: init, generate, import, trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.command import Overrides, RecipeArgument, opened, run_folder_of

app = typer.Typer()
TOO_MANY_FAILED = 3


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Where to write them.")] = Path()) -> None:
    """Write a recipe and a small spec to start from."""
    from corpus import write_starter
    from corpus.console import show_result

    recipe = write_starter(folder)
    show_result(f"wrote {recipe} and {recipe.with_name('spec.md')}; next: specmill run {recipe}")


@app.command()
def generate(
    recipe: RecipeArgument,
    override: Overrides = None,
    top_up: Annotated[bool, typer.Option("--top-up", help="Give failed briefs as many attempts again.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Go on although finished briefs become stale.")] = False,
    refresh_context: Annotated[
        bool, typer.Option("--refresh-context", help="Redo what was written beside other examples.")
    ] = False,
) -> None:
    """Read the spec into clauses, make the briefs, write the documents and the chats."""
    from corpus import check_plan, generate_corpus, refuse_stale
    from corpus.console import show_table

    fits = None if update else refuse_stale
    with opened("generate", recipe, override, check_plan, fits=fits) as (run, progress):
        report = generate_corpus(run.recipe, run.store, progress, top_up=top_up, refresh_context=refresh_context)
    for title, rows in report.tables():
        show_table(title, rows)
    check_failures(report.failed_fraction, run.recipe.generate.max_failed_fraction)


def check_failures(failed_fraction: float, max_failed_fraction: float) -> None:
    """Exit 3 where more failed than the recipe allows."""
    from corpus.console import say

    if failed_fraction > max_failed_fraction:
        say(
            f"{failed_fraction:.0%} of the briefs failed; generate.max_failed_fraction allows "
            f"{max_failed_fraction:.0%}. See why: specmill sql RECIPE failures"
        )
        raise typer.Exit(TOO_MANY_FAILED)


@app.command("import")
def import_files(
    recipe: RecipeArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Parquet or JSONL files, also .gz or .zst.")],
    set_name: Annotated[str, typer.Option("--as", metavar="SET", help="The set the rows belong to.")] = "imported",
    override: Overrides = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Keep rows that cannot be used apart.")] = False,
) -> None:
    """Bring in documents (`text`) or chats (`messages`, ShareGPT, prompt and response, ...) from Parquet or JSONL."""
    from corpus import import_rows
    from corpus.console import show_table

    with opened("import", recipe, override) as (run, _):
        report = import_rows(run.recipe, run.store, files, set_name, skip_bad=skip_bad)
    for title, rows in report.tables():
        show_table(title, rows)


@app.command()
def trace(
    recipe: RecipeArgument,
    row_id: Annotated[str, typer.Argument(metavar="ID", help="Any row's id, or its first hex digits.")],
    prompt: Annotated[bool, typer.Option("--prompt", help="Show the messages that were sent for it.")] = False,
) -> None:
    """Lead from a row back to its brief, calls, clauses, scores, verdicts and cluster."""
    from corpus import sent_prompts
    from corpus.inspect import show_messages, show_trace

    folder = run_folder_of(recipe)
    if prompt:
        show_messages(sent_prompts(folder, row_id))
    else:
        show_trace(folder, row_id)
