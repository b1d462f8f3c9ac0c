from __future__ import annotations

import pytest

from filters.base import Row, Verdict
from filters.signs.truncated import Truncated, TruncatedSettings

BODY = "The council met at nine. It heard three engineers and a diver.\n\n"


def verdict(row: Row, **settings: object) -> Verdict:
    judging = Truncated(TruncatedSettings(**settings))
    [scores] = judging.score([row])
    assert all((score.evidence is None) == (score.value == 0) for score in scores)
    return judging.judge({score.name: score for score in scores})


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("After the break the mayor asked the engineers how long the old pier would", "mid sentence"),
        ("After the break the mayor asked,", "mid sentence"),
        ("Then they looked at the", "mid sentence"),
        ("What the diver saw was:", "mid sentence"),
        ("He **said that the pier would stand for at least another ten**", "mid sentence"),
        ("The steps are:\n```python\nfor pier in piers:\n    check(", "open fence"),
        ("~~~\nThe notice ended here", "open fence"),
        ("The pier (built in", "open bracket"),
        ("See [the report", "open bracket"),
    ],
)
def test_a_text_that_breaks_off_is_dropped_by_its_rule(ending: str, reason: str) -> None:
    row = Row("d", "documents", BODY + ending)
    assert verdict(row) == Verdict("drop", reason)
    others = tuple(rule for rule in TruncatedSettings().rules if rule != reason.replace(" ", "_"))
    assert verdict(row, rules=others).reason != reason


@pytest.mark.parametrize(
    "ending",
    [
        "It closed the pier.",
        'The diver said: "Close it today."',
        "It closed the pier (for a year).",
        "It closed the pier!**",
        "Best wishes,\nAnna Berg",
        "Harbour Office, Tidewater",
        "- close the pier at the north end before the winter storms begin\n- tell the ferries",
        "1. close the pier\n2. repair the three pillars that the diver had found to be hollow",
        "## Who decides about the old pier and the money that it costs us",
        "| north | closed | the diver found that three of the pillars are hollow |",
        "```python\nclose(pier)\n```",
        "See https://example.org/reports/pier/2019/the-long-report",
        "It was a long day \N{WAVING HAND SIGN}",
        "The pier stood (and how it stood :( through the storm.",
        "\u6a4b\u306f\u9589\u9396\u3055\u308c\u305f\u3002",
    ],
)
def test_a_text_that_ends_as_texts_do_is_kept(ending: str) -> None:
    assert verdict(Row("d", "documents", BODY + ending)).reason is None


def test_a_text_without_full_stops_ends_as_its_other_lines_do() -> None:
    verse = "\n".join(f"the tide that came in number {number} took the sand away again" for number in range(6))
    assert verdict(Row("d", "documents", verse)).outcome == "keep"


def test_every_answer_of_a_chat_has_to_end() -> None:
    whole, broken = "It closes at nine.", "It closes at nine, and the ferry that you asked about leaves from the"
    assert verdict(Row("c", "chats", "", "When?", (whole, whole))).outcome == "keep"
    assert verdict(Row("c", "chats", "", "When?", (broken, whole))) == Verdict("drop", "mid sentence")
    assert verdict(Row("d", "documents", "")).outcome == "keep"
