"""The judge reads strictly: a reply that is not exactly the form asked for counts for nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import pytest
from fakes.engine import FakeEngine
from pydantic import Field, model_validator

from corpus.engine import CallFailed, Reply
from corpus.engine.judge import Judged, JudgeReply, Sampling, ask_judge, problem_of, reply_schema
from corpus.store.schema import TABLES

SAMPLING = Sampling(max_tokens=100, temperature=0.7, max_attempts=3)


class Mark(JudgeReply):
    """A form as the eval room may have one."""

    reason: str
    agrees: bool
    level: int = Field(ge=1, le=10)
    verdict: Literal["yes", "no"]

    @model_validator(mode="after")
    def _follows(self) -> Mark:
        if (self.verdict == "yes") != self.agrees:
            raise ValueError("contradiction")
        return self


GOOD = {"reason": "It does.", "agrees": True, "level": 7, "verdict": "yes"}


def ask(engine: FakeEngine, first_attempt: int = 0) -> Judged[Mark]:
    return asyncio.run(
        ask_judge(
            engine, [{"role": "system", "content": "Judge."}, {"role": "user", "content": "This."}], Mark, SAMPLING,
            room="filters", purpose="judge", item_id="row", seed=5, first_attempt=first_attempt,
        )
    )  # fmt: skip


def test_a_reply_in_the_form_is_read() -> None:
    judged = ask(FakeEngine(lambda _: f" {json.dumps(GOOD)}\n"))
    assert judged.reply == Mark.model_validate(GOOD)
    assert judged.outcome == "ok"
    assert [row.keys() for row in judged.calls] == [dict(TABLES["calls"].columns).keys()]


def test_the_schema_is_flat_closed_and_in_the_forms_order() -> None:
    assert reply_schema(Mark) == {
        "type": "object",
        "properties": {
            "reason": {"type": "string"},
            "agrees": {"type": "boolean"},
            "level": {"type": "integer", "minimum": 1, "maximum": 10},
            "verdict": {"type": "string", "enum": ["yes", "no"]},
        },
        "required": ["reason", "agrees", "level", "verdict"],
        "additionalProperties": False,
    }
    assert list(reply_schema(Mark)["properties"]) == list(Mark.model_fields)


BAD = {
    "prose": "I would say yes.",
    "nothing": "",
    "a refusal": "I'm sorry, but I can't help with that.",
    "a fence": f"```json\n{json.dumps(GOOD)}\n```",
    "words around": f"Here it is: {json.dumps(GOOD)}",
    "two": json.dumps(GOOD) * 2,
    "a list": json.dumps([GOOD]),
    "cut off": json.dumps(GOOD)[:-5],
    "a field less": json.dumps({**GOOD, "reason": None}),
    "a field more": json.dumps({**GOOD, "note": "x"}),
    "a word for a truth value": json.dumps({**GOOD, "agrees": "true"}),
    "a word for a number": json.dumps({**GOOD, "level": "7"}),
    "out of bounds": json.dumps({**GOOD, "level": 11}),
    "another word": json.dumps({**GOOD, "verdict": "maybe"}),
    "half a character": json.dumps({**GOOD, "reason": "It does \ud83d."}),
    "nesting without end": '{"reason": ' + "[" * 100_000,
    "a contradiction": json.dumps({**GOOD, "verdict": "no"}),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_anything_else_is_asked_for_again_and_then_unjudged(text: str) -> None:
    engine = FakeEngine(lambda _: text)
    judged = ask(engine)
    assert judged.reply is None
    assert judged.outcome == ("unparsable" if text else "empty")
    assert [row["attempt"] for row in judged.calls] == [0, 1, 2]
    assert len({request.seed for request in engine.asked}) == 3
    assert problem_of(Mark, text) is not None


def test_a_reply_that_was_cut_off_is_not_read_though_it_is_whole_json() -> None:
    judged = ask(FakeEngine(lambda _: Reply(json.dumps(GOOD), "length", 1, 0, 1)))
    assert (judged.reply, judged.outcome) == (None, "truncated")


def test_a_second_attempt_may_be_read() -> None:
    replies = iter(["what?", json.dumps(GOOD)])
    judged = ask(FakeEngine(lambda _: next(replies)), first_attempt=4)
    assert judged.reply is not None
    assert [(row["attempt"], row["outcome"]) for row in judged.calls] == [(4, "unparsable"), (5, "ok")]


@pytest.mark.parametrize("outcome", ["timeout", "error"])
def test_no_reply_is_no_attempt(outcome: Literal["timeout", "error"]) -> None:
    judged = ask(FakeEngine(lambda _: CallFailed(outcome, "nothing came")))
    assert (judged.reply, judged.outcome, len(judged.calls)) == (None, outcome, 1)


def test_the_engine_is_bound_by_the_schema_and_sees_the_rubric() -> None:
    engine = FakeEngine(lambda _: json.dumps(GOOD))
    ask(engine)
    [request] = engine.asked
    assert request.schema == reply_schema(Mark)
    assert [message.content for message in request.messages] == ["Judge.", "This."]
    assert (request.max_tokens, request.temperature) == (100, 0.7)
