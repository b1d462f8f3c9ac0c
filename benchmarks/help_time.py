"""Seconds of `specmill --help`, warm, beside the interpreter alone; medians of twenty in turn.

Run: python benchmarks/help_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from corpus.console import show_table
from corpus.hardware import machine_name

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 20
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "specmill --help": [str(Path(sys.executable).with_name("specmill")), "--help"],
}


def main() -> None:
    """Measure both in turn and print the table."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS + 1):
        for name, command in COMMANDS.items():
            began = time.monotonic()
            subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.monotonic() - began)
    rows: list[dict[str, object]] = [
        {
            "command": name,
            "median ms": round(1000 * statistics.median(taken[1:])),
            "least ms": round(1000 * min(taken[1:])),
            "most ms": round(1000 * max(taken[1:])),
        }
        for name, taken in seconds.items()
    ]
    show_table(f"warm, {REPEATS} runs in turn, on {machine_name()}", rows)


if __name__ == "__main__":
    main()
