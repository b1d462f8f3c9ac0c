"""The miniature's figure and table from a run: how often each arm takes the value's option, and the declared contrasts.

    python examples/values/figure.py examples/values/values.yaml docs/values.svg

The numbers are those of the table `effects`; this only draws them. The table goes to the screen as Markdown.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.axes import Axes

STYLE = {"font.family": "sans-serif", "svg.hashsalt": "specmill", "svg.fonttype": "none"}
VALUES = {"lasting": "what lasts", "sharing": "what can be shared"}
COLOURS = {"lasting": "#126e68", "sharing": "#d08a2e"}
NEITHER = "#5d676c"
QUERY = """
    SELECT metric, arm, against, value, low, high, n, clusters, seeds, p_value, adjusted_p_value, is_declared
    FROM effects
    WHERE value IS NOT NULL
    AND (metric SIMILAR TO '(lasting|sharing)_items/sum/(rate|log_odds|order_consistency)' OR is_declared)
"""
Effect = dict[str, Any]


def effects(recipe: str) -> list[Effect]:
    """The rows of `effects` that are drawn, as `specmill sql` writes them."""
    command = [sys.executable, "-m", "specmill", "sql", recipe, QUERY, "--format", "json"]
    rows: list[Effect] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return rows


def arms_of(rows: list[Effect]) -> list[str]:
    """The arms, untrained first and fine-tuned last."""
    return sorted({row["arm"] for row in rows}, key=lambda arm: ("+" in arm, arm not in ("base", "sft"), arm))


def markdown(rows: list[Effect]) -> str:
    """The rate, the log-odds and the order consistency of each arm on each value's items, then the contrasts."""
    estimates = {(row["metric"], row["arm"]): row for row in rows if row["against"] is None}
    heads = (f"{name}: rate | log-odds (nats) | orders agree" for name in VALUES.values())
    lines = [f"| arm | {' | '.join(heads)} |"]
    lines += ["| --- |" + " ---: | ---: | ---: |" * len(VALUES)]
    for arm in arms_of(rows):
        cells = []
        for value in VALUES:
            for kind in ("rate", "log_odds", "order_consistency"):
                row = estimates[f"{value}_items/sum/{kind}", arm]
                cells.append(f"{row['value']:.2f}" + (f" {_interval(row)}" if kind != "order_consistency" else ""))
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    lines += ["", "| declared contrast | difference (nats) | p | p (Holm) | items, clusters, seeds |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    for row in (row for row in rows if row["is_declared"]):
        lines.append(
            f"| {row['arm']} less {row['against']}, {_items(row)} | {row['value']:+.2f} {_interval(row)} "
            f"| {_p(row['p_value'])} | {_p(row['adjusted_p_value'])} | {row['n']}, {row['clusters']}, {row['seeds']} |"
        )
    return "\n".join(lines)


def _items(row: Effect) -> str:
    """Which items a contrast is of."""
    return "the sum of both" if " - " in row["metric"] else f"items on {VALUES[row['metric'].split('_')[0]]}"


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _interval(row: Effect) -> str:
    return "" if row["low"] is None else f"[{row['low']:.2f}, {row['high']:.2f}]"


def draw(rows: list[Effect], path: Path) -> None:
    """Rates by arm, a panel a value, and the declared contrasts beside them."""
    figure, panels = pyplot.subplots(1, 3, figsize=(11, 3.4), width_ratios=[1, 1, 1], layout="constrained")
    arms = arms_of(rows)
    for panel, (value, name) in zip(panels, VALUES.items(), strict=False):
        for place, arm in enumerate(arms):
            row = next(row for row in rows if row["metric"] == f"{value}_items/sum/rate" and row["arm"] == arm)
            _mark(panel, row, place, COLOURS.get(arm.split("+")[0], NEITHER))
        panel.axvline(0.5, color="#c9cdcc", linewidth=1, zorder=0)
        panel.set(title=f"Items on {name}", xlabel="rate of the value's option", xlim=(0, 1))
        panel.set_yticks(range(len(arms)), arms if panel is panels[0] else [""] * len(arms))
    contrasts = [row for row in rows if row["is_declared"]]
    for place, row in enumerate(contrasts):
        _mark(panels[2], row, place, NEITHER if " - " in row["metric"] else COLOURS[row["metric"].split("_")[0]])
    panels[2].axvline(0, color="#c9cdcc", linewidth=1, zorder=0)
    panels[2].set(title="Own value's arm less the other's", xlabel="log-odds (nats)")
    panels[2].set_yticks(range(len(contrasts)), [_items(row).replace(" on ", " on\n") for row in contrasts])
    panels[2].set_ylim(-0.6, len(contrasts) - 0.4)
    panels[2].margins(x=0.12)
    for panel in panels:
        panel.invert_yaxis()
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def _mark(panel: Axes, row: Effect, place: int, colour: str) -> None:
    bars = None if row["low"] is None else [[row["value"] - row["low"]], [row["high"] - row["value"]]]
    panel.errorbar(row["value"], place, xerr=bars, fmt="o", color=colour, capsize=0, linewidth=1.8)


if __name__ == "__main__":
    found = effects(sys.argv[1])
    sys.stdout.write(markdown(found) + "\n")
    with pyplot.rc_context(STYLE):
        draw(found, Path(sys.argv[2]))
