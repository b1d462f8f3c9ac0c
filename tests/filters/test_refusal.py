from __future__ import annotations

import pytest

from filters.base import Row, Verdict
from filters.signs.refusal import Refusal, RefusalSettings

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I cannot assist with this request. It would be wrong.",
    "Unfortunately, I am unable to write this document.",
    "As an AI language model, I can't create such content.",
]


def verdict(row: Row, **settings: object) -> Verdict:
    judging = Refusal(RefusalSettings(**settings))
    [scores] = judging.score([row])
    assert all((score.evidence is None) == (score.value == 0) for score in scores)
    return judging.judge({score.name: score for score in scores})


@pytest.mark.parametrize("text", REFUSALS)
def test_a_document_that_is_a_refusal_is_dropped(text: str) -> None:
    assert verdict(Row("d", "documents", text)) == Verdict("drop", "refusal")


@pytest.mark.parametrize(
    "text",
    [
        "She wrote: \"I'm sorry, but I can't help with that.\"",
        "I am sorry, but I cannot come on Tuesday.",
        f"{REFUSALS[0]} {'That was how the letter began, and it went on for pages. ' * 12}",
        "",
    ],
)
def test_a_text_with_a_refusal_in_it_is_a_text(text: str) -> None:
    assert verdict(Row("d", "documents", text)).outcome == "keep"


def test_an_answer_that_declines_may_be_wanted_and_goes_where_the_recipe_says_so() -> None:
    chat = Row("c", "chats", "Yes.\n\n" + REFUSALS[0], "How?", ("Yes.", REFUSALS[0]))
    assert verdict(chat).outcome == "keep"
    assert verdict(chat, chats=True) == Verdict("drop", "refusal")
    assert Refusal(RefusalSettings()).scorer_hash == Refusal(RefusalSettings(chats=True)).scorer_hash
