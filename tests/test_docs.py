"""The docs name only what is there, and all of it.

docs/reference.md is made from the code: `SPECMILL_WRITE_DOCS=1 make test` writes it anew.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

import specmill
from corpus.inspect.named import named_queries
from corpus.recipe import Recipe
from corpus.recipe.file import _section_in, load_recipe
from corpus.store.schema import TABLES
from eval.tasks import SETTINGS as TASKS
from filters.registry import SETTINGS as FILTERS
from filters.registry import TURNS

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference.md"
PROSE = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
RECIPES = [path for path in EXAMPLES if path.parent.name != "accelerate"]
DESIGN_VERBS = {"init", "run", "plan", "generate", "import", "curate", "mix", "train", "eval", "sql", "trace", "report",
                "status", "doctor", "export"}  # fmt: skip


def verbs() -> dict[str, str]:
    commands = typer.main.get_command(specmill.app).commands
    return {name: command.help or "" for name, command in commands.items()}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Every key of the recipe: its path, its default, what it is."""
    for name, field in model.model_fields.items():
        inner = _section_in(field.annotation)
        named = "dict" in str(field.annotation)
        path = f"{prefix}{name}"
        if inner is not None:
            yield path, "", field.description or ""
            yield from keys(inner, f"{path}.NAME." if named else f"{path}.")
        else:
            default = "(required)" if field.is_required() else f"`{field.get_default(call_default_factory=True)}`"
            yield path, default, field.description or ""


def reference() -> str:
    lines = ["# Reference", "", "Made from the code by `tests/test_docs.py`; do not edit.", "", "## Verbs", ""]
    lines += ["| verb | does |", "| --- | --- |"]
    lines += [f"| `specmill {name}` | {' '.join(text.split())} |" for name, text in sorted(verbs().items())]
    lines += ["", "## The recipe", "", "| key | default | what it is |", "| --- | --- | --- |"]
    lines += [f"| `{path}` | {default} | {' '.join(text.split())} |" for path, default, text in keys(Recipe)]
    lines += [
        "",
        "## Filters",
        "",
        "Named in `curate.filters`, alone or with settings: `[leaks, length: {min_words: 50}]`. Whatever the order",
        "there, they go in this one; the last two see only what every filter before them keeps.",
    ]
    for name in chain.from_iterable(TURNS):
        lines += settings(name, FILTERS[name])
    lines += ["", "## Tasks", "", "Named in `eval.tasks`, alone or with settings, in the same form."]
    for name, section in TASKS.items():
        lines += settings(name, section)
    lines += [
        "",
        "## Tables",
        "",
        "Each `TABLE` shows the rows of the current recipe; `all_TABLE` shows every row, with `stale`.",
        "",
    ]
    lines += ["| table | written by | columns |", "| --- | --- | --- |"]
    lines += [
        f"| `{name}` | {', '.join(table.writers)} | {', '.join(f'`{column}`' for column, _ in table.columns)} |"
        for name, table in TABLES.items()
    ]
    lines += ["", "## Named queries", "", "| `specmill sql RECIPE NAME` | answers |", "| --- | --- |"]
    lines += [f"| `{name}` | {query.answers} |" for name, query in sorted(named_queries().items())]
    return "\n".join(lines) + "\n"


def settings(name: str, section: type[BaseModel]) -> list[str]:
    """What a recipe may say of one filter or task."""
    head = [
        "",
        f"### {name}",
        "",
        _first_line(section),
        "",
        "| setting | default | what it is |",
        "| --- | --- | --- |",
    ]
    own = inspect.get_annotations(section)
    rows = sorted(keys(section), key=lambda row: row[0] not in own)  # what it has of its own before what it inherits
    return head + [f"| `{path}` | {default} | {' '.join(text.split())} |" for path, default, text in rows]


def _first_line(settings: type[BaseModel]) -> str:
    return (settings.__doc__ or "").splitlines()[0]


def _below_root(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_filter_has_its_turn_and_its_place_in_the_reference() -> None:
    assert sorted(chain.from_iterable(TURNS)) == sorted(FILTERS)
    text = REFERENCE.read_text()
    assert [name for name in (*FILTERS, *TASKS) if f"### {name}\n" not in text] == []


def test_the_reference_is_what_the_code_says() -> None:
    if os.environ.get("SPECMILL_WRITE_DOCS"):
        REFERENCE.write_text(reference())
    assert REFERENCE.read_text() == reference()


def test_every_verb_of_the_design_is_there_with_its_help() -> None:
    assert verbs().keys() == DESIGN_VERBS
    assert all(verbs().values())


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_verb_that_the_docs_name_is_real(path: Path) -> None:
    named = set(re.findall(r"\bspecmill ([a-z]+)", " ".join(re.findall(r"`[^`]*`", path.read_text()))))
    assert named <= DESIGN_VERBS


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_file_that_the_docs_name_is_there(path: Path) -> None:
    named = re.findall(
        r"`((?:corpus|prompts|filters|train|eval|examples|benchmarks|docs|tests)/[\w./-]+)`", path.read_text()
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=_below_root)
def test_every_file_that_a_comment_of_an_example_names_is_there(path: Path) -> None:
    """From the folder that holds `examples`: there the shell finds what the commands in comments name."""
    comments = " ".join(re.findall(r"(?:^|\s)#(.*)", path.read_text(), re.MULTILINE))
    named = re.findall(r"(?:[\w.-]+/)+[\w.-]+\.[a-z]\w*", comments)
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("recipe", RECIPES, ids=_below_root)
def test_every_example_recipe_is_whole(recipe: Path) -> None:
    from corpus import check_plan
    from eval import check_settings as check_eval
    from filters import check_settings as check_filters

    loaded = load_recipe(recipe)
    if loaded.spec is not None:
        check_plan(loaded)
    check_filters(loaded)
    check_eval(loaded)


def test_every_verb_has_a_help_page() -> None:
    for name in sorted(DESIGN_VERBS):
        ran = subprocess.run(
            [sys.executable, "-m", "specmill", name, "--help"], capture_output=True, text=True, cwd=ROOT
        )
        assert ran.returncode == 0
        assert "Usage" in ran.stdout
