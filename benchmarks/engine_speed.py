"""Generated tokens per second: our engine under `run_stage`, beside bare `LLM.generate` on the same prompts.

Both run in turn, each in a process of its own, with the same environment, arithmetic, number of sequences, batch and
cache; with the prefix cache on, then off. Ours does what a real stage does: it renders the chat template, keeps a
bounded number of requests open, judges every reply and makes its row of the calls table. The bare one gets token ids
that were made beforehand, all at once.

    python benchmarks/engine_speed.py --repeats 3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time

from corpus.console import show_table
from corpus.engine import Message, Request, ask, open_engine
from corpus.hardware import cpu_multiplies_bf16, machine_name
from corpus.models import model_folder
from corpus.privacy import no_telemetry
from corpus.recipe import EngineSettings
from corpus.stage import Done, Silent, run_stage

MODEL = "builtin:smollm2-135m"
ENVIRONMENT = {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0", "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
               "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}  # fmt: skip
"""What our engine sets for itself, set for both sides."""
MAX_SEQUENCES = 128
BATCHED_TOKENS = 2048
"""vLLM's own choice for an engine such as ours; for `LLM.generate` it would take another."""
CACHE_BYTES = 3 << 30
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


def options(prefix_caching: bool) -> dict[str, object]:
    """Arguments of vLLM that both sides get; on a CPU also those that our engine chooses there."""
    from vllm.platforms import current_platform

    given: dict[str, object] = {
        "max_num_seqs": MAX_SEQUENCES,
        "max_num_batched_tokens": BATCHED_TOKENS,
        "kv_cache_memory_bytes": CACHE_BYTES,
        "enable_prefix_caching": prefix_caching,
    }
    if current_platform.is_cpu():
        given |= {"dtype": "bfloat16" if cpu_multiplies_bf16() else "float32", "enforce_eager": True}
    return given


async def ours(asked: list[Request], prefix_caching: bool) -> dict[str, float]:
    """The stage that writes documents, without the disk."""
    rows: list[dict[str, object]] = []
    settings = EngineSettings(model=MODEL, max_in_flight=MAX_SEQUENCES, options=options(prefix_caching))
    async with open_engine(settings, SEED) as engine:
        await engine.complete(asked[0])

        async def write(n: int) -> Done:
            answer = await ask(engine, asked[n], room="corpus", purpose="benchmark", item_id=str(n), max_attempts=1)
            return Done({"calls": answer.calls}, answer.outcome)

        began = time.perf_counter()
        await run_stage(
            "benchmark",
            range(len(asked)),
            write,
            lambda made: rows.extend(made["calls"]),
            max_in_flight=engine.max_in_flight,
            progress=Silent(),
        )
        seconds = time.perf_counter() - began
    return {"tokens": sum(int(str(row["completion_tokens"])) for row in rows), "seconds": seconds}


def bare(asked: list[Request], prefix_caching: bool) -> dict[str, float]:
    """The other side: vLLM alone."""
    from vllm import LLM, SamplingParams

    llm = LLM(model=str(model_folder(MODEL)), seed=SEED, **options(prefix_caching))
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


def measure(side: str, cache: str, arguments: argparse.Namespace) -> float:
    """Generated tokens per second of one run in a new process."""
    command = [sys.executable, __file__, "--child", side, cache, f"--prompts={arguments.prompts}"]
    command.append(f"--max-tokens={arguments.max_tokens}")
    finished = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        sys.exit(f"{side} failed:\n{finished.stderr[-2000:]}")
    result = json.loads(finished.stdout.splitlines()[-1])
    rate = float(result["tokens"] / result["seconds"])
    print(f"{side}, prefix cache {cache}: {rate:.0f} tokens/s", file=sys.stderr)
    return rate


def compare(arguments: argparse.Namespace) -> None:
    """Run both sides in turn and print the table."""
    model_folder(MODEL)
    rows: list[dict[str, object]] = []
    for cache in arguments.prefix_cache:
        rates = [
            (measure("ours", cache, arguments), measure("bare", cache, arguments)) for _ in range(arguments.repeats)
        ]
        ratios = [our_rate / bare_rate for our_rate, bare_rate in rates]
        rows.append(
            {
                "prefix cache": cache,
                "ours, median tokens/s": round(statistics.median(our_rate for our_rate, _ in rates)),
                "LLM.generate, median tokens/s": round(statistics.median(bare_rate for _, bare_rate in rates)),
                "median ratio": round(statistics.median(ratios), 3),
                "least": round(min(ratios), 3),
                "most": round(max(ratios), 3),
            }
        )
    show_table(
        f"{arguments.prompts} prompts, {arguments.max_tokens} tokens at most, temperature {TEMPERATURE}, {MODEL}, "
        f"{arguments.repeats} runs in turn, on {machine_name()}",
        rows,
    )


def main() -> None:
    """Compare, or be one side of the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=160)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--prefix-cache", nargs="+", choices=("on", "off"), default=("on", "off"))
    parser.add_argument("--child", nargs=2, metavar=("SIDE", "CACHE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        compare(arguments)
        return
    no_telemetry()
    side, cache = arguments.child
    asked = requests(arguments.prompts, arguments.max_tokens)
    print(json.dumps(asyncio.run(ours(asked, cache == "on")) if side == "ours" else bare(asked, cache == "on")))


if __name__ == "__main__":
    main()
