"""The job in datatrove: InferenceRunner on an endpoint, with checkpoints and its cache of requests.

    python datatrove_job.py FOLDER URL CLIENT SLOTS DEADLINE_SECONDS MAX_RETRIES

CLIENT is `own` or `openai`. For http://127.0.0.1 datatrove posts over sockets of its own, with neither deadline nor
retries (a 500 ends the task), so its rollout function brings both here. For every other address it uses the openai
client with `request_timeout` and that client's retries, and 127.1 is such an address.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.inference.types import InferenceError, InferenceResult, ServerError
from datatrove.pipeline.writers import JsonlWriter

Generate = Callable[[dict[str, object]], Awaitable[InferenceResult]]


def main(folder: Path, url: str, client: str, slots: int, deadline_seconds: float, max_retries: int) -> None:
    """Run the job, or what is left of it."""

    def read(data: object, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for line in (folder / "prompts.jsonl").open(encoding="utf-8"):
            row = json.loads(line)
            yield Document(text=row["prompt"], id=row["id"], metadata={"system": row["system"]})

    async def rollout(document: Document, generate: Generate) -> InferenceResult | None:
        messages = [
            {"role": "system", "content": document.metadata["system"]},
            {"role": "user", "content": document.text},
        ]
        for _ in range(1 + max_retries):
            try:
                payload: dict[str, object] = {"messages": messages, "max_tokens": 800, "temperature": 0.8}
                async with asyncio.timeout(deadline_seconds if client == "own" else None):
                    return await generate(payload)
            except (InferenceError, ServerError, TimeoutError):
                continue
        return None

    host = url.removesuffix("/v1")
    runner = InferenceRunner(
        rollout_fn=rollout,
        config=InferenceConfig(
            server_type="endpoint",
            model_name_or_path="slow",
            endpoint_url=host if client == "own" else url.replace("127.0.0.1", "127.1"),
            api_key="none",
            max_concurrent_generations=slots,
            request_timeout=deadline_seconds,
        ),
        output_writer=JsonlWriter(str(folder / "out"), output_filename="${rank}_${chunk_index}.jsonl.gz"),
        checkpoints_local_dir=str(folder / "checkpoints"),
        records_per_chunk=500,
    )
    LocalPipelineExecutor([read, runner], tasks=1, logging_dir=str(folder / "logs")).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
