"""Seconds and peak memory of each step of the demo, each verb in a process of its own on a fresh run.

Run: python benchmarks/demo_steps.py [--recipe examples/demo.yaml]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from corpus.console import show_table
from corpus.hardware import machine_name

ROOT = Path(__file__).resolve().parent.parent
VERBS = ("generate", "curate", "mix", "train", "eval", "report")
SAMPLE_SECONDS = 0.2


def tree_bytes(pid: int) -> int:
    """Memory of a process and all below it that is theirs alone, or shared and counted by share (PSS)."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it ended between the listing and the look
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, [])
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return total


def measure(verb: str, recipe: Path, runs: Path) -> dict[str, object]:
    """Run one verb to its end."""
    command = [sys.executable, "-m", "specmill", verb, str(recipe), "-o", f"runs={runs}"]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, tree_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    ended.set()
    watcher.join()
    if process.returncode not in (0, 3):
        raise SystemExit(f"specmill {verb} ended with {process.returncode}:\n{errors}")
    return {
        "step": verb,
        "seconds": round(time.monotonic() - began, 1),
        "peak GiB (with child processes)": peak / 2**30,
    }


def main() -> None:
    """Measure every step and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "examples/demo.yaml")
    recipe = parser.parse_args().recipe
    with tempfile.TemporaryDirectory() as runs:
        rows = [measure(verb, recipe, Path(runs)) for verb in VERBS]
    total = sum(float(str(row["seconds"])) for row in rows)
    show_table(f"{recipe.name} on {machine_name()}: {total:.0f} s", rows)


if __name__ == "__main__":
    main()
