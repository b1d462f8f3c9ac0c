"""The verb of the eval room."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.command import Overrides, RecipeArgument, opened

app = typer.Typer()


@app.command("eval")
def evaluate(
    recipe: RecipeArgument,
    arm: Annotated[list[str] | None, typer.Option("--arm", help="Only this arm; may be repeated.")] = None,
    override: Overrides = None,
) -> None:
    """Measure every arm with every task, and compare them with error bars."""
    from corpus.console import show_table
    from eval import check_settings, evaluate_arms

    with opened("eval", recipe, override, check_settings) as (run, progress):
        report = evaluate_arms(run.recipe, run.store, arm, progress)
    for title, rows in report.tables():
        # Of the error the interval says as much; the report and SQL have it.
        shown = [
            name
            for name in (rows[0] if rows else ())
            if name != "standard_error" and any(row[name] not in (None, "") for row in rows)
        ]
        show_table(title, [{name: row[name] for name in shown} for row in rows])
