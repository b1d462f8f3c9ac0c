"""A small spec, and a recipe and a model that outline it."""

from __future__ import annotations

import json
from pathlib import Path

from fakes.openai_server import hashed
from fakes.outline import structured

from corpus.engine import Request
from corpus.recipe import Recipe
from corpus.run import Run

RULES = {
    title: [f"- The assistant keeps {title.lower()} rule {number} {manner}." for number, manner in enumerate(manners)]
    for title, manners in {
        "Honesty": ["plainly", "at once", "in writing", "without being asked"],
        "Care": ["slowly", "with a second look", "when in doubt", "for children too"],
        "Tools": ["before each call", "after each call", "once a day", "only with leave"],
    }.items()
}
SPEC = "# Conduct\n\n" + "\n\n".join(f"## {title}\n\n" + "\n".join(rules) for title, rules in RULES.items())
GENRES = {"internal memo": 1, "faq page": 2, "short story": 1}


def recipe(folder: Path, **generate: object) -> Recipe:
    (folder / "spec.md").write_text(SPEC)
    settings = {
        "outline": "model", "documents": 20, "chats": 6, "genres": GENRES, "genres_per_subdomain": 2,
        "ideas_per_call": 3,
    } | generate  # fmt: skip
    return Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": settings, "engine": {"max_in_flight": 4},
        "spec": {"path": folder / "spec.md", "model_name": "Marlow", "provider_name": "Tidewater",
                 "hold_out": {"fraction": 0.2}},
    })  # fmt: skip


def prose(request: Request) -> str:
    return " ".join(f"word{hashed(request.seed, n) % 9973}" for n in range(50))


def asks_for(request: Request, name: str) -> bool:
    return request.schema is not None and name in request.schema["properties"]


def model(request: Request) -> str:
    return structured(request) if request.schema else prose(request)


def one_subdomain(request: Request) -> str:
    everything = list(range(1, 13))
    if asks_for(request, "domains"):
        return json.dumps({"domains": [{"name": "Conduct", "clauses": everything}]})
    if asks_for(request, "subdomains"):
        return json.dumps({"subdomains": [{"name": "All", "context": "All of it.", "clauses": everything}]})
    return model(request)


def ids(run: Run, table: str = "briefs") -> set[str]:
    column = {"briefs": "brief_id", "documents": "doc_id", "chats": "chat_id"}[table]
    return {str(row["id"]) for row in run.store.rows(f"SELECT {column} AS id FROM {table}")}


def num_written(run: Run, table: str = "documents") -> int:
    return len(run.store.rows(f"SELECT 1 FROM {table}"))
