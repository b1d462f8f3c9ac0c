"""A whole spec through `outline: model` in a context of 8,192 tokens: does every request fit, is every clause covered?

    python benchmarks/whole_spec.py SPEC.md

The model is that of `schema_server.py`, asked in this process: it obeys every schema, so this shows the shape of the
outline and the length of its prompts, and nothing of what a real model makes of them. Requests are counted with the
tokenizer of the model that is built in; one that is too long for the context is refused, as vLLM would.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest.mock import patch

from schema_server import reply_to

from corpus import generate_corpus, generation
from corpus.engine import CallFailed, Reply, Request
from corpus.hardware import machine_name
from corpus.known import load_known
from corpus.models import token_counter
from corpus.plans import make_plan
from corpus.recipe import Recipe
from corpus.run import open_run
from corpus.stage import Silent

CONTEXT_TOKENS = 8192
ITEMS = {"domains": 3, "subdomains": 3, "assertions": 6}
LARGEST = 60
"""Numbers given out over the items of a list: clauses that a prompt shows are fewer, and others are of no effect."""


class CountingEngine:
    """Answers by the schema, counts what it is asked, refuses what does not fit."""

    model = "schema"
    max_in_flight = 64
    context_tokens = CONTEXT_TOKENS

    def __init__(self) -> None:
        self.longest: dict[str, list[int]] = defaultdict(list)
        """Tokens of every request with the room for its reply, by what is asked for."""
        self._count = token_counter("builtin:smollm2-135m", None, trust_remote_code=False)

    def count_tokens(self, request: Request) -> int:
        """Tokens of the messages."""
        return self._count(["\n".join(f"{message.role}\n{message.content}" for message in request.messages)])[0]

    async def complete(self, request: Request) -> Reply:
        """A reply, or the refusal of a server that has too short a context."""
        num_tokens = self.count_tokens(request) + request.max_tokens
        asked_for = next(iter(request.schema["properties"])) if request.schema else "texts"
        self.longest[asked_for].append(num_tokens)
        if num_tokens > CONTEXT_TOKENS:
            raise CallFailed("error", f"{num_tokens} tokens exceed the context")
        told: dict[str, object] = {
            "messages": [[message.role, message.content] for message in request.messages], "seed": request.seed,
        }  # fmt: skip
        if request.schema:
            told["response_format"] = {"json_schema": {"schema": request.schema}}
        _, text = reply_to(told, ITEMS, LARGEST)
        return Reply(text, "stop", num_tokens - request.max_tokens, 0, len(text.split()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def main() -> None:
    """Generate twice, and print what was asked and what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--chats", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe.model_validate({
            "name": "whole", "runs": folder, "engine": {"max_in_flight": CountingEngine.max_in_flight},
            "generate": {"outline": "model", "documents": given.documents, "chats": given.chats},
            "spec": {"path": given.spec.resolve(), "model_name": "Marlow", "provider_name": "Tidewater"},
        })  # fmt: skip
        began = time.perf_counter()
        with open_run(recipe, "generate", print) as run:
            first, second = CountingEngine(), CountingEngine()
            for engine in (first, second):
                with patch.object(generation, "open_engine", lambda settings, seed, engine=engine: engine):
                    generate_corpus(recipe, run.store, Silent())
            print(f"{machine_name()}: {time.perf_counter() - began:.0f} s\n\n| asked for | calls | longest, tokens |")
            print("| --- | --- | --- |")
            for asked_for, sizes in first.longest.items():
                print(f"| {asked_for} | {len(sizes):,} | {max(sizes):,} |")
            counts = run.store.rows("""
                SELECT (SELECT count(*) FROM documents) AS documents, (SELECT count(*) FROM chats) AS chats,
                       (SELECT count(DISTINCT (domain, subdomain)) FROM assertions) AS subdomains,
                       (SELECT count(*) FROM assertions) AS assertions,
                       (SELECT count(*) FROM calls WHERE outcome <> 'ok') AS failed_calls
            """)[0]
            print("\n" + ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in counts.items()))
            print(f"clauses uncovered {len(make_plan(recipe, load_known(run.store)).outline.uncovered())}")
            print(f"asked by the second run {sum(map(len, second.longest.values()))}")


if __name__ == "__main__":
    main()
