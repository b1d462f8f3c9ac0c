"""What writing documents and writing chats have in common: which briefs are missing, and what their prompts show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import prompts
from corpus.briefs import context_text
from corpus.engine import Message, Request
from corpus.clauses import load_clauses
from corpus.recipe import Recipe
from corpus.spec import Clause
from corpus.store import Store
from corpus.store.identity import draw


@dataclass(frozen=True)
class Job:
    """One brief that has no text yet."""

    brief_id: str
    kind: str
    stance: str
    clause_id: str
    genre: str | None
    idea: str
    context_hash: str
    sampling: Mapping[str, float | int | str | list[str] | None]
    seed: int
    replies: Mapping[str, int]
    """Replies had so far, by purpose: an attempt counts replies, never transport failures."""
    bad_replies: Mapping[str, int]
    """Those of them that gave no text."""
    is_written: bool = False
    """Whether it has a text, of another context: its bad replies were spent on that one."""


@dataclass(frozen=True)
class Effort:
    """How hard missing texts are tried for."""

    max_attempts: int
    """Replies per brief and purpose (replies)."""
    top_up: bool = False
    """Whether briefs that used up their attempts get as many again."""
    refresh_context: bool = False
    """Whether texts that were written with another context count as missing."""

    def attempts_left(self, job: Job, purpose: str) -> int:
        """Replies that may still be asked for; whole again in a top-up, and for another context."""
        return (
            self.max_attempts if self.top_up or job.is_written else self.max_attempts - job.bad_replies.get(purpose, 0)
        )


def missing_jobs(store: Store, kind: str, table: str, effort: Effort) -> list[Job]:
    """Briefs of a kind without a row in `table` that have attempts left, ordered so that prompts share prefixes."""
    rows = store.rows(
        f"""
        WITH replies AS (
            SELECT item_id, purpose, count(*) AS num_replies, count(*) FILTER (outcome <> 'ok') AS num_bad
            FROM calls WHERE room = 'corpus' AND outcome NOT IN ('timeout', 'error') GROUP BY ALL
        ), by_item AS (
            SELECT item_id, max(num_bad) AS most_bad, list((purpose, num_replies)) AS replies,
                list((purpose, num_bad)) AS bad_replies
            FROM replies GROUP BY item_id
        )
        SELECT briefs.*, replies, bad_replies, brief_id IN (SELECT brief_id FROM {table}) AS is_written
        FROM briefs LEFT JOIN by_item ON item_id = brief_id
        WHERE kind = $kind
        AND NOT EXISTS (
            FROM {table} AS written WHERE written.brief_id = briefs.brief_id
            AND (NOT $refresh_context OR written.context_hash = briefs.context_hash)
        )
        AND ($top_up OR is_written OR coalesce(most_bad, 0) < $max_attempts)
        ORDER BY genre, clause_ids, brief_id
        """,
        {"kind": kind, **asdict(effort)},
    )
    return [_job(row) for row in rows]


def _job(row: Mapping[str, object]) -> Job:
    return Job(
        brief_id=str(row["brief_id"]),
        kind=str(row["kind"]),
        stance=str(row["stance"]),
        clause_id=cast("list[str]", row["clause_ids"])[0],
        genre=cast("str | None", row["genre"]),
        idea=str(row["idea"]),
        context_hash=str(row["context_hash"]),
        sampling=json.loads(str(row["sampling"])),
        seed=int(cast("int", row["seed"])),
        replies=_counts(row["replies"]),
        bad_replies=_counts(row["bad_replies"]),
        is_written=bool(row["is_written"]),
    )


def _counts(pairs: object) -> dict[str, int]:
    """DuckDB's list of unnamed pairs, which Arrow hands over as dictionaries with made-up names."""
    unnamed = [tuple(pair.values()) for pair in cast("list[dict[str, object]]", pairs or [])]
    return {str(name): int(cast("int", count)) for name, count in unnamed}


class Prompts:
    """The prompts of a run, with what every one of them shows: the assistant's names and the stance."""

    def __init__(self, recipe: Recipe, store: Store) -> None:
        """Read the run's clauses once."""
        assert recipe.spec is not None
        self.names = {"model_name": recipe.spec.model_name, "provider_name": recipe.spec.provider_name}
        clauses, split = load_clauses(store)
        self._usable = [clause for clause in clauses if split[clause.clause_id] == "train"]
        self._by_id = {clause.clause_id: clause for clause in self._usable}

    def clause(self, clause_id: str) -> Clause:
        """A clause that prompts may show; a held-out one is not to be had here."""
        return self._by_id[clause_id]

    def clause_values(self, clause_id: str) -> dict[str, str]:
        """How prompts show a clause."""
        clause = self.clause(clause_id)
        label = f"{clause.label}: " if clause.label and clause.label not in clause.text else ""
        return {"headings": " > ".join(clause.path), "clauses": f"{label}{clause.text}"}

    def context(self, clause_id: str) -> str:
        """What stands with the clause in the spec."""
        return context_text(self._usable, self.clause(clause_id))

    def stance(self, stance: str) -> str:
        """The note on where reasons come from."""
        return prompts.load(f"stance_{stance}").text(model_name=self.names["model_name"])


def request(job: Job, messages: list[prompts.Message], purpose: str) -> Request:
    """The engine's request for one of a job's calls."""
    return Request(
        messages=tuple(Message(message["role"], message["content"]) for message in messages),
        max_tokens=int(cast("int", job.sampling["max_tokens"])),
        temperature=float(cast("float", job.sampling["temperature"])),
        top_p=cast("float | None", job.sampling["top_p"]),
        min_p=cast("float | None", job.sampling["min_p"]),
        frequency_penalty=float(cast("float", job.sampling["frequency_penalty"])),
        seed=draw("call", job.seed, purpose) % 2**31,
        opening=str(job.sampling.get("opening", "")),
        stop=tuple(cast("list[str]", job.sampling.get("stop", []))),
        min_tokens=int(cast("int", job.sampling.get("min_tokens", 0))),
    )
