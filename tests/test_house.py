"""The rules of the house: who may import whom, who writes which table, and that the docs name real things."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.store.schema import TABLES

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("corpus", "prompts", "filters", "train", "eval")
GROUND_FLOOR = (
    *("corpus.store", "corpus.engine", "corpus.inspect", "corpus.errors", "corpus.recipe"),
    *("corpus.recurring", "corpus.clause_names", "corpus.counting", "corpus.chat_template"),
    *(
        "corpus.builtin",
        "corpus.models",
        "corpus.stage",
        "corpus.held_out",
        "corpus.hardware",
        "corpus.privacy",
        "corpus.run",
    ),
    *("corpus.console", "corpus.command", "corpus.quiet", "corpus.foreign", "corpus.quoted"),
)
MAY_IMPORT = {
    "prompts": ("prompts",),
    "filters": ("filters", "prompts", *GROUND_FLOOR),
    "train": ("train", *GROUND_FLOOR),
    "eval": ("eval", "prompts", "train.scoring", *GROUND_FLOOR),
}
HEAVY = {"torch", "transformers", "vllm", "peft", "accelerate", "datasketch", "fasttext", "sklearn", "scipy", "duckdb",
         "numba", "pyarrow", "polars", "numpy", "aiohttp", "httpx", "statsmodels"}  # fmt: skip


def files(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            # `from corpus import generation` imports a module by its last name.
            yield from (
                f"{node.module}.{alias.name}" for alias in node.names if is_module(f"{node.module}.{alias.name}")
            )


def is_module(name: str) -> bool:
    path = ROOT / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def ours(name: str) -> bool:
    return name.partition(".")[0] in ROOMS


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == door or name.startswith(f"{door}.") for door in allowed)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    allowed = MAY_IMPORT[room]
    wrong = [
        (module_of(path), name)
        for path in files(room)
        for name in imports(path)
        if ours(name) and name != "corpus" and not within(name, allowed)
    ]
    assert wrong == []


def test_the_ground_floor_imports_nothing_upstairs() -> None:
    wrong = [
        (module_of(path), name)
        for path in files("corpus")
        if within(module_of(path), GROUND_FLOOR)
        for name in imports(path)
        if ours(name) and name != "corpus" and not within(name, (*GROUND_FLOOR, "prompts"))
    ]
    assert wrong == []


def test_the_import_rule_would_notice(tmp_path: Path) -> None:
    """The negative control: an import of a room's inside from another room is seen, in every form."""
    for line in (
        "import filters.mixes.mix",
        "from filters.mixes import mix",
        "from filters.mixes.mix import build_mix",
    ):
        path = tmp_path / "probe.py"
        path.write_text(f"def f():\n    {line}\n")
        assert any(ours(name) and not within(name, MAY_IMPORT["train"]) for name in imports(path)), line


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_resolves_to_this_checkout(room: str) -> None:
    assert Path(str(importlib.import_module(room).__file__)).parent == ROOT / room


def test_help_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import sys, specmill; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not HEAVY & set(ran.stdout.split())


def test_every_dependency_is_imported() -> None:
    """What only tests import is for `dev`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        re.split(r"[=<>\[]", line)[0] for line in (*project["dependencies"], *project["optional-dependencies"]["rooms"])
    }
    imported = {name.partition(".")[0] for path in [ROOT / "specmill.py", *files(*ROOMS)] for name in imports(path)}
    imported.add("tensorboard")  # torch.utils.tensorboard imports it
    used = {
        name.lower().replace("_", "-")
        for module, names in importlib.metadata.packages_distributions().items()
        if module in imported
        for name in names
    }
    assert declared - used == set()


def test_a_room_writes_with_its_own_pen_only() -> None:
    """`store.writer("room")` names the room whose folder it stands in; the store refuses the tables of others."""
    found = {}
    for path in files(*ROOMS):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "writer":
                if isinstance(node.func.value, ast.Name) and node.func.value.id == "csv":
                    continue
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), path
                found.setdefault(module_of(path).partition(".")[0], set()).add(argument.value)
    assert found == {"corpus": {"corpus", "store"}, "filters": {"filters"}, "train": {"train"}, "eval": {"eval"}}


def test_each_table_has_one_writing_room() -> None:
    several = {name for name, table in TABLES.items() if len(table.writers) != 1}
    assert several == {"calls"}


def test_no_room_prints() -> None:
    wrong = [str(path) for path in files(*ROOMS) if re.search(r"(^|[^.\w])print\(", path.read_text())]
    assert wrong == []


def test_nothing_but_the_house_stands_at_the_top_level() -> None:
    import subprocess

    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split(
        "\n"
    )
    top = {name.partition("/")[0] for name in tracked if name}
    assert top <= {
        "specmill.py", *ROOMS, "tests", "benchmarks", "docs", "examples", "pyproject.toml", "Makefile", "README.md",
        "CHANGELOG.md", "LICENSE", ".ci", ".gitignore",
    }  # fmt: skip


def test_no_file_has_grown_past_one_idea() -> None:
    long = {str(path.relative_to(ROOT)) for path in files(*ROOMS) if len(path.read_text().splitlines()) > 330}
    assert long == set()
