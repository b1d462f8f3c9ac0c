"""The job in Curator: one `LLM` over a list of prompts, with its cache, its rows written as one Parquet file.

python curator_job.py FOLDER URL SLOTS DEADLINE_SECONDS MAX_RETRIES
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bespokelabs import curator


class Writer(curator.LLM):
    """Asks with a system and a user part, and keeps the text."""

    def prompt(self, row: dict[str, str]) -> list[dict[str, str]]:
        """The messages of a row."""
        return [{"role": "system", "content": row["system"]}, {"role": "user", "content": row["prompt"]}]

    def parse(self, row: dict[str, str], response: str) -> dict[str, str]:
        """The row that a reply makes."""
        return {"id": row["id"], "text": response}


def main(folder: Path, url: str, slots: int, deadline_seconds: float, max_retries: int) -> None:
    """Run the job, or what is left of it."""
    with (folder / "prompts.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    writer = Writer(
        model_name="slow",
        backend="openai",
        generation_params={"max_tokens": 800, "temperature": 0.8},
        backend_params={
            "base_url": url,
            "max_concurrent_requests": slots,
            "max_requests_per_minute": 1_000_000,
            "max_tokens_per_minute": 10_000_000_000,
            "request_timeout": int(deadline_seconds),
            "max_retries": max_retries,
            "require_all_responses": False,
            "seconds_to_pause_on_rate_limit": 1,
        },
    )
    response = writer(rows, working_dir=str(folder / "work"))
    (folder / "out").mkdir(exist_ok=True)
    response.dataset.to_parquet(str(folder / "out" / "rows.parquet"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
