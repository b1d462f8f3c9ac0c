"""What `kill -9` costs: the same job as in `overhead.py`, killed at 10, 50 and 90 % of its replies, and run again.

The server goes on, and its log says what was asked again. Re-issued are requests that it had answered in full, or that
were open, when the client died: an answer may be on its way to the client then, so a client that loses nothing
re-issues at most as many as it has slots. A row is lost if the server answered it in full, then or later, and it is
not in the results in the end. Files are torn if they hold rows and do not read to their end, right after the kill and
in the end: the run of Specmill with its own reader, the files of the others with a plain one of their format. The same
command is run again until it succeeds, three times at most: each time after the first counts as a step by hand.

    python benchmarks/crashes.py
    python benchmarks/crashes.py --requests 600 --slots 64 --mean-seconds 0.5 --deadline-seconds 3
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from contestants import (
    Contestant,
    Job,
    arguments,
    ask,
    chosen,
    environment,
    log,
    markdown,
    prepare,
    record,
    serve,
    start,
)
from latency_server import Load

from corpus.hardware import machine_name

FRACTIONS = (0.1, 0.5, 0.9)
POLL_SECONDS = 0.05
MAX_RUNS = 3


def crash(
    contestant: Contestant, python: Path, folder: Path, load: Load, job: Job, fraction: float
) -> dict[str, object]:
    """Kill a contestant once, let it end its job, and count."""
    with serve(load) as url:
        prepare(folder, url, job)
        process = start(contestant, python, folder, url, job)
        while int(str(ask(url, "/finished"))) < fraction * job.requests:
            if process.poll() is not None:
                raise SystemExit(f"{contestant.name} ended before it was killed; see {folder / 'log'}")
            time.sleep(POLL_SECONDS)
        killed_at = time.time()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.5)  # the server notices the closed connections
        before = log(url)
        torn_then = contestant.torn(folder)
        statuses = []
        while not statuses or (statuses[-1] != 0 and len(statuses) < MAX_RUNS):
            statuses.append(start(contestant, python, folder, url, job).wait())
        asked = log(url)
    if statuses[-1] != 0:
        print(f"{contestant.name} ended with {statuses}; see {folder / 'log'}", file=sys.stderr)
    open_then = {one.job for one in before if one.answered is None and (one.closed or killed_at) >= killed_at}
    answered_then = {one.job for one in before if one.answered is not None and not one.fault}
    again = {one.job for one in asked[len(before) :]}
    answered = answered_then | {one.job for one in asked if one.answered is not None and not one.fault}
    texts = contestant.rows(folder)
    records = {record(text) for text in texts} - {None}
    return {
        "killed at": f"{fraction:.0%}",
        "open at the server": len(open_then - answered_then),
        "re-issued": len(again & (open_then | answered_then)),
        "of them answered before": len(again & answered_then),
        "rows lost": len(answered - records),
        "rows doubled": len(texts) - len({*map(record, texts)}),
        "torn after the kill": len(torn_then),
        "torn in the end": len(contestant.torn(folder)),
        "steps by hand": len(statuses) - 1 if statuses[-1] == 0 else f"{len(statuses) - 1}, in vain",
        "rows": f"{len(records):,} of {job.requests:,}",
    }


def main() -> None:
    """Kill everyone three times and print the table."""
    given = arguments(__doc__).parse_args()
    job, load, contestants = chosen(given)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for one in contestants:
            python, version = environment(one, given.environments)
            for fraction in FRACTIONS:
                name = f"{one.name.replace(', ', '-').replace(' ', '-')}-{fraction:.0%}"
                folder = ((given.keep or Path(temporary)) / name).absolute()
                rows.append({"": f"{one.name} {version}", **crash(one, python, folder, load, job, fraction)})
                print(rows[-1], file=sys.stderr)
    print(f"{job}, {load}, on {machine_name()}\n")
    print(markdown(rows))
    print()
    print("\n".join(f"- {one.name}: {one.notes}" for one in contestants))


if __name__ == "__main__":
    main()
