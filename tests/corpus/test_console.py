"""What the lines of progress say where there is no terminal."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from corpus.console import LINE_SECONDS, Lines


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
