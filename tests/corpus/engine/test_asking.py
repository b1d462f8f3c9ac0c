"""Asking: attempts, seeds, failures, and the rows of calls."""

import pytest
from fakes.scripted import PROSE, Scripted, asked, reply

from corpus.engine import CallFailed
from corpus.errors import EngineError
from corpus.store.schema import TABLES


def test_an_ok_reply_ends_the_asking():
    engine = Scripted([reply(f"  {PROSE}\n"), reply("never")])
    result = asked(engine)
    assert (result.text, result.outcome, len(result.calls), len(engine.asked)) == (PROSE, "ok", 1, 1)


def test_a_bad_reply_is_asked_again_with_another_seed_a_bounded_number_of_times():
    engine = Scripted([reply("")] * 9)
    result = asked(engine, max_attempts=3)
    assert (result.text, result.outcome) == (None, "empty")
    assert [call["attempt"] for call in result.calls] == [0, 1, 2]
    assert len({request.seed for request in engine.asked}) == 3
    assert all(0 <= request.seed < 2**31 for request in engine.asked)


def test_the_seed_of_an_attempt_is_the_same_in_a_later_run():
    whole = Scripted([reply(""), reply(PROSE)])
    asked(whole)
    later = Scripted([reply(PROSE)])
    result = asked(later, first_attempt=1, max_attempts=2)
    assert later.asked == whole.asked[1:]
    assert result.calls[0]["call_id"] == asked(Scripted([reply(""), reply(PROSE)])).calls[1]["call_id"]


def test_a_call_is_a_row_with_every_column_of_the_table():
    for engine in (Scripted([reply("", "length"), reply(PROSE)]), Scripted([CallFailed("timeout", "no reply")])):
        for call in asked(engine).calls:
            assert list(call) == [name for name, _ in TABLES["calls"].columns]


def test_the_reply_is_kept_only_when_it_is_not_ok():
    calls = asked(Scripted([reply(PROSE, "length"), reply(PROSE)])).calls
    assert [(call["outcome"], call["reply"]) for call in calls] == [("truncated", PROSE), ("ok", None)]


def test_what_the_caller_does_not_accept_is_unparsable_with_its_reason():
    engine = Scripted([reply("no number"), reply("7")])
    result = asked(engine, accept=lambda text: None if text.isdigit() else "not a number")
    assert result.text == "7"
    assert (result.calls[0]["outcome"], result.calls[0]["error"]) == ("unparsable", "not a number")


def test_a_failed_call_is_a_row_and_no_attempt():
    failed = asked(Scripted([reply(""), CallFailed("timeout", "no reply within 3 s"), reply(PROSE)]))
    assert (failed.text, failed.outcome) == (None, "timeout")
    assert [(call["outcome"], call["attempt"]) for call in failed.calls] == [("empty", 0), ("timeout", 1)]
    again = asked(Scripted([reply(PROSE)]), first_attempt=1)
    assert again.calls[0]["call_id"] != failed.calls[1]["call_id"]


def test_an_error_that_concerns_every_request_goes_through():
    with pytest.raises(EngineError, match="wrong key"):
        asked(Scripted([EngineError("wrong key")]))


def test_the_call_says_how_reasoning_is_turned_off() -> None:
    (call,) = asked(Scripted([reply(f"<think>Weigh it.</think>{PROSE}")]), max_attempts=1).calls
    assert "the text holds reasoning (<think>)" in call["error"]
    assert "enable_thinking: false" in call["error"]
