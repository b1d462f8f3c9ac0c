"""Answers of the arms: each prompt of a task that samples is asked `samples` times, on vLLM as it serves the arm.

An answer is known by all that made it: model, messages, sampling and its number. So a prompt that changes is asked
again and the others are not, and an arm that is another one's model under another name answers without being asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from corpus.engine import CallFailed, Engine, Message, Reply, Request, call_row, open_engine, refuse_too_long
from corpus.errors import RecipeError
from corpus.foreign import without_half_characters
from corpus.recipe import EngineSettings, Recipe
from corpus.stage import Done, Progress, StageReport, run_stage
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id, draw
from eval.tasks.material import Asked, Sampled
from eval.trained import TrainedArm

ANSWER_CODE_VERSION = 1
"""Part of every answer's identity: raised when the same model and prompt would be asked otherwise."""
_OF_SPEED = frozenset({
    "max_model_len", "max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization", "tensor_parallel_size",
    "pipeline_parallel_size", "enforce_eager", "kv_cache_memory_bytes", "swap_space", "cpu_offload_gb",
})  # fmt: skip
"""Options of vLLM that change how fast it answers and not, but for rounding, what."""
_REMEDY = "raise eval.engine.options.max_model_len, lower the task's max_tokens, or give items that are shorter"

ArmEngine = Callable[[Recipe, TrainedArm, Path], EngineSettings]
"""From an arm, and a folder that lives as long as the engine, to what serves it."""


@dataclass(frozen=True)
class Wanted:
    """One answer that a task wants of an arm."""

    task: str
    asked: Asked
    sample: int
    answers_hash: str
    """Of all the answers that the task wants of the arm: what makes a row current."""
    key: str
    """Names the answer by all that makes it."""
    request: Request

    @property
    def answer_id(self) -> str:
        """The row's id."""
        return content_id("answer", self.answers_hash, self.asked.item_id, self.asked.variant, self.sample)


def wanted_answers(recipe: Recipe, one: TrainedArm, task: str, sampled: Sampled) -> list[Wanted]:
    """Every answer that a task wants of an arm, in the order in which they are asked."""
    sampling = [sampled.max_tokens, sampled.temperature]
    prompts = list(sampled.prompts)
    every = [[asked.item_id, asked.variant, list(asked.messages)] for asked in prompts]
    options = {name: value for name, value in recipe.eval.engine.options.items() if name not in _OF_SPEED}
    served = [ANSWER_CODE_VERSION, one.model_hash, sampling, recipe.seed, options]
    answers_hash = content_id("answers", served, one.arm, one.seed, task, every, sampled.samples)
    wanted = []
    for asked in prompts:
        for sample in range(sampled.samples):
            key = content_id("answer_key", served, list(asked.messages), sample)
            request = Request(
                messages=tuple(Message(turn["role"], turn["content"]) for turn in asked.messages),
                max_tokens=sampled.max_tokens,
                temperature=sampled.temperature,
                seed=draw("answer", key) % 2**31,
            )
            wanted.append(Wanted(task, asked, sample, answers_hash, key, request))
    return wanted


def answer_missing(
    recipe: Recipe, store: WritingStore, one: TrainedArm, wanted: Sequence[Wanted], serve: ArmEngine, progress: Progress
) -> StageReport | None:
    """Ask for what is missing of `wanted`; the engine is started only if there is something to ask.

    Raises:
        RecipeError: a prompt is longer than the arm's context.
        EngineError: the engine can do nothing more; what it said until then is kept.
    """
    missing = _not_there(store, wanted)
    known = _known(store, missing)
    write = store.writer("eval").append
    for want in missing:
        if want.key in known:
            write({"answers": [known[want.key] | _place(one, want)]})
    asked = [want for want in missing if want.key not in known]
    return asyncio.run(_ask_each(recipe, store, one, asked, serve, progress)) if asked else None


async def _ask_each(
    recipe: Recipe, store: WritingStore, one: TrainedArm, asked: Sequence[Wanted], serve: ArmEngine, progress: Progress
) -> StageReport:
    with TemporaryDirectory(prefix="specmill-arm-") as folder:
        # vLLM draws all replies from one stream: started anew with the same seed it would give the same draws again, to
        # samples 50 to 99 of a prompt those of 0 to 49, and to each arm those of the one before.
        seed = draw("engine", [want.key for want in asked]) % 2**31
        async with open_engine(serve(recipe, one, Path(folder)), seed) as engine:
            tasks = ", ".join(sorted({want.task for want in asked}))
            try:
                refuse_too_long(engine, (want.request for want in asked), _REMEDY)
            except RecipeError as error:
                raise RecipeError(f"eval.tasks ({tasks}): {error}") from None
            return await run_stage(
                f"answer {one.label}",
                asked,
                partial(_ask, engine, one),
                store.writer("eval").append,
                max_in_flight=engine.max_in_flight,
                progress=progress,
            )


async def _ask(engine: Engine, one: TrainedArm, want: Wanted) -> Done:
    """One answer, cut off or empty as it may be: what an arm says is what is measured.

    Where nothing came back there is a row of `calls` that says why, and the next run asks again.
    """
    began = time.monotonic()

    def called(outcome: Literal["timeout", "error"], reply: Reply | None, problem: str) -> dict[str, object]:
        return call_row(
            engine,
            room="eval",
            purpose=f"answer {want.task}",
            item_id=want.answer_id,
            attempt=0,
            outcome=outcome,
            began=began,
            reply=reply,
            problem=problem,
        )

    try:
        reply = await engine.complete(want.request)
    except CallFailed as failure:
        return Done({"calls": [called(failure.outcome, None, str(failure))]}, failure.outcome)
    if reply.finish_reason in ("abort", "error"):  # the engine broke off itself
        call = called("error", reply, f"the engine ended the reply with {reply.finish_reason!r}")
        return Done({"calls": [call]}, "error")
    answer = {
        "messages": list(want.asked.messages),
        "text": without_half_characters(reply.text),
        "finish_reason": without_half_characters(reply.finish_reason),
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
    }
    return Done({"answers": [answer | _place(one, want)]}, "ok")


def _not_there(store: Store, wanted: Sequence[Wanted]) -> list[Wanted]:
    hashes = sorted({want.answers_hash for want in wanted})
    rows = store.rows(
        "SELECT answer_id FROM all_answers WHERE answers_hash IN (SELECT unnest($hashes))", {"hashes": hashes}
    )
    there = {row["answer_id"] for row in rows}
    return [want for want in wanted if want.answer_id not in there]


def _known(store: Store, missing: Sequence[Wanted]) -> dict[str, dict[str, object]]:
    """Rows with the answers that were given already, by key: under another arm's name, or beside other prompts."""
    rows = store.rows(
        """
        SELECT * EXCLUDE (stale) FROM all_answers
        WHERE answer_key IN (SELECT unnest($keys::VARCHAR[])) ORDER BY answer_id
        """,
        {"keys": [want.key for want in missing]},
    )
    return {str(row["answer_key"]): row for row in rows}


def _place(one: TrainedArm, want: Wanted) -> dict[str, object]:
    return {
        "answer_id": want.answer_id,
        "arm": one.arm,
        "train_seed": one.seed,
        "task": want.task,
        "item_id": want.asked.item_id,
        "variant": want.asked.variant,
        "sample": want.sample,
        "answer_key": want.key,
        "answers_hash": want.answers_hash,
    }
