"""What writing documents and writing chats share: which briefs are missing, asking for them, tagged replies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from typing import cast

import prompts
from corpus.briefs import Brief, brief_of
from corpus.engine import Asked, Engine, Message, Request, ask
from corpus.recipe import Recipe
from corpus.shown import Shown
from corpus.store import Store
from corpus.store.identity import draw


@dataclass(frozen=True)
class Job:
    """One brief that has no text yet."""

    brief: Brief
    replies: Mapping[str, int] = field(default_factory=dict)
    """Replies had so far, by purpose: an attempt counts replies, never transport failures."""
    bad_replies: Mapping[str, int] = field(default_factory=dict)
    """Those of them that gave no text."""
    is_written: bool = False
    """Whether it has a text, of another context: its bad replies were spent on that one."""

    @cached_property
    def sampling(self) -> Mapping[str, object]:
        """The brief's, parsed."""
        return cast("dict[str, object]", json.loads(self.brief.sampling))


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
        spent = 0 if self.top_up or job.is_written else job.bad_replies.get(purpose, 0)
        return self.max_attempts - spent


def missing_jobs(store: Store, kind: str, table: str, effort: Effort) -> list[Job]:
    """Briefs of a kind without a row in `table` that have attempts left, ordered so that prompts share prefixes."""
    return _jobs(
        store,
        f"brief_id IN (SELECT brief_id FROM {table})",
        f"""
        kind = $kind
        AND NOT EXISTS (
            FROM {table} AS written WHERE written.brief_id = briefs.brief_id
            AND (NOT $refresh_context OR written.context_hash = briefs.context_hash)
        )
        AND ($top_up OR is_written OR coalesce(most_bad, 0) < $max_attempts)
        """,
        {"kind": kind, **asdict(effort)},
    )


def jobs_of(store: Store, briefs: Sequence[str]) -> dict[str, Job]:
    """Jobs of briefs that have a text, for what is done to it next."""
    jobs = _jobs(store, "false", "brief_id IN (SELECT unnest($briefs))", {"briefs": list(briefs)})
    return {job.brief.brief_id: job for job in jobs}


def _jobs(store: Store, is_written: str, condition: str, parameters: Mapping[str, object]) -> list[Job]:
    rows = store.rows(
        f"""
        WITH replies AS (
            SELECT item_id, purpose, count(*) AS num_replies, count(*) FILTER (outcome <> 'ok') AS num_bad
            FROM calls WHERE room = 'corpus' AND outcome NOT IN ('timeout', 'error') GROUP BY ALL
        ), by_item AS (
            SELECT item_id, max(num_bad) AS most_bad, list((purpose, num_replies)) AS replies,
                list((purpose, num_bad)) AS bad_replies
            FROM replies GROUP BY item_id
        ), places AS (SELECT clause_id, min(ordinal) AS place FROM clauses GROUP BY clause_id)
        SELECT briefs.*, replies, bad_replies, {is_written} AS is_written
        FROM briefs LEFT JOIN by_item ON item_id = brief_id LEFT JOIN places ON clause_id = clause_ids[1]
        WHERE {condition}
        ORDER BY wave, domain, subdomain, place, clause_ids, genre, brief_id
        """,
        parameters,
    )
    return [
        Job(brief_of(row), _counts(row["replies"]), _counts(row["bad_replies"]), bool(row["is_written"]))
        for row in rows
    ]


def _counts(pairs: object) -> dict[str, int]:
    """DuckDB's list of unnamed pairs, which Arrow hands over as dictionaries with made-up names."""
    unnamed = [tuple(pair.values()) for pair in cast("list[dict[str, object]]", pairs or [])]
    return {str(name): int(cast("int", count)) for name, count in unnamed}


class Pen:
    """Asks an engine for the texts of one run, with what every prompt shows: the names, the stance, the spec."""

    def __init__(self, recipe: Recipe, engine: Engine | None, effort: Effort, shown: Shown) -> None:
        """`shown` is what the briefs were planned with. Without an engine requests can be made, and none is asked."""
        assert recipe.spec is not None
        self.recipe = recipe
        self.shown = shown
        self.names = {"model_name": recipe.spec.model_name, "provider_name": recipe.spec.provider_name}
        self._engine = engine
        self._effort = effort
        self.stance = cache(self._stance)
        """The note on where reasons come from, for a stance."""
        self.note = cache(self._note)
        """The note on the form of a reply, by its name."""

    def principle(self, brief: Brief) -> dict[str, str]:
        """The names, and how prompts show what a brief is about."""
        return {**self.names, "headings": self.shown.headings(brief), "principles": self.shown.principles(brief)}

    def _stance(self, stance: str) -> str:
        return prompts.load(f"stance_{stance}").text(model_name=self.names["model_name"])

    def _note(self, name: str) -> str:
        note = prompts.load(name)
        return note.text(**{name: self.names[name] for name in note.variables})

    async def ask(
        self,
        job: Job,
        purpose: str,
        request: Request,
        *,
        accept: Callable[[str], str | None] | None = None,
        texts_in: Callable[[str], Sequence[str]] | None = None,
        may_decline: bool = False,
    ) -> Asked:
        """One of a job's texts. See `engine.ask`."""
        assert self._engine is not None
        return await ask(
            self._engine,
            request,
            room="corpus",
            purpose=purpose,
            item_id=job.brief.brief_id,
            first_attempt=job.replies.get(purpose, 0),
            max_attempts=self._effort.attempts_left(job, purpose),
            accept=accept,
            texts_in=texts_in,
            may_decline=may_decline,
        )


def max_tokens(job: Job) -> int:
    """Longest reply for one of a job's texts (tokens of the engine's model)."""
    return int(cast("int", job.sampling["max_tokens"]))


def request_of(job: Job, messages: list[prompts.Message], purpose: str, extra_tokens: int = 0) -> Request:
    """What the engine is asked for one of a job's texts; `extra_tokens` is what the reply holds besides it."""
    sampling = job.sampling
    return Request(
        messages=tuple(Message(message["role"], message["content"]) for message in messages),
        max_tokens=max_tokens(job) + extra_tokens,
        temperature=float(cast("float", sampling["temperature"])),
        top_p=cast("float | None", sampling["top_p"]),
        min_p=cast("float | None", sampling["min_p"]),
        frequency_penalty=float(cast("float", sampling["frequency_penalty"])),
        seed=draw("call", job.brief.seed, purpose) % 2**31,
        opening=str(sampling.get("opening" if purpose == "document" else f"{purpose}_opening", "")),
        stop=tuple(cast("list[str]", sampling.get("stop", []))),
        keeps_stop=bool(sampling.get("keeps_stop", False)),
        min_tokens=int(cast("int", sampling.get("min_tokens", 0))),
    )


class Tagged:
    """A reply in two parts, each between tags: `<plan>...</plan><document>...</document>`."""

    def __init__(self, first: str, second: str, *, second_is_open: bool = False) -> None:
        """With `second_is_open`, what follows the first part is the second one, without tags."""
        ending = "(?P<second>.*)" if second_is_open else rf"\s*<{second}>(?P<second>.*)</{second}>\s*"
        self._form = re.compile(rf"\s*<{first}>(?P<first>.*?)</{first}>{ending}", re.DOTALL)
        self._tags = re.compile(rf"</?(?:{first}|{second})>")
        self._names = (first, second)

    def problem(self, reply: str) -> str | None:
        """What keeps a reply from being read; None if nothing does."""
        found = self._form.fullmatch(reply)
        if found is None:
            return f"not of the form <{self._names[0]}>...</{self._names[0]}> and then the {self._names[1]}"
        if any(self._tags.search(part) for part in found.groups()):
            return "a tag stands inside another part"
        return None if all(part.strip() for part in found.groups()) else "one of its parts is empty"

    def last(self, reply: str) -> list[str]:
        """The second part of a reply without a problem, alone."""
        return [self.parts(reply)[1]]

    def parts(self, reply: str) -> tuple[str, str]:
        """The two parts of a reply without a problem."""
        found = self._form.fullmatch(reply)
        assert found is not None, reply
        return found["first"].strip(), found["second"].strip()
