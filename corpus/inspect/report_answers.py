"""What the report shows of answers: a table by condition, and some transcripts with what was read out of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from corpus.inspect.look import Look, Row
from corpus.inspect.report_rows import named
from corpus.quoted import pieces

MOST_CHARS = 6_000
MOST_TRANSCRIPTS = 200
PROMPT_CHARS = 2_000
EACH = 2
"""Transcripts of each task and arm, of those above its median and of the others."""


@dataclass(frozen=True)
class ByCondition:
    """One condition, or one cluster, in all arms."""

    cluster: str
    means: Mapping[str, float | None]
    """Mean over answers, by arm."""
    unscored: Mapping[str, int]
    """Answers without a score, by arm."""


def conditions(look: Look) -> list[tuple[tuple[str, str], list[str], list[ByCondition]]]:
    """For each task and what is read of it: the arms, and a row for each condition."""
    tables: dict[tuple[str, str], dict[str, dict[str, Row]]] = {}
    for row in named(look, "conditions"):
        of_table = tables.setdefault((str(row["task"]), str(row["variant"])), {})
        of_table.setdefault(str(row["cluster"]), {})[str(row["arm"])] = row
    found = []
    for key, clusters in tables.items():
        arms = sorted({arm for by_arm in clusters.values() for arm in by_arm})
        rows = [
            ByCondition(
                cluster,
                {arm: cast("float | None", by_arm[arm]["mean_value"]) if arm in by_arm else None for arm in arms},
                {arm: cast("int", by_arm[arm]["unscored"]) if arm in by_arm else 0 for arm in arms},
            )
            for cluster, by_arm in clusters.items()
        ]
        found.append((key, arms, rows))
    return found


def transcripts(look: Look) -> list[Row]:
    """Some answers of each task and arm, with every reading of each, and the words by which harm was read marked."""
    found = look.rows(
        """
        WITH readings AS (
            SELECT
                answer_id, coalesce(max(value) FILTER (variant IN ('verdict', 'rating')), avg(value)) AS mean,
                list({'variant': variant, 'value': value, 'explanation': explanation, 'decided_by': answer}
                    ORDER BY variant) AS readings
            FROM evals WHERE answer_id IS NOT NULL GROUP BY answer_id
        ),
        placed AS (
            SELECT *, coalesce(mean > median(mean) OVER (PARTITION BY task, arm), false) AS is_above
            FROM answers JOIN readings USING (answer_id)
        )
        SELECT
            task, arm, item_id, variant, finish_reason, completion_tokens, readings,
            left(text, $chars) AS text, length(text) - $chars AS chars_left_out,
            left(messages[-1].content, $prompt) AS prompt
        FROM placed
        QUALIFY row_number() OVER (PARTITION BY task, arm, is_above ORDER BY md5(answer_id), answer_id) <= $each
        ORDER BY task, arm, item_id, variant, answer_id LIMIT $most
        """,
        {"chars": MOST_CHARS, "prompt": PROMPT_CHARS, "each": EACH, "most": MOST_TRANSCRIPTS},
    )
    return [row | {"pieces": pieces(str(row["text"]), _deciding(row))} for row in found]


def _deciding(row: Row) -> list[str]:
    """The words of an answer by which harm was read: the judge's, and after the tool's name those of the rules."""
    quotes = {str(read["variant"]): str(read["decided_by"] or "") for read in cast("list[Row]", row["readings"])}
    of_rules = (quotes.get(variant, "").partition(": ")[2] for variant in ("harmful", "executed"))
    return [quote for quote in (quotes.get("verdict", ""), *of_rules) if quote]
