"""Opens a run for a verb: its recipe and spec are kept in its folder, and what was invoked is a row."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import yaml

from corpus.errors import RecipeError, SpecError, SpecmillError
from corpus.hardware import machine_name
from corpus.recipe import Recipe
from corpus.store import Store, WritingStore, open_writer
from corpus.store.identity import content_id
from corpus.store.parts import write_durably

RECIPE = "recipe.yaml"
"""The current recipe, in the run's folder."""
RUNNING = "running.json"
"""Says what is being done to the run; found by the next writer, it says what was killed."""


@dataclass(frozen=True)
class Run:
    """A run that is open for writing."""

    recipe: Recipe
    """The recipe, with the spec that is kept in the run."""
    store: WritingStore


def run_folder(recipe: Recipe) -> Path:
    """Where a recipe's run is."""
    return recipe.runs.absolute() / recipe.name


@contextmanager
def open_run(
    recipe: Recipe, verb: str, on_note: Callable[[str], None], check: Callable[[Store], None] | None = None
) -> Iterator[Run]:
    """Open the run of a recipe for writing, and record the invocation however it ends.

    `check` may look at the run as it is and refuse the recipe, before anything of it is kept. A recipe that the verb
    itself refuses before it wrote anything is not kept either.

    Raises:
        StoreError: another process writes the run, or the disk takes nothing.
        SpecError: the spec's file is not there.
    """
    root = run_folder(recipe)
    spec_bytes = _spec_bytes(recipe)
    with open_writer(root, on_note) as store:
        if check is not None:
            check(store)
        _record_killed(store)
        before = (root / RECIPE).read_bytes() if (root / RECIPE).exists() else None
        recipe = _keep(recipe, root, spec_bytes)
        store.is_changed = False
        started = datetime.now(UTC).replace(tzinfo=None)
        row: dict[str, object] = {
            "invocation_id": content_id("invocation", verb, started.isoformat(), os.getpid()),
            "verb": verb,
            "recipe_hash": recipe.recipe_hash(),
            "code_version": code_version(),
            "machine": machine_name(),
            "started": started.isoformat(),
            "seconds": None,
            "outcome": "killed",
        }
        write_durably(root / RUNNING, json.dumps(row).encode())
        clock = time.monotonic()
        outcome = "interrupted"
        try:
            yield Run(recipe, store)
            outcome = "done"
        except SpecmillError as error:
            outcome = f"stopped: {type(error).__name__}"
            if isinstance(error, RecipeError) and before is not None and not store.is_changed:
                write_durably(root / RECIPE, before)
            raise
        except Exception as error:
            outcome = f"bug: {type(error).__name__}"
            raise
        finally:
            _record(store, row | {"seconds": time.monotonic() - clock, "outcome": outcome})


@contextmanager
def recorded(run: Run, verb: str) -> Iterator[None]:
    """A step of `specmill run`, however it ends, as a row of its own: estimates of time rest on these."""
    started, clock = datetime.now(UTC).replace(tzinfo=None), time.monotonic()
    outcome = "interrupted"
    try:
        yield
        outcome = "done"
    except SpecmillError as error:
        outcome = f"stopped: {type(error).__name__}"
        raise
    finally:
        row: dict[str, object] = {
            "invocation_id": content_id("invocation", verb, started.isoformat(), os.getpid()),
            "verb": verb,
            "recipe_hash": run.recipe.recipe_hash(),
            "code_version": code_version(),
            "machine": machine_name(),
            "started": started,
            "seconds": time.monotonic() - clock,
            "outcome": outcome,
        }
        run.store.writer("store").append({"invocations": [row]})


def _record(store: WritingStore, row: Mapping[str, object]) -> None:
    started = datetime.fromisoformat(str(row["started"]))
    store.writer("store").append({"invocations": [{**row, "started": started}]})
    store.seal()
    (store.root / RUNNING).unlink(missing_ok=True)


def _record_killed(store: WritingStore) -> None:
    """A running mark without its process: the row that the killed one could not write."""
    try:
        row = json.loads((store.root / RUNNING).read_bytes())
    except FileNotFoundError:
        return
    # Killed between its row and the removal of the mark, it did not miss its row.
    if not store.rows("SELECT 1 FROM invocations WHERE invocation_id = ?", [row["invocation_id"]]):
        _record(store, row)


def _spec_bytes(recipe: Recipe) -> bytes | None:
    if recipe.spec is None:
        return None
    try:
        return recipe.spec.path.read_bytes()
    except OSError as error:
        raise SpecError(f"the spec {recipe.spec.path} cannot be read ({error.strerror}); mend spec.path") from None


def _keep(recipe: Recipe, root: Path, spec_bytes: bytes | None) -> Recipe:
    """Keep the spec and the recipe in the run, the recipe both as the current one and under its hash."""
    kept_path = None
    if recipe.spec is not None and spec_bytes is not None:
        kept_path = f"specs/{content_id('spec', spec_bytes.hex()).removeprefix('b2:')}"
        if not (root / kept_path).exists():
            write_durably(root / kept_path, spec_bytes)
        recipe = recipe.model_copy(update={"spec": recipe.spec.model_copy(update={"path": root / kept_path})})
    resolved = recipe.model_dump(mode="json", exclude={"runs"})
    if kept_path:
        resolved["spec"]["path"] = kept_path
    text = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True).encode()
    earlier = root / "recipes" / f"{recipe.recipe_hash().removeprefix('b2:')}.yaml"
    if not earlier.exists():
        # Paths in a recipe start from its own folder; this one is a folder deeper.
        deeper = {**resolved, "spec": {**resolved["spec"], "path": f"../{kept_path}"}} if kept_path else resolved
        write_durably(earlier, yaml.safe_dump(deeper, sort_keys=False, allow_unicode=True).encode())
    write_durably(root / RECIPE, text)
    return recipe


def code_version() -> str:
    """The version of Specmill, with the commit of its checkout where there is one."""
    checkout = Path(__file__).resolve().parent.parent
    asked = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    commit = f"+{asked.stdout.strip()}" if asked.returncode == 0 else ""
    return version("specmill") + commit
