"""The geometry of the report's charts: numbers in, positions out; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

WIDTH, HEIGHT = 480, 220
"""Units of a chart's own coordinate system: on a phone its text then stays readable."""
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 26
MAX_POINTS = 300
"""Points of one curve; of more, the mean of every k is drawn."""
MAX_MARKS = 60
"""Points of one curve that are marked; more would hide it."""
MAX_SPANS = 3.0
"""Where peaks may be cut, a chart is at most so many times as high as its lowest four fifths of the points."""
MAX_MEDIANS = 2.0
"""And cuts no marked point, of which there are few, below so many times their median."""


class Tick(NamedTuple):
    """A mark on an axis."""

    at: str
    label: str


class Box(NamedTuple):
    """One bar of a histogram."""

    x: str
    y: str
    width: str
    height: str
    series: int
    title: str


class Line(NamedTuple):
    """What a line chart is asked to draw: points (x, y) in order."""

    name: str
    points: Sequence[tuple[float, float]]
    series: int
    """Its colour: six, and 6 for what stands back."""
    is_dashed: bool = False
    is_marked: bool = False
    """Whether each of its points is a measurement that is to be seen."""


class Mark(NamedTuple):
    """One measurement of a curve."""

    x: str
    y: str
    title: str


class Curve(NamedTuple):
    """One line of a line chart."""

    name: str
    points: str
    series: int
    is_dashed: bool = False
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Chart:
    """What one chart draws."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    boxes: tuple[Box, ...] = ()
    curves: tuple[Curve, ...] = ()
    note: str = ""


class Whisker(NamedTuple):
    """An estimate and its interval, as percentages of the width of its column."""

    low: str
    value: str
    high: str
    zero: str | None
    """Where 0 is, if it is in sight."""


class Bin(NamedTuple):
    """Counts of one bin of a histogram, one per series."""

    start: int
    counts: tuple[int, ...]


def bin_width(largest: int, most_bins: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, ... that cuts [0, largest] into at most `most_bins` bins."""
    return max(1, math.ceil(_nice_step((largest + 1) / most_bins)))


def histogram(bins: Sequence[Bin], width: int, names: Sequence[str]) -> Chart:
    """Stacked bars. `width` is that of one bin, in the unit of `Bin.start`; `names` are the series, lowest first."""
    last = max(item.start for item in bins) + width
    top = max(sum(item.counts) for item in bins)
    boxes = []
    for item in bins:
        below = 0
        for series, count in enumerate(item.counts):
            y, bottom = _y(below + count, 0, top), _y(below, 0, top)
            x, right = _x(item.start, 0, last), _x(item.start + width, 0, last)
            title = f"{item.start} to {item.start + width - 1}: {count} {names[series]}"
            if count:
                boxes.append(Box(_number(x), _number(y), _number(right - x - 1), _number(bottom - y), series, title))
            below += count
    x_ticks = tuple(Tick(_number(_x(value, 0, last)), f"{value:,.0f}") for value in ticks(0, last, 6))
    return Chart(x_ticks, _y_ticks(0, top), boxes=tuple(boxes))


def score_chart(bins: Sequence[Bin], low: float, width: float, names: Sequence[str]) -> Chart:
    """Stacked bars of a score: bin `start` k holds values from `low` + k `width` on."""
    num_bins = max(item.start for item in bins) + 1
    top = max(sum(item.counts) for item in bins)
    high = low + num_bins * width
    boxes = []
    for item in bins:
        left, below = low + item.start * width, 0
        x, right = _x(left, low, high), _x(left + width, low, high)
        for series, count in enumerate(item.counts):
            y, bottom = _y(below + count, 0, top), _y(below, 0, top)
            title = f"{left:.4g} to {left + width:.4g}: {count} {names[series]}"
            if count:
                boxes.append(
                    Box(_number(x), _number(y), _number(max(right - x - 1, 1)), _number(bottom - y), series, title)
                )
            below += count
    x_ticks = tuple(Tick(_number(_x(value, low, high)), f"{value:,.4g}") for value in ticks(low, high, 6))
    return Chart(x_ticks, _y_ticks(0, top), boxes=tuple(boxes))


def line_chart(lines: Sequence[Line], y_low: float | None = None, *, cut_peaks: bool = False) -> Chart:
    """Curves of all `lines`.

    Args:
        lines: at least one, each with a point.
        y_low: where the axis begins, else at the lowest point.
        cut_peaks: whether a few points far above the others may lie above the chart; its note then says how high.
    """
    every = math.ceil(max(len(line.points) for line in lines) / MAX_POINTS)
    lines = [line._replace(points=_thinned(line.points)) for line in lines]
    x_low, x_high = _range([x for line in lines for x, _ in line.points])
    least, highest = _range([y for line in lines for _, y in line.points])
    y_low = least if y_low is None else y_low
    y_high = _high_enough(lines, y_low, highest) if cut_peaks else highest
    notes = [f"each point the mean of {every}"] if every > 1 else []
    notes += [f"highest: {highest:,.4g}, above the chart"] if y_high < highest else []
    curves = []
    for line in lines:
        places = [(_number(_x(x, x_low, x_high)), _number(_y(y, y_low, y_high))) for x, y in line.points]
        titles = [f"{line.name}, {x:,.0f}: {y:,.4g}" for x, y in line.points]
        is_marked = len(places) == 1 or (line.is_marked and len(places) <= MAX_MARKS)
        marks = tuple(Mark(*place, title) for place, title in zip(places, titles, strict=True)) if is_marked else ()
        curves.append(Curve(line.name, " ".join(map(",".join, places)), line.series, line.is_dashed, marks))
    x_ticks = tuple(Tick(_number(_x(value, x_low, x_high)), f"{value:,.0f}") for value in ticks(x_low, x_high, 6))
    return Chart(x_ticks, _y_ticks(y_low, y_high), curves=tuple(curves), note="; ".join(notes))


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    every = math.ceil(len(points) / MAX_POINTS)
    groups = [points[start : start + every] for start in range(0, len(points), every)]
    return [(sum(x for x, _ in some) / len(some), sum(y for _, y in some) / len(some)) for some in groups]


def _high_enough(lines: Sequence[Line], y_low: float, highest: float) -> float:
    noisy = sorted(y for line in lines if not line.is_marked for _, y in line.points)
    marked = sorted(y for line in lines if line.is_marked for _, y in line.points)
    highs = [y_low + MAX_SPANS * (noisy[math.ceil(0.8 * len(noisy)) - 1] - y_low)] if noisy else []
    highs += [min(marked[-1], MAX_MEDIANS * marked[len(marked) // 2])] if marked else []
    return min(highest, max(highs)) if max(highs) > y_low else highest


def whiskers(estimates: Sequence[tuple[float, float, float]]) -> list[Whisker]:
    """Intervals (low, value, high) on one common scale."""
    least, most = min(low for low, _, _ in estimates), max(high for _, _, high in estimates)
    margin = (most - least) * 0.05 or 1.0
    start, span = least - margin, most - least + 2 * margin
    zero = _number(-start / span * 100) if start <= 0 <= start + span else None
    places = [[_number((number - start) / span * 100) for number in estimate] for estimate in estimates]
    return [Whisker(low, value, high, zero) for low, value, high in places]


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers in [low, high]."""
    if high <= low:
        return [low]
    step = _nice_step((high - low) / (most - 1))
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _nice_step(least: float) -> float:
    power = float(10 ** math.floor(math.log10(least)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _y_ticks(low: float, high: float) -> tuple[Tick, ...]:
    return tuple(Tick(_number(_y(value, low, high)), f"{value:,.6g}") for value in ticks(low, high, 5))


def _x(value: float, low: float, high: float) -> float:
    return LEFT + (value - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT - BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)


def _number(value: float) -> str:
    return f"{value:.1f}"
