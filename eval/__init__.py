"""Evaluation: what training changed, measured on every arm with the same items, with error bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpus.recipe import Recipe
    from corpus.stage import Progress
    from corpus.store import Store, WritingStore
    from eval.evaluate import EvalReport
    from eval.statistics.arms import ArmRow

__all__ = ["arms_rows", "arms_table", "check_settings", "evaluate_arms", "preview_tables"]


def check_settings(recipe: Recipe) -> None:
    """Check the tasks of a recipe and their settings.

    Raises:
        RecipeError: an unknown task, setting or metric, with the nearest name; a wrong value; a task twice; a judge or
            a number of samples that no task would use.
        ItemError: a file of items that cannot be read: told before anything is trained.
    """
    from eval.statistics.contrasts import check_contrasts
    from eval.tasks import check_items, check_judge, make_tasks

    tasks = make_tasks(recipe)
    check_judge(recipe, tasks)
    check_contrasts(recipe, tasks)
    if recipe.arms:
        check_items(recipe, tasks)


def preview_tables(recipe: Recipe) -> list[tuple[str, list[dict[str, object]]]]:
    """What evaluating would measure, a row a task, and what was declared: titled tables. Writes nothing.

    Raises:
        RecipeError, ItemError: as when it is run.
    """
    from eval.preview import contrast_rows, eval_rows, preview_eval

    if not recipe.arms:
        return []
    measured = eval_rows(recipe, preview_eval(recipe))
    return [("evaluation", measured), ("contrasts declared, corrected together (Holm)", contrast_rows(recipe))]


def evaluate_arms(recipe: Recipe, store: WritingStore, arms: Sequence[str] | None, progress: Progress) -> EvalReport:
    """Measure what is missing of `arms` (None: all) x training seeds x tasks, and compare all arms.

    Killed at any instant, calling it again measures only what was not written. Rows of an arm that was trained
    anew, and of settings, items or prompts that changed, are no longer current.

    Raises:
        RecipeError: no arms, an unknown arm, task or setting.
        SetupError: an arm is not trained as the recipe says (the message says why, and names the command), or the
            base model is not there.
    """
    from eval.evaluate import evaluate_missing
    from eval.serving import serve_arm
    from train.scoring import load_for_scoring, uses_plain_template

    if recipe.arms and uses_plain_template(recipe.train):
        progress.note(f"asks in Specmill's plain template: {recipe.train.model} has no chat template of its own")
    return evaluate_missing(recipe, store, arms, progress, load_for_scoring, serve_arm)


def arms_table(store: Store) -> list[ArmRow]:
    """Every metric of every evaluated arm with its error, and its paired differences from other arms.

    These are the base model, and the same chain without its first stage.

    Raises:
        RecipeError: the run's recipe cannot be read.
    """
    from corpus.recipe.file import load_recipe
    from eval.statistics.arms import arms_table as make

    return make(store, load_recipe(store.root))


def arms_rows(store: Store) -> list[dict[str, object]]:
    """`arms_table` as the report shows it: one dictionary a row, sorted by metric.

    None where a file of the run does not read back: the report names it, and shows what is left.
    """
    from corpus.errors import CorruptFileError
    from eval.statistics.arms import tables

    try:
        return [row for _, rows in tables(arms_table(store)) for row in rows]
    except CorruptFileError:
        return []
