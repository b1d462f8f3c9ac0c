"""Training on one GPU within minutes: tokens a second, MFU, memory, attention, a resumed run; beside published figures.

    python benchmarks/train_gpu.py --budget 9m [--results train_gpu.jsonl] [--only "train 8B"]
    python benchmarks/train_gpu.py --budget 2m --device cpu --shapes tiny      # the same code, in a minute, anywhere

Needs torch 2.11 or later, transformers, accelerate and peft, and what the recipe and the store are read with (pydantic,
pyyaml, pyarrow, duckdb); no weights, no hub: models of the shapes of Qwen3-0.6B, Llama-3.1-8B and Qwen3-32B are made
of random weights on the GPU, in bf16 (what is trained in fp32, as in a stage), and documents of random tokens. A row of
documents is an update; 5 updates do not count, 10 do, and their median is told. One JSON line a cell, printed and
appended to the results at once; called again it does what is missing. Before each cell it estimates, by what cells
took so far, whether it still fits into the budget. Cells run in another process: one that crashes or hangs costs its
own result only. A cell that does not fit into memory is a row with its reason.

MFU is of `train.speed`: FLOPs that the model needs (frozen weights have no gradient, attention is causal, recomputation
is not counted), a second, as a share of what a plain bf16 product of matrices reaches on this card, and of its data
sheet.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train_gpu_list import Cell
    from train_gpu_models import Room

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("torch", "transformers", "accelerate", "peft", "pydantic", "yaml", "pyarrow", "duckdb")
DATASHEET = {"H100": 989e12, "H200": 989e12}
"""FLOP/s in bf16 (NVIDIA's data sheets of the H100 and H200 SXM, which give 1,979 TFLOP/s with sparsity: half)."""
PUBLISHED = {
    "train 8B full 4096 recompute": "10,471 tokens/s, 57.8 % of 989 by 6N and the whole square of attention, one H200 "
    "(KempnerForge benchmarks); 5,762 a GPU on 8 H100 (torchtitan)",
    "train 8B lora 4096": "9,100 tokens/s on an H200, 8,900 on an H100 (Unsloth, by surogate.ai docs); 10,200 on an "
    "H100 (Surogate, its own)",
    "train 0.6B lora 4096": "21,700 tokens/s on an H200, 21,300 on an H100 (Unsloth, by surogate.ai docs); 53,900 on "
    "an H100 (Surogate, its own)",
    "train 32B lora 4096 recompute": "2,600 tokens/s on an H100 (Unsloth, by surogate.ai docs)",
}
"""What others say of such a cell; kinds of data and of adapters differ."""
SAFETY = 1.15
"""An estimate is taken as so much longer."""
FULL_STOP_SECONDS = 12.0
"""Kept for the table, and for a process to end."""
PATIENCE_SECONDS = 120.0
"""A cell may take so much longer than estimated before it counts as hanging."""
AGAIN = 3
"""What the process that measures ends with when it should be started anew."""
Row = dict[str, Any]


def main() -> None:
    """Measure what is missing, and print the table of all that is there."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=seconds, default="9m", help="such as 9m or 90s; it stops by itself before")
    parser.add_argument("--results", type=Path, default=Path("train_gpu.jsonl"))
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--shapes", choices=["real", "tiny"], default="real")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if given.device == "cpu":
        os.environ |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    if given.measure:
        sys.exit(measure(given, began + given.budget))
    supervise(given, began + given.budget)
    print("\n" + markdown(list(table(read(given.results), given.shapes))))


def seconds(text: str) -> float:
    """Of a time such as `9m`."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    return float(text.rstrip("smh")) * units.get(text[-1], 1.0)


def read(results: Path) -> list[Row]:
    """The rows so far; a line that was cut off is none."""
    rows = []
    for line in results.read_text(encoding="utf-8").splitlines() if results.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def keep(results: Path, row: Row) -> None:
    """Print a row, and append it."""
    line = json.dumps(row)
    print(line, flush=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def supervise(given: argparse.Namespace, deadline: float) -> None:
    """Have cells measured by other processes, one after the other, until nothing is missing or the time is over."""
    running = given.results.with_suffix(".running")
    while (left := deadline - time.monotonic()) > FULL_STOP_SECONDS:
        running.unlink(missing_ok=True)
        options = [
            f"--{name}={value}" for name, value in vars(given).items() if name not in ("budget", "measure") and value
        ]
        command = [sys.executable, __file__, "--measure", f"--budget={left:.1f}s", *options]
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
        reason = watch(process, running, deadline)
        if running.exists() and reason:
            cell = json.loads(running.read_text(encoding="utf-8"))
            keep(given.results, cell | {"failed": reason})
        elif process.returncode != AGAIN:
            break
    running.unlink(missing_ok=True)


def watch(process: subprocess.Popen[bytes], running: Path, deadline: float) -> str:
    """Wait for a process; why its cell has no result, empty if it has one or ran out of time."""
    while process.poll() is None:
        time.sleep(0.2)
        late = False
        if running.exists() and (text := running.read_text(encoding="utf-8")):
            allowed = json.loads(text)["estimate_seconds"] + PATIENCE_SECONDS
            late = time.time() - running.stat().st_mtime > allowed
        if late or time.monotonic() > deadline:
            process.kill()
            process.wait()
            return f"not done within {allowed:.0f} s" if late else ""
    return "" if process.returncode in (0, AGAIN) else f"the process ended with {process.returncode}"


def measure(given: argparse.Namespace, deadline: float) -> int:
    """Measure cells until none is missing or fits; returns how the process ends."""
    missing = [name for name in NEEDED if not _is_there(name)]
    if missing:
        sys.exit(f"train_gpu.py needs {', '.join(missing)}: pip install {' '.join(missing).replace('yaml', 'pyyaml')}")
    import torch
    from train_gpu_list import CELLS
    from train_gpu_models import Room

    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU here; try: --device cpu --shapes tiny")
    room = Room(given.device, given.shapes)
    common: Row = {"card": torch.cuda.get_device_name() if given.device == "cuda" else "cpu", "shapes": given.shapes}
    common |= {name: version(name) for name in ("torch", "transformers", "accelerate", "peft")}
    common["matrix_tflops"] = round(room.rate / 1e12, 3)
    for cell in (cell for cell in CELLS if given.only in cell.name):
        rows = [row for row in read(given.results) if all(row[name] == common[name] for name in ("card", "shapes"))]
        if any(row["cell"] == cell.name for row in rows):
            continue
        guess, left = room.seconds_of(cell), deadline - FULL_STOP_SECONDS - time.monotonic()
        estimate = guess * slowness([row for row in rows if row["cell"].startswith(cell.what)] or rows)
        row = {"cell": cell.name, "guessed_seconds": guess, "estimate_seconds": estimate, **common}
        if estimate * SAFETY > left:
            print(json.dumps({"cell": cell.name, "left_out": f"{estimate:.0f} s estimated, {left:.0f} s left"}))
        elif not measure_cell(cell, room, row, given.results) and given.device == "cuda":
            return AGAIN  # a kernel that failed may have left the device unusable to this process
    return 0


def measure_cell(cell: Cell, room: Room, row: Row, results: Path) -> bool:
    """Measure one cell and keep its row; returns whether the device is as it was."""
    from torch import OutOfMemoryError
    from train_gpu_cells import MEASURES
    from train_gpu_models import Unavailable

    running = results.with_suffix(".running")
    running.write_text(json.dumps(row), encoding="utf-8")
    began, is_sound = time.monotonic(), True
    try:
        row |= MEASURES[cell.what](cell, room)
    except Unavailable as error:
        row["failed"] = str(error)
    except Exception as error:  # whatever it is, the other cells go on
        said = (str(error).splitlines() or [""])[0]
        row["failed"] = f"{type(error).__name__}: {said}"
        is_sound = isinstance(error, OutOfMemoryError) or "does not fit into memory" in said
    if "tflops" in row and (rate := next((rate for name, rate in DATASHEET.items() if name in row["card"]), None)):
        row["mfu_datasheet"] = row["tflops"] * 1e12 / rate
    row["seconds_taken"] = time.monotonic() - began
    keep(results, row)
    running.unlink()
    if is_sound and "failed" in row:
        room.forget()
    return is_sound


def _is_there(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def slowness(rows: Sequence[Mapping[str, Any]]) -> float:
    """How much longer than guessed the cells took that are done: the slower of the median and the last."""
    ratios = [
        row["seconds_taken"] / row["guessed_seconds"] for row in rows if "seconds_taken" in row and "failed" not in row
    ]
    return max(sorted(ratios)[len(ratios) // 2], ratios[-1]) if ratios else 1.0


COLUMNS = {
    "tokens_per_update": "{:,.0f}", "tokens_per_second": "{:,.0f}", "tflops": "{:.1f}", "mfu_measured": "{:.1%}",
    "mfu_datasheet": "{:.1%}", "peak_gib": "{:.1f}", "milliseconds": "{:.2f}", "states_error": "{:.2e}",
    "states_error_of_rounding": "{:.2e}", "gradient_error": "{:.2e}", "gradient_error_of_rounding": "{:.2e}",
    "largest_weight_difference": "{:.1e}", "weight_noise": "{:.1e}",
}  # fmt: skip
"""What the table shows of a result, and how."""


def table(rows: Sequence[Row], shapes: str) -> Iterator[dict[str, object]]:
    """Every cell that is done, with published figures beside it."""
    for row in rows:
        if row["shapes"] == shapes:
            shown = [f"{name} {form.format(row[name])}" for name, form in COLUMNS.items() if row.get(name) is not None]
            said = row.get("failed") or "; ".join([*shown, *([f"leaks: {row['leaks']}"] if "leaks" in row else [])])
            yield {
                "cell": row["cell"], "card": row["card"], "result": said.replace("_", " "),
                "published": PUBLISHED.get(row["cell"], "") if shapes == "real" else "",
            }  # fmt: skip


def markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a Markdown table (`contestants.py` has the same, and needs more than this may)."""
    if not rows:
        return "nothing was measured"
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
