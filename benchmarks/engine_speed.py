"""Generated tokens per second: our engine under `run_stage`, beside bare `LLM.generate` on the same prompts.

Both run in turn, each in a process of its own. Ours does what a real stage does: it renders the chat template,
keeps a bounded number of requests open, judges every reply and makes its row of the calls table. The bare one gets
token ids that were made beforehand, all at once, and vLLM's own scheduling defaults for offline work.

    python benchmarks/engine_speed.py --repeats 3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from corpus.engine import Message, Request, ask, open_engine
from corpus.models import model_folder
from corpus.privacy import no_telemetry
from corpus.recipe import EngineSettings
from corpus.stage import Done, Silent, run_stage

ROOT = Path(__file__).resolve().parent.parent
GENRES = ["an internal memo", "a forum discussion", "a design review", "a letter", "an incident report"]
TOPICS = ["admitting a mistake", "declining kindly", "asking before acting", "citing a source", "keeping a secret"]
PLACES = ["in a hospital", "at a harbour", "in a small school", "in a newsroom", "at a repair shop", "in a library"]
GUIDE = (
    "You write texts that a reader could have met in the world. Keep to the genre, name people and places, and let "
    "the point come out of what happens. Do not announce what you are about to do, and do not sum up at the end."
)
TEMPERATURE = 0.8
SEED = 17


def requests(num_prompts: int, max_tokens: int) -> list[Request]:
    """Prompts with a shared beginning, as a run's are."""
    made = []
    for n in range(num_prompts):
        genre, topic, place = GENRES[n % 5], TOPICS[n // 5 % 5], PLACES[n // 25 % 6]
        wish = f"Write {genre} about {topic} {place}. It is number {n} of a series."
        made.append(Request((Message("system", GUIDE), Message("user", wish)), max_tokens, TEMPERATURE))
    return made


async def ours(asked: list[Request]) -> dict[str, float]:
    """The stage that writes documents, without the disk."""
    rows: list[dict[str, object]] = []
    async with open_engine(EngineSettings(), SEED) as engine:
        await engine.complete(asked[0])

        async def write(n: int) -> Done:
            answer = await ask(engine, asked[n], room="corpus", purpose="benchmark", item_id=str(n), max_attempts=1)
            return Done({"calls": answer.calls}, answer.outcome)

        began = time.perf_counter()
        await run_stage(
            "benchmark",
            range(len(asked)),
            write,
            lambda made: rows.extend(made["calls"]),  # type: ignore[arg-type]
            max_in_flight=engine.max_in_flight,
            progress=Silent(),
        )
        seconds = time.perf_counter() - began
    return {"tokens": sum(int(str(row["completion_tokens"])) for row in rows), "seconds": seconds}


def bare(asked: list[Request]) -> dict[str, float]:
    """The other side: vLLM alone."""
    no_telemetry()
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=str(model_folder("builtin:smollm2-135m")),
        seed=SEED,
        enable_prefix_caching=True,
        **({"dtype": "bfloat16", "enforce_eager": True, "kv_cache_memory_bytes": 3 << 30} if on_cpu() else {}),
    )
    tokenizer = llm.get_tokenizer()
    texts = [
        tokenizer.apply_chat_template(
            [message._asdict() for message in request.messages], tokenize=False, add_generation_prompt=True
        )
        for request in asked
    ]
    prompts = [{"prompt_token_ids": tokenizer.encode(text, add_special_tokens=False)} for text in texts]
    sampling = SamplingParams(temperature=TEMPERATURE, max_tokens=asked[0].max_tokens)
    llm.generate(prompts[:1], sampling, use_tqdm=False)
    began = time.perf_counter()
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    seconds = time.perf_counter() - began
    return {"tokens": sum(len(output.outputs[0].token_ids) for output in outputs), "seconds": seconds}


def on_cpu() -> bool:
    """Whether vLLM computes on the processor here."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def machine() -> str:
    """What it ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{name or platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def measure(kind: str, arguments: argparse.Namespace) -> float:
    """Generated tokens per second of one run in a new process."""
    command = [sys.executable, __file__, "--child", kind, f"--prompts={arguments.prompts}"]
    command.append(f"--max-tokens={arguments.max_tokens}")
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        sys.exit(f"{kind} failed:\n{finished.stderr[-2000:]}")
    result = json.loads(finished.stdout.splitlines()[-1])
    return float(result["tokens"] / result["seconds"])


def compare(arguments: argparse.Namespace) -> None:
    """Run both in turn and print the table."""
    from rich.console import Console
    from rich.table import Table

    model_folder("builtin:smollm2-135m")
    rates: dict[str, list[float]] = {"VllmEngine + run_stage": [], "LLM.generate": []}
    kinds = dict(zip(rates, ("ours", "bare"), strict=True))
    for _ in range(arguments.repeats):
        for name, kind in kinds.items():
            rates[name].append(measure(kind, arguments))
            print(f"{name}: {rates[name][-1]:.0f} tokens/s", file=sys.stderr)
    table = Table(
        title=f"{arguments.prompts} prompts, {arguments.max_tokens} tokens at most, temperature {TEMPERATURE}, "
        f"builtin:smollm2-135m",
        caption=machine(),
    )
    for column in ("", "median tokens/s", "least", "most"):
        table.add_column(column, justify="right" if column else "left")
    for name, values in rates.items():
        table.add_row(name, *(f"{value:.0f}" for value in (statistics.median(values), min(values), max(values))))
    Console().print(table)
    ours_median, bare_median = (statistics.median(values) for values in rates.values())
    print(f"ratio of medians: {ours_median / bare_median:.3f}")


def main() -> None:
    """Compare, or be one side of the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=160)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--child", choices=["ours", "bare"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        compare(arguments)
        return
    asked = requests(arguments.prompts, arguments.max_tokens)
    print(json.dumps(asyncio.run(ours(asked)) if arguments.child == "ours" else bare(asked)))


if __name__ == "__main__":
    main()
