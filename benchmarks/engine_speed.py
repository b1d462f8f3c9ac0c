"""Generated tokens per second: our engine under `run_stage`, beside bare `LLM.generate` on the same prompts.

Both are started side by side, each in a process of its own, with the same environment, arithmetic, number of sequences,
batch and cache; then they generate in turn, one waiting while the other works: plain text, then under a JSON schema;
with the prefix cache on, then off. Ours does what a real stage does: it renders the chat template, keeps a
bounded number of requests open, judges every reply and makes its row of the calls table. The bare one gets token ids
that were made beforehand, all at once.

    python benchmarks/engine_speed.py --repeats 3
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

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


SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "ideas": {
            "type": "array",
            "minItems": 4,
            "items": {
                "type": "object",
                "properties": {"title": {"type": "string"}, "idea": {"type": "string"}},
                "required": ["title", "idea"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["ideas"],
    "additionalProperties": False,
}
"""As an outline asks for ideas."""
FORMS = ("plain", "schema")


def requests(num_prompts: int, max_tokens: int, form: str) -> list[Request]:
    """Prompts with a shared beginning, as a run's are."""
    schema = SCHEMA if form == "schema" else None
    made = []
    for n in range(num_prompts):
        genre, topic, place = GENRES[n % 5], TOPICS[n // 5 % 5], PLACES[n // 25 % 6]
        wish = f"Write {genre} about {topic} {place}. It is number {n} of a series."
        made.append(Request((Message("system", GUIDE), Message("user", wish)), max_tokens, TEMPERATURE, schema=schema))
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


async def ours(arguments: argparse.Namespace, cache: str) -> None:
    """The stage that writes documents, without the disk: once for each form that stdin asks for."""
    settings = EngineSettings(model=MODEL, max_in_flight=arguments.window, options=options(cache == "on"))
    async with open_engine(settings, SEED) as engine:
        for form in turns():
            asked = requests(arguments.prompts, arguments.max_tokens, form)
            rows: list[dict[str, object]] = []

            async def write(request: Request) -> Done:
                answer = await ask(engine, request, room="corpus", purpose="benchmark", item_id="", max_attempts=1)
                return Done({"calls": answer.calls}, answer.outcome)

            began = time.perf_counter()
            await run_stage(
                "benchmark",
                asked,
                write,
                lambda made, rows=rows: rows.extend(made["calls"]),
                max_in_flight=engine.max_in_flight,
                progress=Silent(),
            )
            report(sum(int(str(row["completion_tokens"])) for row in rows), time.perf_counter() - began)


def bare(arguments: argparse.Namespace, cache: str) -> None:
    """The other side: vLLM alone."""
    from vllm import LLM, SamplingParams
    from vllm.config import StructuredOutputsConfig
    from vllm.sampling_params import StructuredOutputsParams

    structured = StructuredOutputsConfig(backend="xgrammar", disable_any_whitespace=True)
    llm = LLM(model=str(model_folder(MODEL)), seed=SEED, structured_outputs_config=structured, **options(cache == "on"))
    tokenizer = llm.get_tokenizer()
    for form in turns():
        asked = requests(arguments.prompts, arguments.max_tokens, form)
        texts = [
            tokenizer.apply_chat_template(
                [message._asdict() for message in request.messages], tokenize=False, add_generation_prompt=True
            )
            for request in asked
        ]
        prompts = [{"prompt_token_ids": tokenizer.encode(text, add_special_tokens=False)} for text in texts]
        schema = StructuredOutputsParams(json=SCHEMA) if form == "schema" else None
        sampling = SamplingParams(
            temperature=TEMPERATURE, max_tokens=arguments.max_tokens, structured_outputs=schema
        )  # fmt: skip
        began = time.perf_counter()
        outputs = llm.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - began
        report(sum(len(output.outputs[0].token_ids) for output in outputs), seconds)


def turns() -> Iterator[str]:
    """Say that the engine is there, then the forms that are asked for, until stdin ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        yield line.strip()


def report(num_tokens: int, seconds: float) -> None:
    """One turn's tokens a second."""
    print(f"rate {num_tokens / seconds}", flush=True)


class Side:
    """One side in a process of its own, which waits between its turns."""

    def __init__(self, name: str, cache: str, arguments: argparse.Namespace) -> None:
        """Start it; `turn` waits until it is there."""
        command = [sys.executable, __file__, "--child", name, cache, f"--prompts={arguments.prompts}"]
        command += [
            f"--max-tokens={arguments.max_tokens}",
            *([f"--window={arguments.window}"] if arguments.window else []),
        ]
        self.name = f"{name}, prefix cache {cache}"
        self._process = subprocess.Popen(
            command, env=os.environ | ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def turn(self, form: str) -> float:
        """Generated tokens per second of one batch."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{form}\n")
        self._process.stdin.flush()
        rate = float(self._line("rate").removeprefix("rate "))
        print(f"{self.name}, {form}: {rate:.0f} tokens/s", file=sys.stderr)
        return rate

    def wait(self) -> None:
        """Until its engine is there and has generated once."""
        self._line("ready")
        self.turn("plain")

    def end(self) -> None:
        """Let it go."""
        self._process.communicate(timeout=60)

    def _line(self, start: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(start):
                return line.strip()
        sys.exit(f"{self.name} ended with {self._process.wait()}")


def compare(arguments: argparse.Namespace) -> None:
    """Run both sides in turn and print the table."""
    model_folder(MODEL)
    rows: list[dict[str, object]] = []
    for cache in arguments.prefix_cache:
        sides = [Side(name, cache, arguments) for name in ("ours", "bare")]
        for side in sides:
            side.wait()
        for form in FORMS:
            rates = [[side.turn(form) for side in sides] for _ in range(arguments.repeats)]
            ratios = [our_rate / bare_rate for our_rate, bare_rate in rates]
            rows.append(
                {
                    "prefix cache": cache,
                    "replies": form,
                    "ours, median tokens/s": round(statistics.median(our_rate for our_rate, _ in rates)),
                    "LLM.generate, median tokens/s": round(statistics.median(bare_rate for _, bare_rate in rates)),
                    "median ratio": round(statistics.median(ratios), 3),
                    "least": round(min(ratios), 3),
                    "most": round(max(ratios), 3),
                }
            )
        for side in sides:
            side.end()
    show_table(
        f"{arguments.prompts} prompts, {arguments.max_tokens} tokens at most, temperature {TEMPERATURE}, {MODEL}, "
        f"{arguments.repeats} runs in turn, on {machine_name()}",
        rows,
    )


def main() -> None:
    """Compare, or be one side of the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--prefix-cache", nargs="+", choices=("on", "off"), default=("on", "off"))
    parser.add_argument("--window", type=int, default=None, help="our requests in flight; left out: the engine's own")
    parser.add_argument("--child", nargs=2, metavar=("SIDE", "CACHE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        compare(arguments)
        return
    no_telemetry()
    side, cache = arguments.child
    if side == "ours":
        asyncio.run(ours(arguments, cache))
    else:
        bare(arguments, cache)


if __name__ == "__main__":
    main()
