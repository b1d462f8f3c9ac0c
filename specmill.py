"""The front door: one `specmill` command that mounts each room's verbs. It holds no logic of theirs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from corpus.command import Overrides, RecipeArgument, opened, run_folder_of
from corpus.inspect.verbs import app as inspect_verbs
from corpus.quiet import quiet_vllm
from corpus.verbs import app as corpus_verbs
from corpus.verbs import check_failures
from eval.verbs import app as eval_verbs
from filters.verbs import app as filters_verbs
from train.verbs import app as train_verbs

quiet_vllm()  # not in main(): vLLM's processes import this module, then vLLM

USER_ERROR = 2
Step = Literal["generate", "curate", "mix", "train", "eval", "report"]
STEPS: tuple[Step, ...] = ("generate", "curate", "mix", "train", "eval", "report")

app = typer.Typer(
    name="specmill",
    help="Turns a Model Spec into a corpus, and the corpus into a trained and measured model.\n\n"
    "Start with: specmill init, then specmill run RECIPE. Every verb does only what is not done yet.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def run(
    recipe: RecipeArgument,
    until: Annotated[Step, typer.Option("--until", help="Stop after this step.")] = "report",
    override: Overrides = None,
    update: Annotated[bool, typer.Option("--update", help="Go on although finished briefs become stale.")] = False,
) -> None:
    """Do every step that is not done yet: generate, curate, mix, train, eval, report."""
    import eval as evaluation
    import filters
    import train
    from corpus import check_mix_names, check_plan, generate_corpus, refuse_stale, rounds_left
    from corpus.console import show_result, show_table
    from corpus.inspect import funnel, write_report
    from corpus.recipe.file import load_recipe
    from corpus.run import recorded

    wanted = STEPS[: STEPS.index(until) + 1]
    loaded = load_recipe(recipe, override or ())
    generates = loaded.spec is not None  # a run of imported rows has no spec
    checks = [filters.check_settings, evaluation.check_settings]
    checks += [check_plan] if generates else []
    checks += [check_mix_names] if "mix" in wanted else []
    fits = refuse_stale if generates and not update else None
    failed_fraction = 0.0
    arms: list[dict[str, object]] = []
    shown: list[dict[str, object]] = []
    with opened("run", recipe, override, *checks, fits=fits) as (opened_run, progress):
        settings, store = opened_run.recipe, opened_run.store
        if generates:
            with recorded(opened_run, "generate"):
                failed_fraction = generate_corpus(settings, store, progress).failed_fraction
        if "curate" in wanted:
            filters.curate_corpus(settings, store, progress)
            for _ in range(rounds_left(store, settings.generate.rounds) if generates else 0):
                with recorded(opened_run, "generate"):
                    num_new_seats = generate_corpus(settings, store, progress, top_up=True).num_new_seats
                if not num_new_seats:
                    break
                filters.curate_corpus(settings, store, progress)
        if "mix" in wanted:
            for name in settings.every_mix():
                filters.build_mix(settings, store, name, progress)
        if "train" in wanted:
            train.train_chains(settings, store, None, progress)
        if "eval" in wanted:
            evaluated = evaluation.evaluate_arms(settings, store, None, progress)
            arms, shown = evaluated.rows(), evaluated.headline()
    show_table("funnel", funnel(store.root))
    show_table("arms: value [95 % interval]", shown)
    if "report" in wanted:
        show_result(f"report: {write_report(store.root, arms)}")
    check_failures(failed_fraction, settings.generate.max_failed_fraction)


@app.command()
def plan(recipe: RecipeArgument, override: Overrides = None) -> None:
    """Show what would be written, trained and measured, with tokens and time. Writes nothing."""
    import eval as evaluation
    import filters
    import train
    from corpus import preview_run, unknown_rows
    from corpus.console import show_table
    from corpus.recipe.file import load_recipe

    loaded = load_recipe(recipe, override or ())
    filters.check_settings(loaded)
    evaluation.check_settings(loaded)
    if loaded.spec is not None or not loaded.arms:  # without a spec nothing is written, but arms may be measured
        for title, rows in preview_run(loaded).tables():
            show_table(title, rows)
    show_table("mixes name what no row will be of, unless it is imported", unknown_rows(loaded))
    show_table("training (estimated)", train.preview_rows(loaded))
    for title, rows in evaluation.preview_tables(loaded):
        show_table(title, rows)


@app.command()
def report(
    recipe: RecipeArgument,
    beside: Annotated[
        Path | None, typer.Option("--beside", metavar="OTHER", help="A recipe or run to set beside this one.")
    ] = None,
    override: Overrides = None,
) -> None:
    """Write one self-contained HTML file about the run."""
    from corpus.console import show_result
    from corpus.inspect import write_report
    from corpus.store import open_reader
    from eval import arms_rows

    folder = run_folder_of(recipe, override)
    other = run_folder_of(beside) if beside else None
    others = (other, arms_rows(open_reader(other))) if other else None
    show_result(f"report: {write_report(folder, arms_rows(open_reader(folder)), others)}")


@app.command()
def doctor() -> None:
    """Say whether this machine can do what the verbs need, and what to install if not."""
    from corpus.console import show_table
    from corpus.doctor import examine

    checks = examine()
    show_table("this machine", checks)
    if any(check["state"] == "missing" for check in checks):
        raise typer.Exit(USER_ERROR)


for verbs in (corpus_verbs, filters_verbs, train_verbs, eval_verbs, inspect_verbs):
    app.registered_commands += verbs.registered_commands


def main() -> None:
    """Run the command; a user's error is one message and exit 2, a bug a traceback (Typer makes Ctrl+C exit 130)."""
    from corpus.errors import SpecmillError
    from corpus.inspect.visible import visible
    from corpus.privacy import no_telemetry

    no_telemetry()
    try:
        app()
    except SpecmillError as error:
        sys.stderr.write(f"specmill: {visible(str(error))}\n")
        sys.exit(USER_ERROR)


if __name__ == "__main__":
    main()
