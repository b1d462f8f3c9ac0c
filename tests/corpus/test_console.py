"""What a person sees of progress: lines where there is no terminal, bars where there is one."""

from __future__ import annotations

import io
import time
from collections import Counter

import pytest
from rich.console import Console

from corpus.console import LINE_SECONDS, Lines, Panel, show_table

STANDS = (
    "loss 2.31 \N{MIDDLE DOT} held out 2.45 \N{MIDDLE DOT} 1,203 tokens/s (1,190 learned) \N{MIDDLE DOT} "
    "38 % of this machine's matrix rate \N{MIDDLE DOT} 3.1 GB"
)


def drawn(panel: Panel, width: int) -> list[str]:
    """The lines of a panel that was made with a terminal of that width."""
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(panel._progress.get_renderable())
    return [line.rstrip() for line in console.export_text().splitlines()]


def panel_of(width: int, *stages: str) -> Panel:
    panel = Panel(Console(file=io.StringIO(), width=width, force_terminal=True))
    for stage in stages:
        panel.start(stage, 640)
    return panel


def test_what_is_left_is_told_from_the_first_that_was_done_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said = io.StringIO()
    lines = Lines(Console(file=said, width=200))
    lines.start("chats", 11)
    now = 500.0  # it waited for the documents
    lines.advance("chats", "ok")
    now += LINE_SECONDS
    lines.advance("chats", "ok")
    now += LINE_SECONDS
    lines.advance("chats", "ok")
    assert said.getvalue().splitlines() == [
        "chats: 11 to do",
        "chats: 1/11 in 500 s",
        "chats: 2/11 in 515 s, about 135 s left",
        "chats: 3/11 in 530 s, about 120 s left",
    ]


def test_a_line_ends_with_what_was_last_said_of_its_stage_and_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said = io.StringIO()
    lines = Lines(Console(file=said, width=80))
    lines.start("train midtrain seed 0", 3)
    for text in ("loss [bold]3.00", "loss 2.50", STANDS):
        lines.describe("train midtrain seed 0", text)
        now += LINE_SECONDS if text != "loss 2.50" else 1
        lines.advance("train midtrain seed 0", "ok")
    lines.start("train sft seed 0", 1)
    lines.advance("train sft seed 0", "ok")
    assert said.getvalue().splitlines() == [
        "train midtrain seed 0: 3 to do",
        "train midtrain seed 0: 1/3 in 15 s \N{MIDDLE DOT} loss [bold]3.00",
        f"train midtrain seed 0: 3/3 in 31 s \N{MIDDLE DOT} {STANDS}",
        "train sft seed 0: 1 to do",
        "train sft seed 0: 1/1 in 0 s",
    ]


@pytest.mark.parametrize(("width", "num_lines"), [(80, 2), (120, 1)])
def test_what_is_said_of_a_stage_stands_whole_under_its_bar_and_leaves_the_bars_alone(
    width: int, num_lines: int
) -> None:
    panel = panel_of(width, "train midtrain seed 0", "train midtrain+sft seed 0")
    plain = drawn(panel, width)
    assert all(name in line and "0/640" in line for name, line in zip(panel._tasks, plain, strict=True))
    panel.describe("train midtrain seed 0", "loss 9.99")
    panel.describe("train midtrain seed 0", STANDS)
    first, *under, last = drawn(panel, width)
    assert len(under) == num_lines
    assert all(line.startswith("  ") and len(line) <= width for line in under)
    assert " ".join(line.strip() for line in under) == STANDS
    # Spinners turn and seconds pass; names, bars and counts stay where they were.
    assert [line[1:].partition("640 ")[0] for line in (first, last)] == [
        line[1:].partition("640 ")[0] for line in plain
    ]


def test_a_panel_takes_what_is_said_for_text_also_before_its_stage_begins() -> None:
    panel = panel_of(80)
    panel.describe("train", "loss [bold]2.0[/bold]")
    assert drawn(panel, 80) == []
    panel.start("train", 2)
    assert drawn(panel, 80)[1] == "  loss [bold]2.0[/bold]"


def test_a_bar_is_one_line_however_narrow_the_terminal() -> None:
    panel = panel_of(80, "train midtrain seed 0", "sft")
    panel.advance("sft", "a failure with a name")
    panel.describe("sft", "loss 2")
    for width in range(10, 120):
        assert [line.strip() for line in drawn(panel, width)][2:] == ["loss 2"], width


ROWS = [
    {"metric": "a long metric/of a task, change from another arm " * 2, "arm": "midtrain+sft", "value (nats)": 0.12345},
    {"metric": "short", "arm": "base", "value (nats)": -1234567.0},
]


def shown(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    show_table("title", ROWS)
    return capsys.readouterr().out


def test_a_table_folds_what_is_told_in_words_and_no_number_or_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(60, monkeypatch, capsys)
    assert "midtrain+sft" in out and "0.1235" in out and "-1,234,567" in out
    assert max(map(len, out.splitlines())) <= 60


@pytest.mark.parametrize("width", [24, 40, 60, 140])
def test_a_table_loses_nothing_however_narrow(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where numbers alone would leave no room for words, they are folded too, and not cut off."""
    out = shown(width, monkeypatch, capsys)
    assert max(map(len, out.splitlines())) <= width
    said = Counter("".join(out.split()))
    for row in ROWS:
        wanted = Counter("".join(str(row["metric"]).split()) + str(row["arm"]))
        assert not wanted - said
    assert not Counter("0.1235-1,234,567") - said
