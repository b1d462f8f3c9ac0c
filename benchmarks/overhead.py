"""What a client costs beside the server's own time: wall time over ideal, processor and memory, beside its peers.

Every contestant gets the same texts from a server with the same latencies and faults (`latency_server.py`), one after
the other, each with a new server and an empty folder. Ideal is a scheduler that costs nothing: as many slots, the same
deadline and retries, each retry at once and in its slot. Wall time is that of the whole command.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --requests 200 --slots 64 --mean-seconds 0.2 --deadline-seconds 2
"""

from __future__ import annotations

import heapq
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from contestants import Contestant, Job, arguments, chosen, environment, log, markdown, prepare, record, serve, start
from demo_steps import tree_bytes
from latency_server import Load, drawn

from corpus.hardware import machine_name

SAMPLE_SECONDS = 0.5


def ideal_seconds(load: Load, job: Job) -> float:
    """Wall time of a scheduler that costs nothing (seconds)."""
    free_at = [0.0] * job.slots
    for number in range(job.requests):
        now = heapq.heappop(free_at)
        for attempt in range(1 + job.max_retries):
            latency, fault = drawn(load, number, attempt)
            now += min(latency, job.deadline_seconds)
            if latency <= job.deadline_seconds and not fault:
                break
        heapq.heappush(free_at, now)
    return max(free_at)


@dataclass(frozen=True)
class Measured:
    """One run of one contestant."""

    wall_seconds: float
    asking_seconds: float
    """From the first request to the last answer."""
    cpu_seconds: float
    """User and system time of the process and its children."""
    peak_bytes: int
    num_rows: int
    """Different whole texts among the rows."""
    num_bad: int
    """Rows without a whole text, or with one that another row has."""
    num_asked: int
    """Requests that the server saw, retries among them."""


def wait_measured(process: subprocess.Popen[bytes]) -> tuple[int, float, int]:
    """Exit status, seconds of processor time and peak bytes of a process that runs to its end."""
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, tree_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    watcher.join()
    return process.returncode, used.ru_utime + used.ru_stime, peak


def measure(contestant: Contestant, python: Path, folder: Path, load: Load, job: Job) -> Measured:
    """One run, in a new folder and with a new server."""
    with serve(load) as url:
        prepare(folder, url, job)
        began = time.monotonic()
        process = start(contestant, python, folder, url, job)
        status, cpu_seconds, peak = wait_measured(process)
        wall_seconds = time.monotonic() - began
        asked = log(url)
    if status != 0:
        print(f"{contestant.name} ended with {status}; see {folder / 'log'}", file=sys.stderr)
    texts = contestant.rows(folder)
    num_rows = len({record(text) for text in texts} - {None})
    return Measured(
        wall_seconds=wall_seconds,
        asking_seconds=max(one.answered or one.closed or 0.0 for one in asked) - min(one.began for one in asked),
        cpu_seconds=cpu_seconds,
        peak_bytes=peak,
        num_rows=num_rows,
        num_bad=len(texts) - num_rows,
        num_asked=len(asked),
    )


def row(contestant: Contestant, version: str, runs: list[Measured], ideal: float, job: Job) -> dict[str, object]:
    """A contestant's line: medians over its runs."""

    def median(name: str) -> float:
        return statistics.median(getattr(run, name) for run in runs)

    return {
        "": f"{contestant.name} {version}",
        "wall s": f"{median('wall_seconds'):.1f}",
        "wall over ideal": f"{median('wall_seconds') / ideal:.3f}",
        "first request to last answer, over ideal": f"{median('asking_seconds') / ideal:.3f}",
        "CPU s per 1,000 requests": f"{median('cpu_seconds') / job.requests * 1000:.2f}",
        "peak MiB": f"{median('peak_bytes') / 2**20:.0f}",
        "rows": f"{median('num_rows'):,.0f}",
        "bad rows": f"{median('num_bad'):,.0f}",
        "requests sent": f"{median('num_asked'):,.0f}",
    }


def main() -> None:
    """Measure everyone in turn and print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=1, help="turns; the table shows medians")
    given = parser.parse_args()
    job, load, contestants = chosen(given)
    pythons = {one.name: environment(one, given.environments) for one in contestants}
    runs: dict[str, list[Measured]] = {one.name: [] for one in contestants}
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(given.repeats):
            for one in contestants:
                folder = (given.keep or Path(temporary)) / f"{one.name.replace(', ', '-').replace(' ', '-')}-{turn}"
                measured = measure(one, pythons[one.name][0], folder.absolute(), load, job)
                print(f"{one.name}: {measured}", file=sys.stderr)
                runs[one.name].append(measured)
    ideal = ideal_seconds(load, job)
    print(f"{job}, {load}, {given.repeats} turns, on {machine_name()}; ideal {ideal:.1f} s\n")
    print(markdown([row(one, pythons[one.name][1], runs[one.name], ideal, job) for one in contestants]))
    print()
    print("\n".join(f"- {one.name}: {one.notes}" for one in contestants))


if __name__ == "__main__":
    main()
