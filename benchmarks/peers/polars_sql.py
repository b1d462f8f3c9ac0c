"""Polars (lazy) answers the questions of `sql_speed.py` from a run's Parquet files: QUESTION RUN REPLAY."""

import polars as pl
from sql_answers import CURRENT, NUM_FILTERS, REPLAY, ROOT, answer


def scan(table: str) -> pl.LazyFrame:
    """The rows of a table."""
    return pl.scan_parquet(ROOT / table / "*.parquet")


def briefs() -> pl.LazyFrame:
    """The briefs of the current recipe."""
    return scan("briefs").filter(pl.col("pass_hash") == CURRENT)


def documents() -> pl.LazyFrame:
    """The documents that are not stale: imported, or of a current brief and its context."""
    imported = scan("documents").filter(pl.col("brief_id").is_null())
    written = scan("documents").join(
        briefs().select("brief_id", "context_hash"), on=["brief_id", "context_hash"], how="semi"
    )
    return pl.concat([imported, written])


def gave_way() -> pl.LazyFrame:
    """Duplicates that are not kept."""
    return scan("duplicates").filter(pl.col("doc_id") != pl.col("survivor_id")).select("doc_id")


def kept_by(verdicts: pl.LazyFrame, num_filters: int) -> pl.LazyFrame:
    """Ids that so many filters keep."""
    kept = verdicts.filter(pl.col("outcome") == "keep").group_by("doc_id").len()
    return kept.filter(pl.col("len") == num_filters).select("doc_id")


def curated() -> pl.LazyFrame:
    """Ids of the curated documents."""
    return (
        documents()
        .select("doc_id")
        .join(kept_by(scan("verdicts"), NUM_FILTERS), on="doc_id", how="semi")
        .join(gave_way(), on="doc_id", how="anti")
    )


def funnel() -> list[list[object]]:
    """Documents and chats of each step."""
    count = pl.len().alias("n")
    counts = pl.collect_all([
        briefs().filter(pl.col("kind") == "document").select(count),
        documents().filter(pl.col("brief_id").is_not_null()).select(count),
        documents().select(count),
        curated().select(count),
        documents().select("doc_id").join(scan("mixes").select("doc_id"), on="doc_id", how="semi").select(count),
    ])  # fmt: skip
    steps = ("briefs", "written", "written and imported", "curated", "mixed")
    return [[step, frame.item(), 0] for step, frame in zip(steps, counts, strict=True)]


def coverage() -> list[list[object]]:
    """Briefs, documents and curated documents of each clause and genre."""
    clauses = (
        scan("clauses")
        .filter((pl.col("split") == "train") & pl.col("kind").is_in(["rule", "value"]))
        .select("ordinal", pl.coalesce("label", pl.col("path").list.last()).alias("clause"), "clause_id")
    )
    written = documents().filter(pl.col("brief_id").is_not_null())
    counted = [
        briefs().filter(pl.col("kind") == "document"),
        written,
        written.join(curated(), on="doc_id", how="semi"),
    ]
    names = ("briefs", "documents", "curated")
    asked = pl.concat(
        [
            rows.select("genre", clause_id="clause_ids")
            .explode("clause_id")
            .group_by("clause_id", "genre")
            .agg(pl.len().cast(pl.Int64).alias(name))
            for name, rows in zip(names, counted, strict=True)
        ],
        how="diagonal",
    )
    asked = asked.group_by("clause_id", "genre").agg(pl.col(*names).sum())
    found = clauses.join(asked, on="clause_id", how="left").sort("ordinal", "genre", "clause_id")
    columns = ("ordinal", "clause", "genre", "briefs", "documents", "curated", "clause_id")
    return [list(row) for row in found.select(columns).collect().rows()]


def threshold_replay() -> list[list[object]]:
    """What would be curated with another threshold."""
    passes = pl.col("value") >= REPLAY["at_least"]
    scored = (
        scan("scores")
        .filter((pl.col("scorer") == REPLAY["scorer"]) & (pl.col("name") == REPLAY["name"]))
        .select("doc_id", passes=passes.fill_null(value=False), is_scored=pl.lit(1))
    )
    others = kept_by(scan("verdicts").filter(pl.col("filter") != REPLAY["scorer"]), NUM_FILTERS - 1)
    found = (
        documents()
        .select("doc_id", "set", "genre")
        .join(scored, on="doc_id", how="left")
        .join(curated().with_columns(is_curated=pl.lit(1)), on="doc_id", how="left")
        .join(others.with_columns(by_others=pl.lit(1)), on="doc_id", how="left")
        .join(gave_way().with_columns(gave_way=pl.lit(1)), on="doc_id", how="left")
        .group_by("set", "genre")
        .agg(
            pl.len().alias("rows"),
            pl.col("is_scored").sum(),
            pl.col("passes").sum(),
            pl.col("is_curated").sum(),
            (pl.col("passes") & (pl.col("by_others") == 1) & pl.col("gave_way").is_null()).sum().alias("then"),
        )
        .sort(pl.col("rows"), "set", "genre", descending=[True, False, False])
    )
    return [list(row) for row in found.collect().rows()]


if __name__ == "__main__":
    answer({"funnel": funnel, "coverage": coverage, "threshold_replay": threshold_replay})
