"""Writes the report of a run: one HTML file that needs nothing else, made of rows alone.

The same rows give the same bytes: every query has a total order, and every time in it comes from a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

from corpus.inspect import report_answers, report_beside, report_rows, report_texts
from corpus.inspect.charts import HEIGHT, WIDTH, Whisker, whiskers
from corpus.inspect.diversity import SAMPLE_DOCUMENTS
from corpus.inspect.look import Look, Row
from corpus.inspect.visible import visible
from corpus.store.parts import write_durably

NAME = "report.html"


def write_report(
    root: Path, arms: Sequence[Mapping[str, object]], other: tuple[Path, Sequence[Mapping[str, object]]] | None = None
) -> Path:
    """Write `report.html` into the run in `root`, in one step; returns its path.

    Args:
        root: the run's folder.
        arms: rows of the arms table; with the columns arm, metric, value, low and high an interval is drawn.
        other: the folder of a run to set beside this one, and its arms table.

    Raises:
        StoreError: there is no run in that folder, or the disk takes nothing.
    """
    html = render_report(root, arms, other)
    write_durably(root / NAME, html.encode())
    return root / NAME


def render_report(
    root: Path, arms: Sequence[Mapping[str, object]], other: tuple[Path, Sequence[Mapping[str, object]]] | None = None
) -> str:
    """The report's HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with Look(root) as look:
        values = {
            "name": root.resolve().name,
            "header": report_rows.header(look),
            "funnel": report_rows.named(look, "funnel"),
            "outcomes": report_rows.named(look, "outcomes"),
            "failures": report_rows.named(look, "failures"),
            "failed_replies": report_rows.failed_replies(look),
            "coverage": report_rows.coverage(look),
            "starved": report_rows.named(look, "starved_clauses"),
            "genres": report_rows.named(look, "tokens_by_genre"),
            "sets": report_rows.named(look, "tokens_by_set"),
            "classifiers": report_rows.named(look, "classifiers"),
            "lengths": report_rows.lengths(look),
            "verdicts": report_rows.named(look, "verdict_reasons"),
            "clusters": report_rows.named(look, "duplicates"),
            "scores": report_rows.scores(look),
            "pairs": report_texts.pairs(look),
            "cluster_sizes": report_rows.named(look, "cluster_sizes"),
            "by_genre": report_rows.named(look, "curated_by_genre"),
            "by_clause": report_rows.named(look, "curated_by_clause"),
            "diversity": report_texts.diversity(look),
            "diversity_sample": SAMPLE_DOCUMENTS,
            "mixes": report_rows.named(look, "mix_contents"),
            "mix_parts": report_rows.named(look, "mix_against_target"),
            "stages": report_rows.named(look, "stages"),
            "curves": report_rows.training_curves(look),
            "held_out": [row for row in report_rows.named(look, "held_out_losses") if row["genre"] == "all genres"],
            "speed": report_rows.named(look, "training_speed"),
            "arms": arm_groups(arms),
            "old_arms": [row["arm"] for row in report_rows.named(look, "arms") if row["is_of_current_data"] is False],
            "conditions": report_answers.conditions(look),
            "agreement": report_rows.named(look, "judge_agreement"),
            "transcripts": report_answers.transcripts(look),
            "beside": report_beside.beside(look, other[0], arms, other[1]) if other else None,
            "documents": report_texts.sample_documents(look),
            "chats": report_rows.sample_chats(look),
            "invocations": report_rows.named(look, "invocations"),
        }
        faults = [str(fault).replace(f"{root}/", "") for fault in look.faults]
    return environment.get_template("report.html.j2").render(values, faults=faults, width=WIDTH, height=HEIGHT)


def arm_groups(arms: Sequence[Mapping[str, object]]) -> list[tuple[str, list[Row]]]:
    """The rows of the arms table by metric; each with `interval`, a `Whisker` on the scale of its metric, or None."""
    groups: dict[str, list[Row]] = {}
    for arm in arms:
        groups.setdefault(str(arm.get("metric", "")), []).append({**arm, "interval": None})
    for rows in groups.values():
        complete = [
            row for row in rows if all(isinstance(row.get(name), int | float) for name in ("low", "value", "high"))
        ]
        estimates = [
            (cast("float", row["low"]), cast("float", row["value"]), cast("float", row["high"])) for row in complete
        ]
        drawn: list[Whisker] = whiskers(estimates) if estimates else []
        for row, interval in zip(complete, drawn, strict=True):
            row["interval"] = interval
    return list(groups.items())


def shown(value: object) -> object:
    """How a value stands in the page; Jinja escapes it afterwards. Markup of the template's own stays as it is."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, str):
        return value if hasattr(value, "__html__") else visible(value, keep="\n\t")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value
