"""How diverse are documents on ideas, beside documents on clause and genre alone, and beside prose by people?

One engine session writes both arms: with every document that a run asks for, the same prompt without its idea (and
without the opening that the idea gives) is sent along: same clause, genre and sampling. Only whole, sound replies
count; all texts are cut to the same number of words, and every row has equally many. What the model wrote after a given
opening has a row of its own, since the opening is ours.

    python benchmarks/diversity.py FOLDER                  both steps
    python benchmarks/diversity.py FOLDER --only generate  the texts, as FOLDER/texts.jsonl
    python benchmarks/diversity.py FOLDER --only measure   the table, without an engine
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from human_prose import python_prose
from text_diversity import Collection, Measured, measure

from corpus import generate_corpus, generation
from corpus.console import show_progress, show_table
from corpus.engine import CallFailed, Engine, Reply, Request, open_engine, outcome_of
from corpus.hardware import machine_name
from corpus.recipe import EngineSettings
from corpus.recipe.file import load_recipe
from corpus.run import open_run

ROOT = Path(__file__).resolve().parent.parent
IDEAS, ALONE = "ideas", "clause and genre alone"
WRITTEN, HUMAN = "ideas, after the opening given", "people: Python's documentation"
SEED = 17


class BothArms:
    """An engine that asks another one twice, with and without the idea, and passes on the reply to the first."""

    def __init__(
        self, engine: Engine, ideas: Callable[[], Sequence[str]], keep: Callable[[dict[str, object]], None]
    ) -> None:
        """`ideas` gives those of all briefs once there are some; `keep` takes every reply as a row."""
        self._engine, self._ideas, self._keep = engine, ideas, keep
        self._known: Sequence[str] = ()

    @property
    def model(self) -> str:
        """The other engine's."""
        return self._engine.model

    @property
    def max_in_flight(self) -> int:
        """Half of the other engine's: each request becomes two."""
        return max(1, self._engine.max_in_flight // 2)

    @property
    def context_tokens(self) -> int | None:
        """The other engine's."""
        return self._engine.context_tokens

    def count_tokens(self, request: Request) -> int:
        """The other engine's: with the idea a prompt is the longer one."""
        return self._engine.count_tokens(request)

    async def complete(self, request: Request) -> Reply:
        """The reply to the request as it is; an outline's requests are asked once."""
        if request.schema is not None:
            return await self._engine.complete(request)
        self._known = self._known or self._ideas()
        asked = {IDEAS: request, ALONE: without_idea(request, self._known)}
        replies = await asyncio.gather(*map(self._ask, asked.values()))
        for (arm, its_request), reply in zip(asked.items(), replies, strict=True):
            failed = isinstance(reply, CallFailed)
            self._keep({
                "arm": arm,
                "outcome": reply.outcome if failed else outcome_of(reply, its_request),
                "opening": its_request.opening,
                "text": None if failed else reply.text.strip(),
                "prompt": [message.content for message in its_request.messages],
            })  # fmt: skip
        if isinstance(replies[0], CallFailed):
            raise replies[0]
        return replies[0]

    async def _ask(self, request: Request) -> Reply | CallFailed:
        try:
            return await self._engine.complete(request)
        except CallFailed as failed:
            return failed

    async def __aenter__(self) -> Self:
        await self._engine.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._engine.__aexit__(kind, error, trace)


def without_idea(request: Request, ideas: Sequence[str]) -> Request:
    """The request as it would be if there were no ideas."""
    messages = []
    for message in request.messages:
        content = message.content
        for idea in ideas:
            content = content.replace(f" {idea}", "")
        messages.append(message._replace(content=content))
    alone = replace(request, messages=tuple(messages), opening="")
    assert alone != request, "the request shows no idea, so the two arms would be one"
    return alone


def generate(arguments: argparse.Namespace) -> None:
    """Write both arms; only their texts are kept of the run."""
    arguments.folder.mkdir(parents=True, exist_ok=True)
    asked = [f"generate.documents={arguments.documents}", "generate.chats=0", "generate.max_attempts=1"]
    with (
        tempfile.TemporaryDirectory() as runs,
        (arguments.folder / "texts.jsonl").open("w") as file,
        show_progress() as progress,
        open_run(load_recipe(arguments.recipe, [*asked, *arguments.override, f"runs={runs}"]), "generate",
                 progress.note) as run,
    ):  # fmt: skip

        def ideas() -> list[str]:
            return [str(row["idea"]) for row in run.store.rows("SELECT DISTINCT idea FROM briefs WHERE idea <> ''")]

        def both(settings: EngineSettings, seed: int) -> BothArms:
            return BothArms(open_engine(settings, seed), ideas, lambda row: print(json.dumps(row), file=file))

        generation.open_engine = both  # so that the run itself asks: the prompts are a run's
        generate_corpus(run.recipe, run.store, progress)


@dataclass(frozen=True)
class Row:
    """One row of the table, and how many texts it was left with at each step."""

    name: str
    num_asked: int
    num_whole: int
    texts: list[list[str]]
    """Those that are long enough, cut to one length."""


def read_rows(folder: Path, num_words: int) -> list[Row]:
    """The rows of the table, each with all texts that it could use."""
    replies = [json.loads(line) for line in (folder / "texts.jsonl").read_text().splitlines()]
    asked = Counter(reply["arm"] for reply in replies)
    whole = {arm: [reply for reply in replies if (reply["arm"], reply["outcome"]) == (arm, "ok")] for arm in asked}
    texts = {arm: [reply["text"] for reply in whole[arm]] for arm in (IDEAS, ALONE)}
    after = [reply["text"].removeprefix(reply["opening"]) for reply in whole[IDEAS]]
    rows = [_row(IDEAS, texts[IDEAS], asked[IDEAS], num_words)]
    if after != texts[IDEAS]:
        rows.append(_row(WRITTEN, after, asked[IDEAS], num_words))
    human = python_prose(num_words)
    return [*rows, _row(ALONE, texts[ALONE], asked[ALONE], num_words), _row(HUMAN, human, len(human), num_words)]


def _row(name: str, texts: Sequence[str], num_asked: int, num_words: int) -> Row:
    words = [text.lower().split() for text in texts]
    return Row(name, num_asked, len(texts), [text[:num_words] for text in words if len(text) >= num_words])


def show_diversity(arguments: argparse.Namespace) -> None:
    """Measure and print the table."""
    from filters.meaning.embedding import embed, embedding_folder

    rows = read_rows(arguments.folder, arguments.words)
    num_texts = min(len(row.texts) for row in rows)
    if num_texts < 2:
        raise SystemExit(f"a row has {num_texts} texts of {arguments.words} words; lower --words, or write more")
    model = embedding_folder(arguments.embedding_folder)
    measured: dict[str, dict[str, Measured]] = {}
    for row in rows:
        drawn = random.Random(f"{SEED} {row.name}").sample(row.texts, num_texts)
        measured[row.name] = measure(Collection(drawn, embed([" ".join(text) for text in drawn], model)), SEED)
    show_table("texts", [
        {"row": row.name, "asked for": row.num_asked, "whole and sound": row.num_whole,
         f"of {arguments.words} words": len(row.texts), "measured": num_texts}
        for row in rows
    ])  # fmt: skip
    table = [{"row": name, **{key: str(value) for key, value in values.items()}} for name, values in measured.items()]
    difference = {key: str(value - measured[ALONE][key]) for key, value in measured[IDEAS].items()}
    table.append({"row": f"{IDEAS}, less {ALONE}", **difference})
    show_table(f"{num_texts} texts of {arguments.words} words each, with 95 % intervals, on {machine_name()}", table)


def main() -> None:
    """Write, measure, or both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=("generate", "measure"))
    parser.add_argument("--recipe", type=Path, default=ROOT / "examples/demo.yaml")
    parser.add_argument("--documents", type=int, default=300, help="documents asked for in each arm")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY.PATH=VALUE")
    parser.add_argument("--words", type=int, default=60, help="words that every text is cut to")
    parser.add_argument("--embedding-folder", help="a sentence model; left out: the one of the installed package")
    arguments = parser.parse_args()
    if arguments.only != "measure":
        generate(arguments)
    if arguments.only != "generate":
        show_diversity(arguments)


if __name__ == "__main__":
    main()
