"""What a person sees of training: held-out losses, speed, and the curves of both."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fakes.rows import row

from corpus.inspect.charts import BOTTOM, HEIGHT, MAX_MARKS, MAX_POINTS, TOP, Chart, Curve, Line, line_chart
from corpus.inspect.look import Look
from corpus.inspect.report import render_report
from corpus.inspect.report_rows import MOST_GENRES, training_curves
from corpus.inspect.sql import run_sql
from corpus.store import open_writer

NEW_STEP_COLUMNS = ["tokens_per_second", "target_tokens_per_second", "mfu_fraction", "peak_memory_bytes"]
Measured = Mapping[tuple[int, int, str], tuple[float, int]]
"""Loss and target tokens by seed, step and genre."""


def write_measured(root: Path, measured: Measured) -> Path:
    """A run of one stage with these held-out losses and nothing else."""
    rows = [
        row("held_out_losses", chain="midtrain", seed=seed, stage="midtrain", step=step, genre=genre, loss=loss,
            num_texts=1, target_tokens=target_tokens, stage_hash="h")
        for (seed, step, genre), (loss, target_tokens) in measured.items()
    ]  # fmt: skip
    with open_writer(root) as store:
        train = store.writer("train")
        train.append({"held_out_losses": rows})
        train.set_current("held_out_losses", {"midtrain/seed-0": "h"})
    return root


def charts_of(root: Path) -> dict[str, Chart]:
    with Look(root) as look:
        return dict(training_curves(look))


def values(curve: Curve) -> dict[str, str]:
    """What the marks of a curve say, by update."""
    return dict(mark.title.removeprefix(f"{curve.name}, ").split(": ") for mark in curve.marks)


def heights(curve: Curve) -> list[float]:
    return [float(point.split(",")[1]) for point in curve.points.split()]


def losses(first: Sequence[float], number: int) -> list[tuple[float, float]]:
    """A curve that falls slowly from 2.6, with small noise, after some first values."""
    falling = [2.2 + 0.4 * math.exp(-step / 100) + 0.05 * (step * 7 % 5 - 2) for step in range(number - len(first))]
    return [(float(step + 1), loss) for step, loss in enumerate([*first, *falling])]


def test_held_out_losses_are_told_of_each_genre_and_of_all_by_their_tokens(run: Path) -> None:
    rows = run_sql(run, "held_out_losses").table.to_pylist()
    told = {
        one["genre"]: (
            one["first_loss"], one["best_loss"], one["best_step"], one["last_loss"], one["last_step"], one["change"],
            one["texts"], one["target_tokens"],
        )
        for one in rows
    }  # fmt: skip
    assert list(told) == ["all genres", "internal memo", "short story"]
    assert told == {
        "all genres": (3.4, 2.7, 20, 2.75, 40, -0.65, 4, 400),
        "internal memo": (3.2, 2.4, 20, 2.6, 40, -0.6, 2, 300),
        "short story": (4.0, 3.2, 40, 3.2, 40, -0.8, 2, 100),
    }
    assert {one["first_step"] for one in rows} == {0}


def test_speed_is_the_median_and_memory_the_most(run: Path) -> None:
    assert run_sql(run, "training_speed").table.to_pylist() == [
        {"chain": "midtrain", "stage": "midtrain", "seed": 0, "updates": 40, "tokens": 40_000, "target_tokens": 39_000,
         "seconds": 80.0, "tokens_per_second": 520.5, "target_tokens_per_second": 500.5, "mfu_fraction": 0.25,
         "peak_memory_gb": 2.4}
    ]  # fmt: skip


def test_the_last_updates_are_told_with_their_speed_and_memory(run: Path) -> None:
    last = run_sql(run, "steps_tail").table.to_pylist()[-1]
    told = [last[name] for name in ("step", "tokens_per_second", "target_tokens_per_second", "mfu_fraction")]
    assert told == [40, 540.0, 520.0, 0.25]
    assert last["peak_memory_gb"] == 2.4


def test_a_run_from_before_there_were_held_out_losses_and_speeds_still_reads(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    shutil.rmtree(root / "held_out_losses")
    (root / "current" / "held_out_losses.json").unlink()
    for part in (root / "steps").glob("*.parquet"):
        pq.write_table(pq.read_table(part).drop_columns(NEW_STEP_COLUMNS), part)
    [speed] = run_sql(root, "training_speed").table.to_pylist()
    assert (speed["tokens_per_second"], speed["target_tokens_per_second"]) == (500.0, 487.5), "tokens by seconds"
    assert (speed["mfu_fraction"], speed["peak_memory_gb"]) == (None, None)
    assert run_sql(root, "held_out_losses").table.num_rows == 0
    html = render_report(root, [])
    assert "held out" not in html.partition('id="training"')[2].partition("</section>")[0]
    with open_writer(root) as store:  # and goes on in parts that have them
        train = store.writer("train")
        more = row("steps", chain="midtrain", seed=0, stage="midtrain", step=41, loss=1.5, seconds=1.0, tokens=1000,
                   tokens_per_second=1000.0, peak_memory_bytes=5_000_000_000, stage_hash="stage-1")  # fmt: skip
        train.append({"steps": [more]})
    last, before = (run_sql(root, "steps_tail").table.to_pylist()[place] for place in (-1, -2))
    assert [one["tokens_per_second"] for one in (before, last)] == [None, 1000.0]
    assert run_sql(root, "training_speed").table.to_pylist()[0]["peak_memory_gb"] == 5.0


def test_the_held_out_curve_is_dashed_in_the_colour_of_its_seed(run: Path) -> None:
    charts = charts_of(run)
    assert list(charts) == ["midtrain", "midtrain, held out by genre"]
    learned, held_out = charts["midtrain"].curves
    assert (learned.name, held_out.name) == ("seed 0", "seed 0, held out")
    assert learned.series == held_out.series
    assert (learned.is_dashed, held_out.is_dashed) == (False, True)
    assert (len(learned.marks), values(held_out)) == (0, {"0": "3.4", "20": "2.7", "40": "2.75"})


def test_seeds_have_colours_of_their_own(tmp_path: Path) -> None:
    root = write_measured(
        tmp_path / "run", {(seed, step, "memo"): (3.0 - step / 9, 5) for seed in (0, 1, 2) for step in (0, 9)}
    )
    [chart] = charts_of(root).values()
    assert [curve.series for curve in chart.curves] == [0, 1, 2], "and one genre has no chart of its own"


def test_of_many_genres_the_smallest_are_one_dashed_curve(tmp_path: Path) -> None:
    num_genres = MOST_GENRES + 2
    root = write_measured(
        tmp_path / "run",
        {(0, step, f"g{n}"): (2.0 + n / 10, 100 - 10 * n) for n in range(num_genres) for step in (0, 50)},
    )
    *shown, others = charts_of(root)["midtrain, held out by genre"].curves
    assert [(curve.name, curve.series, curve.is_dashed) for curve in shown] == [
        (f"g{n}", n, False) for n in range(MOST_GENRES)
    ]
    assert (others.name, others.series, others.is_dashed) == ("others", MOST_GENRES, True)
    assert values(others)["50"] == f"{(2.6 * 40 + 2.7 * 30) / 70:.4g}"


def test_a_single_genre_beyond_the_largest_keeps_its_name(tmp_path: Path) -> None:
    root = write_measured(tmp_path / "run", {(0, 0, f"g{n}"): (2.0, 100 - n) for n in range(MOST_GENRES + 1)})
    assert charts_of(root)["midtrain, held out by genre"].curves[-1].name == f"g{MOST_GENRES}"


def test_genres_are_the_mean_of_the_seeds_that_were_trained_furthest(tmp_path: Path) -> None:
    done = {(seed, step, genre): (2.0 + seed, 10) for seed in (0, 1) for step in (0, 50) for genre in ("a", "b")}
    begun = {(2, 0, genre): (9.0, 10) for genre in ("a", "b")}
    chart = charts_of(write_measured(tmp_path / "run", done | begun))["midtrain, held out by genre (mean of 2 seeds)"]
    assert [values(curve) for curve in chart.curves] == [{"0": "2.5", "50": "2.5"}] * 2


def test_a_measurement_that_is_no_number_is_not_drawn(tmp_path: Path) -> None:
    measured = {(0, step, genre): (2.0, 10) for step in (0, 50, 100) for genre in ("a", "b")}
    root = write_measured(tmp_path / "run", measured | {(0, 50, "a"): (math.nan, 10)})
    charts = charts_of(root)
    assert [values(curve) for curve in charts["midtrain"].curves] == [{"0": "2", "100": "2"}]
    by_genre = {curve.name: list(values(curve)) for curve in charts["midtrain, held out by genre"].curves}
    assert by_genre == {"a": ["0", "100"], "b": ["0", "50", "100"]}


def test_a_few_high_updates_do_not_flatten_the_others() -> None:
    points = losses([11.0, 9.0, 7.0, 5.0], 200)
    whole = line_chart([Line("seed 0", points, 0)])
    cut = line_chart([Line("seed 0", points, 0)], cut_peaks=True)
    (flat,), (seen,) = ([max(heights(c)[4:]) - min(heights(c)[4:]) for c in one.curves] for one in (whole, cut))
    assert flat < (HEIGHT - TOP) / 10 < (HEIGHT - TOP) / 4 < seen
    assert (whole.note, cut.note) == ("", "highest: 11, above the chart")
    assert min(heights(cut.curves[0])) < 0 < TOP <= min(heights(cut.curves[0])[4:])


def test_the_report_cuts_what_is_far_above_and_says_so(tmp_path: Path) -> None:
    far = {(0, step, genre): (11.0 if step == 0 else 2.0, 10) for step in (0, 50, 100, 150) for genre in ("a", "b")}
    root = write_measured(tmp_path / "run", far)
    learned = [
        row("steps", chain="midtrain", seed=0, stage="midtrain", step=int(step), loss=loss, stage_hash="h")
        for step, loss in losses([9.0, 7.0, 5.0], 150)
    ]
    with open_writer(root) as store:
        train = store.writer("train")
        train.append({"steps": learned})
        train.set_current("steps", {"midtrain/seed-0": "h"})
    assert [chart.note for chart in charts_of(root).values()] == ["highest: 11, above the chart"] * 2
    assert render_report(root, []).count("(highest: 11, above the chart)") == 2


def test_a_curve_that_falls_steadily_is_not_cut() -> None:
    falling = [(float(step), 4.0 - step / 100) for step in range(200)]
    bent = [(float(step), 2.0 + 2.0 * math.exp(-step / 60)) for step in range(200)]
    for points in (falling, bent):
        chart = line_chart([Line("seed 0", points, 0)], cut_peaks=True)
        assert (chart.note, min(heights(chart.curves[0]))) == ("", TOP)


def test_the_first_measurement_is_in_sight_unless_it_is_another_world() -> None:
    for first, is_seen in ((4.0, True), (11.0, False)):
        lines = [
            Line("seed 0", losses([], 200), 0),
            Line("held out", [(0, first), (50, 2.4), (100, 2.3), (150, 2.3)], 0, True, True),
        ]
        chart = line_chart(lines, cut_peaks=True)
        assert (min(heights(chart.curves[1])) >= TOP) is is_seen
        assert (chart.note == "") is is_seen


def test_of_many_points_means_are_drawn_and_no_marks() -> None:
    points = [(float(step), 1.0 if step % 2 else 3.0) for step in range(2 * MAX_POINTS)]
    chart = line_chart([Line("seed 0", points, 0, is_marked=True), Line("level", [(0, 2.0), (1, 4.0)], 1)], y_low=0.0)
    curve, level = chart.curves
    assert len(heights(curve)) == MAX_POINTS > MAX_MARKS
    assert set(heights(curve)) == {heights(level)[0]}, "of noise that cancels out nothing is left"
    assert (chart.note, curve.marks) == ("each point the mean of 2", ())


def test_points_that_are_all_alike_can_be_drawn() -> None:
    points = [(float(step), 2.0) for step in range(20)] + [(20.0, 9.0)]
    assert min(heights(line_chart([Line("seed 0", points, 0)], cut_peaks=True).curves[0])) == TOP


@pytest.fixture(scope="module")
def section(run: Path) -> str:
    """What the report says of training."""
    return render_report(run, []).partition('<section id="training">')[2].partition("</section>")[0]


def test_the_report_tells_held_out_losses_and_speed(section: str) -> None:
    text = " ".join(re.sub(r"<[^>]*>", " ", section).split())
    assert "dashed: on documents that no mix may hold" in text
    assert "seed 0 seed 0, held out midtrain, held out by genre" in text, "the legend names both curves"
    assert "midtrain midtrain 0 3.4 2.7 20 2.75 40 -0.65 4 400" in text
    assert "midtrain midtrain 0 520.5 500.5 25.0 % 2.4 40 40,000" in text


def test_every_curve_and_its_name_have_a_colour_and_the_dashes_show(run: Path, section: str) -> None:
    style = render_report(run, []).partition("</style>")[0]
    used = set(re.findall(r"series-\d", section)) | {f"series-{MOST_GENRES}"}
    assert used <= set(re.findall(r"\.(series-\d) \{ --own", style))
    assert section.count("dashed") - section.count("dashed:") == 2, "the curve and its name"
    assert section.count("<circle") == 9, "three measurements, of all genres and of two"
    assert {".curve.dashed", ".legend i.dashed"} <= set(re.findall(r"[\w.]*(?:\.legend i|\.curve)\.dashed", style))


def test_what_is_above_a_chart_is_not_drawn_over_its_heading(section: str) -> None:
    """Curves are in a picture of their own, which begins at the top of the chart and cuts off what is above."""
    before = section.partition("<polyline")[0]
    _, top, _, height = map(int, re.findall(r'<svg x=.* viewBox="([^"]*)"', before)[-1].split())
    assert 0 < top <= TOP
    assert HEIGHT - BOTTOM <= top + height < HEIGHT, "it ends under the lowest point"
