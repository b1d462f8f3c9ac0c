"""What a person sees: a live panel on a terminal, plain lines elsewhere; results on stdout, all else on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from corpus.inspect.visible import visible

LINE_SECONDS = 15.0
"""Time between two lines of progress where there is no terminal."""
LONGEST_NAME, LEAST_WORDS = 20, 10
"""A table folds no cell that is one word up to so long, as long as those with more to say keep so much (columns)."""
PLAIN_WIDTH = 140
"""Width of tables where there is no terminal to ask, and `COLUMNS` does not say (columns)."""


class Lines:
    """Progress as plain lines, a few a minute."""

    def __init__(self, console: Console) -> None:
        """Write to `console`."""
        self._console = console
        self._total: dict[str, int] = {}
        self._outcomes: dict[str, dict[str, int]] = {}
        self._began: dict[str, float] = {}
        self._first: dict[str, float] = {}
        """When the first was done: before that a stage may have waited for another, or for an engine to start."""
        self._said: dict[str, float] = {}
        self._texts: dict[str, str] = {}

    def start(self, stage: str, total: int) -> None:
        """Say what begins, or that nothing is missing."""
        self._total[stage], self._outcomes[stage] = total, {}
        self._first.pop(stage, None)
        self._began[stage] = self._said[stage] = time.monotonic()
        self._console.print(escape(f"{stage}: {total} to do" if total else f"{stage}: nothing missing"))

    def grow(self, stage: str, num_more: int) -> None:
        """Know of more; the next line says so."""
        self._total[stage] += num_more

    def advance(self, stage: str, outcome: str) -> None:
        """Count, and say so now and then."""
        outcomes = self._outcomes[stage]
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        now, done = time.monotonic(), sum(outcomes.values())
        self._first.setdefault(stage, now)
        if done == self._total[stage] or now - self._said[stage] >= LINE_SECONDS:
            self._said[stage] = now
            seconds, missing = now - self._began[stage], self._total[stage] - done
            each = (now - self._first[stage]) / (done - 1) if done > 1 else None
            left = f", about {each * missing:.0f} s left" if missing and each is not None else ""
            stands = f" \N{MIDDLE DOT} {self._texts[stage]}" if self._texts.get(stage) else ""
            line = f"{stage}: {done}/{self._total[stage]}{_failures(outcomes)} in {seconds:.0f} s{left}{stands}"
            self._console.print(escape(line), soft_wrap=True)

    def describe(self, stage: str, text: str) -> None:
        """Keep it for the next line."""
        self._texts[stage] = text

    def note(self, message: str) -> None:
        """Say it."""
        self._console.print(escape(message))

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@dataclass(frozen=True)
class _Described:
    """Bars, each a row of `table` and one line high, and under each its text: beside a bar there is no room for it."""

    table: Table
    texts: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for bar, text in zip(console.render_lines(self.table, options, pad=False), self.texts, strict=True):
            yield Segments([*bar, Segment.line()])
            if text:
                yield Padding(Text(text), (0, 0, 0, 2))


class _Bars(Progress):
    """Bars with what was said of their stages."""

    def get_renderables(self) -> Iterator[RenderableType]:
        """All of them as one."""
        tasks = self.tasks
        yield _Described(self.make_tasks_table(tasks), [task.fields["text"] for task in tasks])


class Panel:
    """Progress as a live panel with bars."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        self._progress = _Bars(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[failures]}"), TimeElapsedColumn(), TimeRemainingColumn(), console=console,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}
        self._texts: dict[str, str] = {}
        self._outcomes: dict[str, dict[str, int]] = {}

    def start(self, stage: str, total: int) -> None:
        """Draw a bar."""
        self._outcomes[stage] = {}
        text = self._texts.get(stage, "")
        self._tasks[stage] = self._progress.add_task(escape(stage), total=total, failures="", text=text)

    def grow(self, stage: str, num_more: int) -> None:
        """Make the bar longer."""
        task = self._progress.tasks[self._tasks[stage]]
        self._progress.update(task.id, total=(task.total or 0) + num_more)

    def advance(self, stage: str, outcome: str) -> None:
        """Move the bar."""
        outcomes = self._outcomes[stage]
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        self._progress.update(self._tasks[stage], advance=1, failures=escape(_failures(outcomes)))

    def describe(self, stage: str, text: str) -> None:
        """Say it under the bar, or once there is one."""
        self._texts[stage] = text
        if stage in self._tasks:
            self._progress.update(self._tasks[stage], text=text)

    def note(self, message: str) -> None:
        """Say it above the bars."""
        self._progress.console.print(escape(message))

    def __enter__(self) -> Panel:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _failures(outcomes: Mapping[str, int]) -> str:
    failed = [f"{count} {outcome}" for outcome, count in sorted(outcomes.items()) if outcome != "ok"]
    return f" ({', '.join(failed)})" if failed else ""


def show_progress() -> Panel | Lines:
    """A panel on a terminal, lines elsewhere; both on stderr."""
    console = Console(stderr=True, highlight=False)
    return Panel(console) if console.is_terminal else Lines(console)


def say(message: str) -> None:
    """A line on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(escape(message))


def show_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """A table on stdout; nothing where there are no rows."""
    if not rows:
        return
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    cells = {name: [_cell(row[name]) for row in rows] for name in rows[0]}
    numbers = {name for name in cells if all(isinstance(row[name], int | float | None) for row in rows)}
    whole = _whole(cells, numbers, console.width)
    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in cells:
        heading = name.replace(" ", "\n") if name in whole else name
        justify: Literal["left", "right"] = "right" if name in numbers else "left"
        table.add_column(escape(heading), justify=justify, overflow="fold", no_wrap=name in whole)
    for row in zip(*cells.values(), strict=True):
        table.add_row(*map(escape, row))
    console.print(table)


def _whole(cells: Mapping[str, Sequence[str]], numbers: Set[str], width: int) -> Set[str]:
    """The columns that are not folded: numbers and names, so that what is told in words has the room that is left.

    None where there is too little of it: a table that does not fit would lose what stands to the right.
    """
    widths = {
        name: max(len(part) for part in (*name.split(" "), *texts))
        for name, texts in cells.items()
        if name in numbers or all(len(text) <= LONGEST_NAME and " " not in text for text in texts)
    }
    folded = len(cells) - len(widths)
    room = width - sum(widths.values()) - 2 * len(cells)
    return widths.keys() if room >= LEAST_WORDS * folded else set()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    # A cell may hold what a model or a server wrote.
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else visible(str(value))


def show_result(text: str | Path) -> None:
    """A line on stdout."""
    sys.stdout.write(f"{text}\n")
