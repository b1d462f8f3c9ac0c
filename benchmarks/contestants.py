"""Who does the job of `overhead.py` and `crashes.py`: Specmill and its peers, each in an environment of its own."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from latency_server import Asked, Load

import prompts
from corpus.errors import SpecmillError
from corpus.store import open_reader

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = Path.home() / ".cache" / "specmill-benchmarks"
_RECORD = re.compile(r"Record (\d{5})\. .*\.", re.DOTALL)
"""A whole text of the latency server."""
_RULE = "In case {:05d} the assistant says what it knows, how sure it is, and what would settle the rest."
_GENRE = "internal memo"
Row = Mapping[str, object]


@dataclass(frozen=True)
class Job:
    """What everyone is asked for."""

    requests: int = 5000
    """Texts to get."""
    slots: int = 256
    """Requests in flight, at most."""
    deadline_seconds: float = 10.0
    """For one attempt."""
    max_retries: int = 4
    """After the first attempt."""


@dataclass(frozen=True)
class Contestant:
    """One tool, with its best settings for this job."""

    name: str
    package: str
    """The package whose version the table shows, and the name of its environment."""
    requirements: Sequence[str]
    """What the environment holds; empty for this project's own."""
    arguments: Callable[[Path, str, Job], list[str]]
    """What its Python is called with, for a folder, a URL and a job; called again it resumes."""
    results: str
    """The files with the rows that a user takes, as a pattern in the job's folder."""
    journals: str
    """The files that hold rows on their way there."""
    text: Callable[[Row], object]
    """The text of a row of `results`."""
    notes: str
    """Its settings, and what it has none for."""

    def rows(self, folder: Path) -> list[object]:
        """The texts that a user gets; those of files that do not read are not among them."""
        return [self.text(row) for file in folder.glob(self.results) for row in _read(file)[0]]

    def torn(self, folder: Path) -> list[Path]:
        """Files with rows that do not read to their end."""
        files = {file for pattern in (self.results, self.journals) for file in folder.glob(pattern)}
        return sorted(file for file in files if not _read(file)[1])


def _read(file: Path) -> tuple[list[Row], bool]:
    """The rows up to the first that does not read, and whether all do."""
    rows: list[Row] = []
    try:
        if file.is_dir():
            rows += open_reader(file).rows("SELECT text FROM documents")
        elif file.suffix == ".parquet":
            rows += pq.read_table(file).to_pylist()
        else:
            with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
                rows += (json.loads(line) for line in lines)
    except (OSError, EOFError, ValueError, pa.ArrowException, SpecmillError):
        return rows, False
    return rows, True


def record(text: object) -> int | None:
    """The job that a text answers; None for what is no whole text of the server."""
    whole = _RECORD.fullmatch(str(text).strip())
    return int(whole[1]) if whole else None


def _ours(folder: Path, url: str, job: Job) -> list[str]:
    return ["-m", "specmill", "generate", str(folder / "recipe.yaml")]


def _peer(script: str, *more: str) -> Callable[[Path, str, Job], list[str]]:
    def arguments(folder: Path, url: str, job: Job) -> list[str]:
        bounds = (job.slots, job.deadline_seconds, job.max_retries)
        return [str(HERE / "peers" / script), str(folder), url, *more, *map(str, bounds)]

    return arguments


def _datatrove_text(row: Row) -> object:
    results = row["metadata"]["rollout_results"]
    return results[0]["text"] if results else None


_DATATROVE = ("datatrove[io]==0.10.1", "aiofiles", "aiosqlite", "httpx", "openai", "pandas", "pyyaml", "typer")
"""Its extra `inference` without the engines that it starts itself."""
CONTESTANTS = (
    Contestant(
        "specmill", "specmill", (), _ours, "runs/job", "runs/job", lambda row: row["text"],
        "`specmill generate`; every row durable, every reply judged, its tokens counted",
    ),
    Contestant(
        "datatrove, own HTTP", "datatrove", _DATATROVE, _peer("datatrove_job.py", "own"),
        "out/*.jsonl.gz", "checkpoints/*/chunk_*.jsonl", _datatrove_text,
        "InferenceRunner, `server_type=endpoint`, checkpoints of 500 records and its cache of requests; on this path "
        "it has no deadline and no retry, a 500 ends the task: deadline and retries stand in the rollout function",
    ),
    Contestant(
        "datatrove, openai client", "datatrove", _DATATROVE, _peer("datatrove_job.py", "openai"),
        "out/*.jsonl.gz", "checkpoints/*/chunk_*.jsonl", _datatrove_text,
        "the same with `request_timeout`, over the openai client, which it takes for servers elsewhere",
    ),
    Contestant(
        "data-designer", "data-designer", ("data-designer==0.9.7",), _peer("data_designer_job.py"),
        "out/job/parquet-files/*.parquet", "out/job/parquet-files/*.parquet", lambda row: row["text"],
        "`max_parallel_requests`, `timeout`, `max_conversation_restarts` as the job says, 4 row groups of 500, no "
        "early shutdown, `ResumeMode.IF_POSSIBLE`; it drops the row of a reply that is no JSON",
    ),
    Contestant(
        "curator", "bespokelabs-curator", ("bespokelabs-curator==0.1.31",), _peer("curator_job.py"),
        "out/rows.parquet", "work/*/responses_*.jsonl", lambda row: row["text"],
        "backend openai, `max_concurrent_requests`, `request_timeout`, `max_retries` as the job says, no rate limit, "
        "1 s of pause after a 429, no live display; it retries when all first attempts are through",
    ),
)  # fmt: skip


def prepare(folder: Path, url: str, job: Job) -> None:
    """Write the recipe and the spec for Specmill, and for its peers requests of the same prompt but for the idea."""
    folder.mkdir(parents=True)
    rules = [_RULE.format(number) for number in range(job.requests)]
    (folder / "spec.md").write_text("# Cases\n" + "\n".join(f"- {rule}" for rule in rules) + "\n")
    recipe = {
        "name": "job",
        "runs": str(folder / "runs"),
        "spec": {"path": "spec.md", "hold_out": {"fraction": 0}},
        "engine": {
            "kind": "openai", "model": "slow", "base_url": url, "max_in_flight": job.slots,
            "timeout_seconds": job.deadline_seconds, "max_retries": job.max_retries,
        },
        "generate": {"documents": job.requests, "chats": 0, "genres": {_GENRE: 1}, "excerpt_tokens": 0},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    card = prompts.genres()[_GENRE]
    shown = {name: getattr(card, name) for name in ("description", "voice", "form", "realism", "avoid", "target_words")}
    shown |= {"model_name": "the assistant", "provider_name": "its developer", "headings": "Cases"}
    shown["stance_note"] = prompts.load("stance_values").text(model_name="the assistant")
    template = prompts.load("document")
    with (folder / "prompts.jsonl").open("w", encoding="utf-8") as file:
        for number, rule in enumerate(rules):
            values = {**dict.fromkeys(template.variables, ""), **shown, "principles": rule}
            system, user = template.render(**values)
            row = {"id": f"{number:05d}", "system": system["content"], "prompt": user["content"]}
            file.write(json.dumps(row) + "\n")


def environment(contestant: Contestant, environments: Path) -> tuple[Path, str]:
    """The Python of a contestant, in an environment that is made if need be, and the version of its package."""
    python = Path(sys.executable)
    if contestant.requirements:
        home = environments / contestant.package
        python = home / "bin" / "python"
        if not (home / "ready").exists():
            environments.mkdir(parents=True, exist_ok=True)
            overrides = environments / "overrides.txt"
            overrides.write_text("certifi\n")  # one peer asks for a newer one than every mirror has
            uv = Path(sys.executable).with_name("uv")
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
            install = [uv, "pip", "install", "--quiet", "--python", python, "--override", overrides]
            subprocess.run([*install, *contestant.requirements], check=True)
            (home / "ready").touch()
    asked = f"import importlib.metadata; print(importlib.metadata.version({contestant.package!r}))"
    found = subprocess.run([python, "-c", asked], cwd=HERE.parent, capture_output=True, text=True, check=True)
    return python, found.stdout.strip()


def start(contestant: Contestant, python: Path, folder: Path, url: str, job: Job) -> subprocess.Popen[bytes]:
    """Begin the job, or go on with it; what it prints goes to `log` in its folder."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    variables |= {"OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1"}
    variables |= {"NEMO_TELEMETRY_ENABLED": "false", "TELEMETRY_ENABLED": "false", "DO_NOT_TRACK": "1"}
    variables |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "CURATOR_DISABLE_RICH_DISPLAY": "1"}
    # Two peers count tokens by a vocabulary that they would fetch; litellm brings it along.
    vocabularies = sorted(python.parents[2].glob("*/lib/*/site-packages/litellm/*/tokenizers"))
    variables |= {"TIKTOKEN_CACHE_DIR": str(vocabularies[0])} if vocabularies else {}
    variables |= {"HF_HOME": str(folder / "hf")} if contestant.requirements else {"PYTHONPATH": str(HERE.parent)}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [python, *contestant.arguments(folder, url, job)],
            cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


@contextmanager
def serve(load: Load) -> Iterator[str]:
    """The latency server in a process of its own; gives its URL, up to and with `/v1`."""
    command = [sys.executable, "-I", str(HERE / "latency_server.py"), *load.options()]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    finally:
        server.kill()
        server.wait()


def ask(url: str, path: str) -> object:
    """What the server says of itself."""
    with urllib.request.urlopen(url.removesuffix("/v1") + path) as answer:
        return json.load(answer)


def log(url: str) -> list[Asked]:
    """Every request so far."""
    rows = ask(url, "/log")
    assert isinstance(rows, list)
    return [Asked(**row) for row in rows]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that both scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {**vars(Job()), **vars(Load())}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    names = [contestant.name for contestant in CONTESTANTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="CONTESTANT")
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="where those of the peers are made")
    parser.add_argument("--keep", type=Path, help="a folder to work in, and to leave as it is; else a temporary one")
    return parser


def chosen(given: argparse.Namespace) -> tuple[Job, Load, list[Contestant]]:
    """What the options ask for."""
    values = vars(given)
    job = Job(**{name: values[name] for name in vars(Job())})
    load = Load(**{name: values[name] for name in vars(Load())})
    return job, load, [contestant for contestant in CONTESTANTS if contestant.name in given.only]


def markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
