"""How the dataframe peers of `sql_speed.py` are timed: QUESTION RUN REPLAY, answered twice."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

QUESTION, ROOT, REPLAY = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
NUM_FILTERS = 5
CURRENT = "briefs-1"


def answer(questions: dict[str, Callable[[], list[list[object]]]]) -> None:
    """Print the seconds of both answers, the most memory, and the rows."""
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        rows = questions[QUESTION]()
        seconds.append(time.perf_counter() - began)
    status = Path("/proc/self/status").read_text().splitlines()
    [peak] = (int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak, "rows": rows}))
