"""Judging replies, and asking again."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from corpus.engine import Asked, CallFailed, Message, Reply, Request, ask, outcome_of
from corpus.engine.calls import compression, is_degenerate, opens_as_refusal, repeated_fraction, stray_reasoning
from corpus.errors import EngineError
from corpus.store.journal import encode
from corpus.store.schema import TABLES

REQUEST = Request((Message("user", "Write a memo."),), max_tokens=100, temperature=0.8, seed=5)
PROSE = (
    "The committee met on Tuesday to look at the new intake form. Nobody liked its third page, which asked for a "
    "reason without saying who would read it. We agreed to drop the question and to tell people why we had asked. "
    "Marta will redraw the page, and the clinic will try it for two weeks before the next meeting."
)


def reply(text: str, finish_reason: str = "stop") -> Reply:
    return Reply(text, finish_reason, prompt_tokens=7, cached_tokens=2, completion_tokens=9)


@dataclass
class Scripted:
    """An engine that gives what it was told to, and remembers what it was asked."""

    script: list[Reply | Exception]
    asked: list[Request] = field(default_factory=list)
    model: str = "scripted"
    max_in_flight: int = 4

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        given = self.script[len(self.asked) - 1]
        if isinstance(given, Exception):
            raise given
        return given


def asked(engine: Scripted, **options) -> Asked:
    values = {"room": "corpus", "purpose": "document", "item_id": "b2:1", "max_attempts": 3} | options
    return asyncio.run(ask(engine, REQUEST, **values))


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (reply(PROSE), "ok"),
        (reply("Yes."), "ok"),
        (reply(PROSE, "length"), "truncated"),
        (reply("  \n "), "empty"),
        (reply("", "length"), "empty"),
        (reply(PROSE, "content_filter"), "refusal"),
        (reply("I'm sorry, but I can't help with that."), "refusal"),
        (reply("The door is open. " * 40, "length"), "degenerate"),
        (reply(PROSE + " " + "and so on " * 60), "degenerate"),
        (reply("=" * 900), "degenerate"),
        (reply("好" * 300), "degenerate"),
    ],
)
def test_a_reply_is_judged_by_its_form(given, outcome):
    assert outcome_of(given, REQUEST) == outcome


@pytest.mark.parametrize(
    ("finish_reason", "outcome"),
    [
        ("stop", "ok"),
        ("eos", "ok"),
        ("eos_token", "ok"),
        ("stop_sequence", "ok"),
        ("unknown", "ok"),
        ("length", "truncated"),
        ("tool_calls", "truncated"),
        ("function_call", "truncated"),
        ("model_length", "truncated"),
        ("a reason of next year", "truncated"),
        ("repetition", "degenerate"),
        ("content_filter", "refusal"),
        ("abort", "error"),
        ("error", "error"),
    ],
)
@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_prose_is_ok_only_if_the_model_ended_it(finish_reason, outcome, schema):
    assert outcome_of(reply(PROSE, finish_reason), replace(REQUEST, schema=schema)) == outcome


@pytest.mark.parametrize("text", ["", PROSE])
def test_a_reply_that_the_engine_broke_off_is_a_row_and_no_attempt(text):
    broken = asked(Scripted([reply(text, "abort"), reply(PROSE)]))
    assert (broken.text, broken.outcome, len(broken.calls)) == (None, "error", 1)
    again = asked(Scripted([reply(text, "abort")]))
    assert again.calls[0]["call_id"] != broken.calls[0]["call_id"]
    assert again.calls[0]["attempt"] == broken.calls[0]["attempt"] == 0


@pytest.mark.parametrize("half", ["\ud83d", "\ude00", PROSE + "\ud83d" + PROSE])
@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_half_a_character_is_unparsable(half, schema):
    assert outcome_of(reply(half), replace(REQUEST, schema=schema)) == "unparsable"


def test_what_is_stored_of_half_a_character_reads():
    for engine in (
        Scripted([reply("a\ud83db", "stop\udc00")]),
        Scripted([CallFailed("error", "said a\ud83db")]),
        Scripted([reply("fine")]),
    ):
        (call,) = asked(engine, max_attempts=1, accept=lambda text: f"a\ud83db is no reason in {text}").calls
        assert "a\N{REPLACEMENT CHARACTER}b" in f"{call['reply']} {call['error']}"
        encode({"calls": [call]})


def test_a_whole_character_beyond_the_first_plane_is_no_half():
    assert asked(Scripted([reply("Done \N{GRINNING FACE}")])).text == "Done \N{GRINNING FACE}"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't write that memo.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m sorry, I can\N{RIGHT SINGLE QUOTATION MARK}t assist with that request.",
        "Sorry, but I cannot provide this information.",
        "I can't help with that.",
        "I am unable to assist you with this.",
        "Unfortunately, I won't be able to complete this task.",
        "As an AI language model, I cannot create such content.",
        "I apologize, but I'm not able to generate that.",
        "**I cannot comply with this request.**",
    ],
)
def test_declining_in_the_first_person_is_a_refusal(text):
    assert opens_as_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry for the late reply; the numbers are below.",
        "I can't help thinking that the third page was the trouble.",
        "I cannot overstate how much the redraw helped.",
        "I won't bore you with the details of the outage.",
        "\"I'm sorry, but I can't help with that,\" said the assistant, and offered a number to call.",
        "When the assistant says that it can't help, it should say why.",
        "Unfortunately the meeting was moved, so I will write the minutes tomorrow.",
        "I'm sorry, but I can't help with that. " + "That is how the transcript begins, and this memo asks why. " * 20,
    ],
)
def test_a_text_about_refusals_is_not_one(text):
    assert not opens_as_refusal(text)


def test_an_answer_may_decline_where_declining_is_an_answer():
    declined = reply("I'm sorry, but I can't help with that.")
    assert outcome_of(declined, REQUEST, may_decline=True) == "ok"


def test_a_refrain_and_a_table_are_not_loops():
    song = "\n".join(f"{line}\nAnd the river runs on, and the river runs on." for line in PROSE.split(". ") * 1)
    table = "\n".join(f"| step {n} | checked by hand | {n * 37 % 91} ms |" for n in range(12))
    assert not is_degenerate(song)
    assert not is_degenerate(table)


def test_measures_of_looping_on_known_texts():
    assert repeated_fraction("one two three four five six seven eight nine") == 0
    assert repeated_fraction("a b c d e f g h " * 2) == pytest.approx(1 / 9)
    assert compression(PROSE) < 2.5
    assert compression("no") == 1.0


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


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("The clerk was told the truth.", "ok"),
        ('"Then I shall wait," he said, "but not for long."', "ok"),
        ("Will it do?*", "ok"),
        ("I will give you one that is quite funny:", "truncated"),
        ("Dear all,", "truncated"),
        ("They never", "truncated"),
    ],
)
def test_a_text_that_a_stop_string_ended_has_to_end_like_a_sentence(text: str, outcome: str) -> None:
    asked = Request((Message("user", "Go."),), 100, 0.8, stop=("\n\n",))
    assert outcome_of(Reply(text, "stop", 1, 0, 9), asked) == outcome
    assert outcome_of(Reply(text, "stop", 1, 0, 9), replace(asked, stop=())) == "ok"


@pytest.mark.parametrize(
    "text",
    [
        f"<think>Weigh it.</think>{PROSE}",
        f"\n <think>\n\n</think>\n\n{PROSE}",
        f"<think>Weigh it and {PROSE}",
        f"Weigh it.</think>\n{PROSE}",
        f"{PROSE} <think>And weigh it",
        f"<THINK>Weigh it.</THINK> {PROSE}",
        f"<thinking effort='high'>Weigh it.</thinking> {PROSE}",
        f"<thought>Weigh it.</thought> {PROSE}",
        f"<reasoning>Weigh it.</reasoning> {PROSE}",
        f"<seed:think>Weigh it.</seed:think> {PROSE}",
        f"[THINK]Weigh it.[/THINK] {PROSE}",
        f"\u25c1think\u25b7Weigh it.\u25c1/think\u25b7 {PROSE}",
        f"<|begin_of_thought|>Weigh it.<|end_of_thought|> {PROSE}",
        f"<|channel|>analysis<|message|>Weigh it.<|channel|>final<|message|>{PROSE}",
        f"{PROSE} <think>One.</think> Then two.</think>",
    ],
)
def test_reasoning_that_was_not_asked_for_is_unparsable_cut_off_or_whole(text: str) -> None:
    assert outcome_of(reply(text), REQUEST) == "unparsable"
    assert outcome_of(reply(text), REQUEST, may_decline=True) == "unparsable"
    assert outcome_of(reply(text), REQUEST, may_reason=True) == "ok"
    assert outcome_of(reply(text, "length"), REQUEST) == "truncated"


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        f"Some models write <think> and </think> around what they weigh. {PROSE}",
        f"I think <b>this</b> is so; thinking of <reasons> helps. {PROSE}",
        f"<thinker>A part in a play.</thinker> {PROSE}",
        f"[think] of it. {PROSE}".replace("[think]", "[Thought 1]"),
        f"<memo><reasoning>Why.</reasoning></memo> {PROSE}",
    ],
)
def test_a_text_about_reasoning_is_none(text: str) -> None:
    assert stray_reasoning(text) is None
    assert outcome_of(reply(text), REQUEST) == "ok"


def test_reasoning_behind_the_opening_is_seen() -> None:
    begun = replace(REQUEST, opening="It began. ")
    assert outcome_of(reply(f"It began. <think>Weigh it.</think> {PROSE}"), begun) == "unparsable"
    assert outcome_of(reply(f"It began. {PROSE}"), begun) == "ok"


def test_the_call_says_how_reasoning_is_turned_off() -> None:
    (call,) = asked(Scripted([reply(f"<think>Weigh it.</think>{PROSE}")]), max_attempts=1).calls
    assert "the text holds reasoning (<think>)" in call["error"]
    assert "enable_thinking: false" in call["error"]


@pytest.mark.parametrize(
    ("inner", "outcome"),
    [
        (PROSE, "ok"),
        ("I'm sorry, but I can't help with that request.", "refusal"),
        ("The door is open. " * 40, "degenerate"),
        (f"<think>Weigh it.</think>{PROSE}", "unparsable"),
    ],
)
def test_a_text_between_tags_is_judged_like_a_whole_reply(inner: str, outcome: str) -> None:
    around = " ".join(f"word{n * n}" for n in range(300))  # so that the reply as a whole neither loops nor is short
    engine = Scripted([reply(f"{around}|{inner}")])
    result = asked(engine, max_attempts=1, texts_in=lambda text: text.split("|"), accept=lambda _: None)
    assert result.outcome == result.calls[0]["outcome"] == outcome
    assert (result.calls[0]["reply"] is None) is (outcome == "ok")
    assert ("reasoning (<think>)" in str(result.calls[0]["error"])) is (outcome == "unparsable")


def test_only_a_form_that_was_found_right_is_taken_apart() -> None:
    def never(text: str) -> list[str]:
        raise AssertionError(text)

    engine = Scripted([reply(PROSE)])
    assert asked(engine, max_attempts=1, texts_in=never, accept=lambda _: "no form").outcome == "unparsable"


def test_declining_between_tags_is_an_answer_where_declining_is_one() -> None:
    engine = Scripted([reply("think|I'm sorry, but I can't help with that.")])
    assert asked(engine, texts_in=lambda text: text.split("|"), may_decline=True).outcome == "ok"


def test_an_opening_without_more_is_an_empty_reply() -> None:
    asked = Request((Message("user", "Go."),), 100, 0.8, opening="It began. ")
    assert outcome_of(Reply("It began. ", "stop", 1, 0, 0), asked) == "empty"
    assert outcome_of(Reply("It began. Then it went on.", "stop", 1, 0, 9), asked) == "ok"
