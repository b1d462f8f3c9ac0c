"""What a run adds to its recipe when briefs are planned: an outline's replies, and the seats of topping up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from corpus.outline import PURPOSES
from corpus.outlining import batch_passes
from corpus.store import LAST_VERSION, Store
from corpus.waves import stored_worn

_RETRIED = ("subdomains", "assertions", "ideas")
"""Calls of which another reply only adds to an outline. What failed replies for domains leave open is filled in
otherwise, and filling it differently later would change briefs that there are."""
_SETTLED = ("genres", "topics")
"""Calls that are not made again, also where no reply came: what they leave open is filled in otherwise."""


@dataclass(frozen=True)
class Extra:
    """One seat beyond the recipe's own, in place of a text that curation removed."""

    kind: str
    """The kind of brief."""
    subject: str
    """A clause, or a subdomain's key."""
    form: str
    """A genre, or a kind of question."""
    nth: int
    round: int


@dataclass(frozen=True)
class Known:
    """What a run knows; nothing, for a run that is not there yet."""

    replies: Mapping[str, str | None] = field(default_factory=dict)
    """Replies to an outline's calls, by item; None where every attempt failed."""
    batches: Sequence[frozenset[str]] = ()
    """Assertions of the outline, as they came to be known: those that the run's first briefs were made of, then what
    each topping up added; none before there were any briefs."""
    extras: Sequence[Extra] = ()
    """Seats that topping up added."""
    worn: Mapping[str, str] = field(default_factory=dict)
    """What the prompts of a wave list as worn, by the wave's key."""


def load_known(store: Store, *, retry_failed: bool = False) -> Known:
    """What a run knows.

    With `retry_failed`, calls of the outline that gave nothing count as not made, where that only adds.
    """
    return Known(_replies(store, retry_failed), _batches(store), _extras(store), stored_worn(store))


def _replies(store: Store, retry_failed: bool) -> dict[str, str | None]:
    """One that got replies, none of them ok, gave nothing; one that got no reply at all is still to be asked."""
    rows = store.rows(
        "SELECT item_id, any_value(reply) FILTER (outcome = 'ok') AS reply FROM calls "
        "WHERE room = 'corpus' AND purpose IN (SELECT unnest($purposes)) GROUP BY item_id "
        "HAVING bool_or(outcome = 'ok' OR purpose IN (SELECT unnest($settled))) OR (bool_or(outcome NOT IN "
        "('timeout', 'error')) AND NOT ($retry AND bool_or(purpose IN (SELECT unnest($retried)))))",
        {
            "purposes": list(PURPOSES),
            "settled": list(_SETTLED),
            "retry": retry_failed,
            "retried": list(_RETRIED),
        },
    )
    return {str(row["item_id"]): None if row["reply"] is None else str(row["reply"]) for row in rows}


def outline_attempts(store: Store) -> dict[str, int]:
    """Replies had so far by an outline's calls, by item: attempts count on from there."""
    rows = store.rows(
        "SELECT item_id, count(*) AS replies FROM calls WHERE room = 'corpus' AND purpose IN (SELECT unnest(?)) "
        "AND outcome NOT IN ('timeout', 'error') GROUP BY item_id",
        [list(PURPOSES)],
    )
    return {str(row["item_id"]): int(str(row["replies"])) for row in rows}


def _batches(store: Store) -> list[frozenset[str]]:
    passes = batch_passes(store)
    rows = store.rows(
        "SELECT pass_hash, assertion_id FROM all_assertions WHERE pass_hash IN (SELECT unnest(?))", [passes]
    ) if passes else []  # fmt: skip
    before: set[str] = set()
    batches = []
    for one in passes:
        of_pass = {str(row["assertion_id"]) for row in rows if row["pass_hash"] == one}
        batches.append(frozenset(of_pass - before))
        before |= of_pass
    return batches


def _extras(store: Store) -> list[Extra]:
    rows = store.rows(
        "SELECT kind, split_part(seat, ' ', 1) AS subject, coalesce(genre, question_kind) AS form, "
        "CAST(split_part(seat, ' ', 2) AS INTEGER) AS nth, round FROM briefs WHERE round > 0 ORDER BY ALL"
    )
    return [
        Extra(str(row["kind"]), str(row["subject"]), str(row["form"]), int(str(row["nth"])), int(str(row["round"])))
        for row in rows
    ]


def last_round(store: Store) -> int:
    """The last round of topping up that the current briefs had; 0 for none."""
    return int(str(store.rows("SELECT coalesce(max(round), 0) AS last FROM briefs")[0]["last"]))


def missing_seats(store: Store) -> list[Extra]:
    """Seats for as many new texts as curation removed, of the same clause (or subdomain) and genre (or kind).

    Briefs whose text failed are no part of it: they are asked for again. None before the run was curated.
    """
    if not store.current("verdicts"):
        return []
    rows = store.rows(f"""
        WITH texts AS (
            SELECT brief_id, doc_id AS id, doc_id IN (SELECT doc_id FROM curated) AS is_kept FROM documents
            WHERE {LAST_VERSION}
            UNION ALL SELECT brief_id, chat_id, chat_id IN (SELECT chat_id FROM curated_chats) FROM chats
        ), fates AS (
            SELECT brief_id, bool_or(is_kept) AS is_kept FROM texts
            WHERE id IN (SELECT doc_id FROM verdicts) GROUP BY brief_id
        ), seats AS (
            SELECT kind, split_part(seat, ' ', 1) AS subject, coalesce(genre, question_kind) AS form,
                CAST(split_part(seat, ' ', 2) AS INTEGER) AS nth, round, is_kept
            FROM briefs LEFT JOIN fates USING (brief_id)
        )
        SELECT kind, subject, form,
            count(*) FILTER (round = 0) - count(*) FILTER (is_kept IS NULL OR is_kept) AS num_missing,
            max(max(nth)) OVER (PARTITION BY kind, form) AS last_nth, max(max(round)) OVER () AS last_round
        FROM seats WHERE kind <> 'preference' GROUP BY kind, subject, form ORDER BY kind, form, subject
    """)
    extras: list[Extra] = []
    taken: dict[tuple[str, str], int] = {}
    for row in rows:
        kind, form = str(row["kind"]), str(row["form"])
        for _ in range(max(0, int(str(row["num_missing"])))):
            nth = taken.get((kind, form), int(str(row["last_nth"]))) + 1
            taken[kind, form] = nth
            extras.append(Extra(kind, str(row["subject"]), form, nth, int(str(row["last_round"])) + 1))
    return extras
