"""Two runs side by side: what each has at every step, how it came out, and where their coverage differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from corpus.inspect import report_rows, report_texts
from corpus.inspect.charts import Chart, Line, line_chart
from corpus.inspect.look import Look, Row

MOST_CELLS = 15


@dataclass(frozen=True)
class Beside:
    """This run and another one."""

    name: str
    """The other run's."""
    rows: list[Row]
    """measure, this, other."""
    lengths: Chart | None
    """Shares of the documents by length, one curve a run."""
    cells: list[Row]
    """Where coverage differs most: clause, genre, this, other."""
    arms: list[Row]
    """metric, arm, this, other."""


def beside(
    look: Look, other_root: Path, arms: Sequence[Mapping[str, object]], others: Sequence[Mapping[str, object]]
) -> Beside:
    """Compare with the run in `other_root`, whose arms table is `others`.

    Raises:
        StoreError: there is no run there.
    """
    with Look(other_root) as other:
        both = (look, other)
        measures = [_measures(one) for one in both]
        names = list(dict.fromkeys([*measures[0], *measures[1]]))
        rows: list[Row] = [
            {"measure": name, "this": measures[0].get(name), "other": measures[1].get(name)} for name in names
        ]
        lengths = {title: _lengths(one) for title, one in zip(("this run", other_root.name), both, strict=True)}
        drawn = [Line(title, points, place) for place, (title, points) in enumerate(lengths.items()) if points]
        return Beside(
            other_root.resolve().name,
            rows,
            line_chart(drawn, y_low=0.0) if drawn else None,
            _cells(look, other),
            _arms(arms, others),
        )


def _measures(look: Look) -> dict[str, object]:
    found: dict[str, object] = {}
    for step in report_rows.named(look, "funnel"):
        found[f"{step['step']}: documents"] = step["documents"]
        found[f"{step['step']}: chats"] = step["chats"]
    [counted] = look.rows("""
        SELECT
            (SELECT round(100.0 * count(*) FILTER (outcome = 'ok') / nullif(count(*), 0), 1) FROM calls)
                AS "calls that are ok (%)",
            (SELECT sum(completion_tokens)::BIGINT FROM calls) AS "tokens generated",
            (SELECT median(num_tokens) FROM curated) AS "median tokens of a curated document",
            (SELECT sum(num_tokens)::BIGINT FROM curated) AS "tokens in curated documents",
            (SELECT round(
                100.0 * count(*) FILTER (doc_id <> survivor_id)
                / nullif((SELECT count(*) FROM documents) + (SELECT count(*) FROM chats), 0), 2
            ) FROM duplicates) AS "rows that gave way to a duplicate (%)"
    """)
    found |= counted
    for name, measured in report_texts.diversity(look):
        found[f"distinct-2 of {name}"] = measured.distinct_2
        found[f"compression ratio of {name}"] = measured.compression_ratio
    return found


def _lengths(look: Look) -> list[tuple[float, float]]:
    rows = look.rows("""
        SELECT num_tokens // 50 * 50 + 25 AS middle, count(*) / sum(count(*)) OVER () AS share
        FROM documents WHERE num_tokens IS NOT NULL GROUP BY middle ORDER BY middle
    """)
    return [(cast("float", row["middle"]), cast("float", row["share"])) for row in rows]


def _cells(look: Look, other: Look) -> list[Row]:
    counts: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate((look, other)):
        for row in report_rows.named(one, "coverage"):
            key = (str(row["clause"]), str(row["genre"]))
            counts.setdefault(key, [0, 0])[place] += cast("int", row["curated"])
    ranked = sorted(counts.items(), key=lambda item: (-abs(item[1][0] - item[1][1]), item[0]))
    return [
        {"clause": clause, "genre": genre, "this": this, "other": that}
        for (clause, genre), (this, that) in ranked[:MOST_CELLS]
        if this != that
    ]


def _arms(mine: Sequence[Mapping[str, object]], theirs: Sequence[Mapping[str, object]]) -> list[Row]:
    tables = [
        {(row.get("metric"), row.get("arm"), row.get("against")): row.get("value") for row in rows}
        for rows in (mine, theirs)
    ]
    keys = [key for key in dict.fromkeys([*tables[0], *tables[1]]) if key[2] is None]
    return [
        {"metric": metric, "arm": arm, "this": tables[0].get((metric, arm, None)),
         "other": tables[1].get((metric, arm, None))}
        for metric, arm, _ in keys
    ]  # fmt: skip
