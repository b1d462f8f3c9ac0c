"""How the cost of training grows: updates with the length of a row, the plan with the number of tokens.

    python benchmarks/train_growth.py rows [--lengths 512 1024 2048 4096 8192] [--updates 2] [--recompute]
    python benchmarks/train_growth.py plan [--sizes 100000 1000000 10000000]

`rows`: one row an update, SmolLM2-135M with a new adapter of rank 64 as a stage trains it; rows of documents of about
400 tokens, and rows that are one document, whose attention grows with its square. In fp32, and in bf16 where this
processor multiplies in it; after one update that does not count. A row that does not fit by the estimate that a stage
makes before it starts is told as such, and not tried (`--recompute` makes it smaller). `plan`: what happens before the
first update: documents of about 400 tokens are tokenized to disk, and the files are opened (every byte checked) and
packed into rows of 2,048 tokens. Each length and each size has a process of its own, whose most memory is told: before
it began, and at all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from contestants import HERE, markdown
from train_speed import prose_documents

from corpus.errors import TrainingError
from corpus.hardware import cpu_multiplies_bf16, machine_name
from corpus.recipe import StageSettings, Train
from train.adapter import load_trainable
from train.attention import use_packed_attention
from train.loop import Trainer, reproducible
from train.memory import check_memory
from train.model import Compute, load_tokenizer
from train.packed import PackedModel
from train.plan import make_plan
from train.segments import open_segments, write_segments
from train.team import Team
from train.texts import document_segments

SERIES = ("documents of 400", "one document")
DOCUMENT_WORDS = (265,)
"""About 400 tokens of prose."""
MANY_WORDS = (1_000_000,)
"""More than there are: all of the prose is one document."""
PLAN_ROW_TOKENS = 2048


def peak_mib() -> int:
    """The most memory that this process has held so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def long_document(num_tokens: int) -> Iterator[tuple[str, str]]:
    """One document of at least so many tokens (a token is at least a character)."""
    [(_, prose)] = [("prose", "\n\n".join(text for _, text in prose_documents()))]
    yield "prose", "\n\n".join([prose] * (1 + 12 * num_tokens // len(prose)))


def train_row(given: argparse.Namespace) -> dict[str, object]:
    """Some updates of one row each, in this process."""
    length, dtype = given.length, {"fp32": torch.float32, "bf16": torch.bfloat16}[given.precision]
    recipe = Train(model=given.model, precision=given.precision)
    settings = StageSettings(data="prose", updates=1 + given.updates, seq_tokens=length, batch_tokens=1)
    documents = (
        prose_documents(DOCUMENT_WORDS) if given.series == SERIES[0] else long_document(length * settings.updates)
    )
    compute = Compute(torch.device("cpu"), dtype)
    with tempfile.TemporaryDirectory() as folder:
        pieces = document_segments(documents, load_tokenizer(recipe), length)
        plan = make_plan(write_segments(Path(folder) / "tokens", pieces, {}), settings, 0, "growth")
        model, _ = load_trainable(recipe, None, 0)
        use_packed_attention(model, compute)
        if given.recompute:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        first = peak_mib()
        try:
            check_memory(PackedModel(model), plan, compute, "growth")
        except TrainingError as error:
            return {"refused": str(error).partition(";")[0]}
        with reproducible(compute.device, given.threads):
            trainer = Trainer(PackedModel(model), plan, settings, compute, Team(), 0, "growth")
            rates = []
            for number in range(settings.updates):
                began = time.perf_counter()
                trainer.update(number)
                rates.append(plan.num_tokens[number] / (time.perf_counter() - began))
        return {
            "tokens": round(statistics.median(plan.num_tokens[1:])),
            "rate": statistics.median(rates[1:]),
            "first": first,
            "peak": peak_mib(),
        }


def plan_tokens(given: argparse.Namespace) -> dict[str, object]:
    """Tokenize so many tokens to disk, open and pack them, in this process."""
    tokenizer = load_tokenizer(Train(model=given.model))
    texts = [text for _, text in prose_documents(DOCUMENT_WORDS)]
    lengths = [len(piece.token_ids) for piece in document_segments(enumerate_ids(texts), tokenizer, 1 << 20)]
    chosen: list[tuple[str, str]] = []
    num_tokens = 0
    for number, (text, length) in enumerate(cycle(zip(texts, lengths, strict=True))):
        if num_tokens >= given.size:
            break
        chosen.append((f"document-{number}", text))
        num_tokens += length
    settings = StageSettings(data="prose", seq_tokens=PLAN_ROW_TOKENS)
    peaks, times = [peak_mib()], [time.perf_counter()]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tokens"
        write_segments(folder, document_segments(chosen, tokenizer, PLAN_ROW_TOKENS), {})
        times.append(time.perf_counter())
        peaks.append(peak_mib())
        segments = open_segments(folder)
        assert segments is not None, folder
        plan = make_plan(segments, settings, 0, "growth")
        times.append(time.perf_counter())
        peaks.append(peak_mib())
        assert sum(plan.row_tokens) == num_tokens, (sum(plan.row_tokens), num_tokens)
        return {
            "tokens": f"{num_tokens:,}",
            "documents": f"{len(chosen):,}",
            "tokenize (s)": f"{times[1] - times[0]:.2f}",
            "tokens/s": f"{num_tokens / (times[1] - times[0]):,.0f}",
            "open and pack (s)": f"{times[2] - times[1]:.2f}",
            "peak MiB: before": peaks[0],
            "tokenized": peaks[1],
            "packed": peaks[2],
            "on disk (MiB)": f"{sum(file.stat().st_size for file in folder.iterdir()) / 2**20:.1f}",
            "rows": f"{len(plan.rows):,}",
            "full": f"{plan.fill_fraction:.2%}",
        }


def enumerate_ids(texts: list[str]) -> Iterator[tuple[str, str]]:
    """Texts with ids."""
    return ((str(number), text) for number, text in enumerate(texts))


def in_process(what: str, given: argparse.Namespace, **asked: object) -> dict[str, Any]:
    """What `what` returns in a process of its own; or why it died."""
    asked = {"model": given.model, "threads": given.threads, "updates": given.updates, **asked}
    options = [part for name, value in asked.items() for part in (f"--{name}", str(value))]
    options += ["--recompute"] if given.recompute else []
    command = [sys.executable, str(HERE / "train_growth.py"), what, *options]
    variables = os.environ | {"PYTHONPATH": str(HERE.parent), "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if ran.returncode < 0:
        return {"refused": f"ended by signal {-ran.returncode}"}
    if ran.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{ran.stderr[-4000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def rows(given: argparse.Namespace) -> Iterator[dict[str, object]]:
    """The table of `rows`."""
    for precision in given.precisions:
        for series in SERIES:
            for length in given.lengths:
                told = in_process("row", given, series=series, length=length, precision=precision)
                row = {"row (tokens)": f"{length:,}", "of": series, "precision": precision}
                if "refused" in told:
                    yield (
                        row
                        | dict.fromkeys(("tokens an update", "tokens/s", "peak MiB", "before"), "")
                        | {"note": told["refused"]}
                    )
                else:
                    yield row | {
                        "tokens an update": f"{told['tokens']:,}",
                        "tokens/s": f"{told['rate']:.1f}",
                        "peak MiB": told["peak"],
                        "before": told["first"],
                        "note": "",
                    }


def plans(given: argparse.Namespace) -> Iterator[dict[str, object]]:
    """The table of `plan`."""
    for size in given.sizes:
        yield in_process("size", given, size=size)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rows", "plan", "row", "size"], help="the last two: one process of the others")
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--updates", type=int, default=2, help="those that count")
    quick = ["bf16"] if cpu_multiplies_bf16() else []
    parser.add_argument("--precisions", nargs="+", choices=["bf16", "fp32"], default=[*quick, "fp32"])
    parser.add_argument("--recompute", action="store_true", help="activations, in the backward pass")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="builtin:smollm2-135m", help="a folder, or the builtin model")
    parser.add_argument("--series", choices=SERIES, default=SERIES[0])
    parser.add_argument("--length", type=int)
    parser.add_argument("--precision", choices=["bf16", "fp32"])
    parser.add_argument("--size", type=int)
    given = parser.parse_args()
    table: dict[str, Callable[[argparse.Namespace], Iterator[dict[str, object]]]] = {"rows": rows, "plan": plans}
    one: dict[str, Callable[[argparse.Namespace], dict[str, object]]] = {"row": train_row, "size": plan_tokens}
    if given.what in one:
        print(json.dumps(one[given.what](given)))
    else:
        print(f"{machine_name()}; {given.model}; {given.threads} threads\n\n{markdown(list(table[given.what](given)))}")


if __name__ == "__main__":
    main()
