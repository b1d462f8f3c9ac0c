"""What the report shows, asked of one look at the run: small tables, pairs and samples, in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from corpus.inspect.charts import Bin, Chart, bin_width, histogram, line_chart, score_chart
from corpus.inspect.look import Look, Row
from corpus.inspect.named import named_queries

MOST_CLAUSES = 60
"""Rows of the coverage map; of more clauses, those with the fewest curated documents."""
MOST_BINS = 24
MOST_SCORES = 40
"""Charts of scores."""
EXAMPLE_CHARS = 500
EXAMPLES = 3
SAMPLE_CHATS = 4


@dataclass(frozen=True)
class Coverage:
    """Curated documents by clause and genre."""

    genres: list[str]
    clauses: list[Row]
    """ordinal, clause, total, cells: one `Cell`-like row per genre (briefs, documents, curated, shade in [0, 1])."""
    num_clauses: int
    """Clauses in all, where `clauses` holds only the first ones."""


def named(look: Look, name: str) -> list[Row]:
    """Rows of a named query."""
    return look.rows(named_queries()[name].sql)


def header(look: Look) -> Row:
    """One row: models, counts, and when the run began and ended (from its invocations)."""
    [row] = look.rows("""
        SELECT
            (SELECT string_agg(model, ', ' ORDER BY model) FROM (SELECT DISTINCT model FROM briefs)) AS models,
            (SELECT count(*) FROM clauses) AS clauses,
            (SELECT count(*) FROM clauses WHERE split = 'held_out') AS held_out,
            (SELECT count(*) FROM documents) AS documents,
            (SELECT count(*) FROM chats) AS chats,
            (SELECT coalesce(sum(num_tokens), 0)::BIGINT FROM curated) AS curated_tokens,
            (SELECT coalesce(sum(num_tokens), 0)::BIGINT FROM curated_chats) AS curated_chat_tokens,
            (SELECT arg_max(recipe_hash, (started, invocation_id)) FROM invocations) AS recipe_hash,
            (SELECT min(started) FROM invocations) AS began,
            (SELECT max(started) FROM invocations) AS last,
            (SELECT sum(seconds) FROM invocations) AS seconds
    """)
    return row


def coverage(look: Look) -> Coverage:
    """Which clauses have documents in which genres."""
    rows = named(look, "coverage")
    clauses: dict[str, Row] = {}
    for row in rows:
        clause = clauses.setdefault(
            str(row["clause_id"]), {"ordinal": row["ordinal"], "clause": row["clause"], "total": 0, "by_genre": {}}
        )
        if row["genre"] is not None:
            cast("dict[str, Row]", clause["by_genre"])[str(row["genre"])] = row
            clause["total"] = cast("int", clause["total"]) + cast("int", row["curated"])
    totals: dict[str, int] = {}
    for row in rows:
        if row["genre"] is not None:
            totals[str(row["genre"])] = totals.get(str(row["genre"]), 0) + cast("int", row["curated"])
    genres = sorted(totals, key=lambda genre: (-totals[genre], genre))
    most = max((cast("int", row["curated"]) for row in rows), default=0) or 1
    starved_first = sorted(clauses.values(), key=lambda clause: (clause["total"], clause["ordinal"]))
    shown = sorted(starved_first[:MOST_CLAUSES], key=lambda clause: cast("int", clause["ordinal"]))
    for clause in shown:
        by_genre = cast("dict[str, Row]", clause["by_genre"])
        clause["cells"] = [
            by_genre[genre] | {"shade": round(cast("int", by_genre[genre]["curated"]) / most, 2)}
            if genre in by_genre
            else None
            for genre in genres
        ]
    return Coverage(genres, shown, len(clauses))


def lengths(look: Look) -> Chart | None:
    """How long the documents are, curated and not; None without a document whose tokens are counted."""
    [largest] = look.rows("SELECT max(num_tokens) AS tokens FROM documents")
    if largest["tokens"] is None:
        return None
    width = bin_width(cast("int", largest["tokens"]), MOST_BINS)
    rows = look.rows(
        """
        SELECT
            num_tokens // $width * $width AS start,
            count(*) FILTER (doc_id IN (SELECT doc_id FROM curated)) AS curated,
            count(*) AS written
        FROM documents
        WHERE num_tokens IS NOT NULL
        GROUP BY ALL
        ORDER BY start
        """,
        {"width": width},
    )
    bins = [
        Bin(
            cast("int", row["start"]),
            (cast("int", row["curated"]), cast("int", row["written"]) - cast("int", row["curated"])),
        )
        for row in rows
    ]
    return histogram(bins, width, ("curated", "not curated"))


def training_curves(look: Look) -> list[tuple[str, Chart]]:
    """The loss of every stage by update, one curve per training seed."""
    rows = look.rows("SELECT chain, stage, seed, step, loss FROM steps WHERE isfinite(loss) ORDER BY ALL")
    charts: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        title = str(row["chain"]) if row["chain"] == row["stage"] else f"{row['chain']}: {row['stage']}"
        curve = charts.setdefault(title, {}).setdefault(f"seed {row['seed']}", [])
        curve.append((cast("float", row["step"]), cast("float", row["loss"])))
    return [(title, line_chart(series)) for title, series in charts.items()]


def scores(look: Look) -> list[Row]:
    """Each score that is a number: scorer, name, rows, and a chart of its values by what its filter decided.

    Where a threshold lies is where the colours change. Values beyond the 0.5th and 99.5th percentile stand in the
    outermost bars.
    """
    rows = look.rows(
        """
        WITH spread AS (
            SELECT scorer, name, count(value) AS rows, quantile_cont(value, 0.005) AS low,
                quantile_cont(value, 0.995) AS high
            FROM scores WHERE isfinite(value) GROUP BY scorer, name
            HAVING low < high ORDER BY scorer, name LIMIT $most
        ),
        placed AS (
            SELECT scorer, name, any_value(rows) AS rows, any_value(low) AS low, any_value(high) AS high,
                greatest(0, least($bins - 1, floor((value - low) / (high - low) * $bins)))::BIGINT AS bin,
                count(*) AS values,
                count(*) FILTER (verdicts.outcome = 'drop') AS dropped
            FROM scores JOIN spread USING (scorer, name)
            LEFT JOIN verdicts ON verdicts.doc_id = scores.doc_id AND verdicts.filter = scores.scorer
            WHERE isfinite(value)
            GROUP BY scorer, name, bin
        )
        SELECT scorer, name, any_value(rows) AS rows, any_value(low) AS low, any_value(high) AS high,
            list({'bin': bin, 'kept': values - dropped, 'dropped': dropped} ORDER BY bin) AS bins,
            sum(dropped)::BIGINT AS dropped
        FROM placed GROUP BY scorer, name ORDER BY scorer, name
        """,
        {"bins": MOST_BINS, "most": MOST_SCORES},
    )
    for row in rows:
        bins = [Bin(one["bin"], (one["kept"], one["dropped"])) for one in cast("list[dict[str, int]]", row["bins"])]
        low, high = cast("float", row["low"]), cast("float", row["high"])
        row["chart"] = score_chart(bins, low, (high - low) / MOST_BINS, ("kept", "dropped"))
    return rows


def sample_chats(look: Look) -> list[Row]:
    """A few chats of each set."""
    return look.rows(
        """
        SELECT chat_id, set, source, question_kind, num_tokens, messages
        FROM chats
        QUALIFY row_number() OVER (PARTITION BY set ORDER BY chat_id) <= $chats
        ORDER BY set, chat_id
        """,
        {"chats": SAMPLE_CHATS},
    )


def failed_replies(look: Look) -> list[Row]:
    """A few replies of each outcome that made no row."""
    return look.rows(
        """
        SELECT call_id, purpose, outcome, model, error, left(reply, $chars) AS reply
        FROM calls
        WHERE outcome <> 'ok' AND (reply IS NOT NULL OR error IS NOT NULL)
        QUALIFY row_number() OVER (PARTITION BY purpose, outcome ORDER BY call_id) <= $examples
        ORDER BY purpose, outcome, call_id
        """,
        {"chars": EXAMPLE_CHARS, "examples": EXAMPLES},
    )
