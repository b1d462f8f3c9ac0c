"""What the report shows, asked of one look at the run: small tables, pairs and samples, in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from corpus.inspect.charts import Bin, Chart, Line, bin_width, histogram, line_chart, score_chart
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
MOST_GENRES = 6
"""Curves of held-out loss by genre, those with the most tokens; the others are one curve."""


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
    """Titled charts: the loss of each stage by update, learned and held out, for each seed; the latter by genre too."""
    rows = look.rows("""
        SELECT chain, stage, false AS is_held_out, seed, step, loss FROM steps WHERE isfinite(loss)
        UNION ALL
        SELECT chain, stage, true, seed, step, sum(loss * target_tokens) / sum(target_tokens)
        FROM held_out_losses GROUP BY chain, stage, seed, step HAVING bool_and(isfinite(loss))
        ORDER BY ALL
    """)
    stages: dict[str, dict[tuple[bool, object], list[tuple[float, float]]]] = {}
    for row in rows:
        curve = stages.setdefault(_stage_title(row), {}).setdefault((bool(row["is_held_out"]), row["seed"]), [])
        curve.append((cast("float", row["step"]), cast("float", row["loss"])))
    by_genre = _held_out_by_genre(look)
    charts = []
    for title, curves in stages.items():
        colours = {seed: place % 6 for place, seed in enumerate(dict.fromkeys(seed for _, seed in curves))}
        lines = [
            Line(f"seed {seed}{', held out' if is_held_out else ''}", points, colours[seed], is_held_out, is_held_out)
            for (is_held_out, seed), points in curves.items()
        ]
        charts.append((title, line_chart(lines, cut_peaks=True)))
        charts += [by_genre[title]] if title in by_genre else []
    return charts


def _held_out_by_genre(look: Look) -> dict[str, tuple[str, Chart]]:
    """Of each stage with more than one genre a titled chart: the mean of the seeds that were trained furthest."""
    rows = look.rows(
        """
        WITH furthest AS (
            SELECT chain, stage, seed, count(*) OVER (PARTITION BY chain, stage) AS seeds
            FROM (
                SELECT chain, stage, seed FROM held_out_losses GROUP BY chain, stage, seed
                QUALIFY max(step) = max(max(step)) OVER (PARTITION BY chain, stage)
            )
        ),
        measured AS (
            SELECT chain, stage, seeds, genre, step, loss, target_tokens
            FROM held_out_losses JOIN furthest USING (chain, stage, seed) WHERE isfinite(loss)
        ),
        ranked AS (
            SELECT chain, stage, genre, count(*) OVER (PARTITION BY chain, stage) AS genres,
                row_number() OVER (PARTITION BY chain, stage ORDER BY sum(target_tokens) DESC, genre) AS place
            FROM measured GROUP BY chain, stage, genre
        )
        SELECT chain, stage, seeds, least(place, $most + 1) AS place,
            if(place <= $most OR genres = $most + 1, genre, 'others') AS genre,
            step, sum(loss * target_tokens) / sum(target_tokens) AS loss
        FROM measured JOIN ranked USING (chain, stage, genre)
        WHERE genres > 1
        GROUP BY ALL ORDER BY ALL
        """,
        {"most": MOST_GENRES},
    )
    stages: dict[str, dict[tuple[int, str], list[tuple[float, float]]]] = {}
    seeds = {_stage_title(row): cast("int", row["seeds"]) for row in rows}
    for row in rows:
        curves = stages.setdefault(_stage_title(row), {})
        curve = curves.setdefault((cast("int", row["place"]) - 1, str(row["genre"])), [])
        curve.append((cast("float", row["step"]), cast("float", row["loss"])))
    charts = {}
    for title, curves in stages.items():
        of = f" (mean of {seeds[title]} seeds)" if seeds[title] > 1 else ""
        lines = [Line(genre, points, place, place == MOST_GENRES, True) for (place, genre), points in curves.items()]
        charts[title] = (f"{title}, held out by genre{of}", line_chart(lines, cut_peaks=True))
    return charts


def _stage_title(row: Row) -> str:
    return str(row["chain"]) if row["chain"] == row["stage"] else f"{row['chain']}: {row['stage']}"


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
