"""The verb of the eval room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        show_table(title, _on_screen(rows))


def _on_screen(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Rows without empty columns, and without the errors, of which the intervals say as much; the report has them."""
    empty = {name for name in (rows[0] if rows else ()) if all(row[name] in (None, "") for row in rows)}
    return [{name: value for name, value in row.items() if name not in empty | {"standard_error"}} for row in rows]
