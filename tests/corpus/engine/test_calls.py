"""Judging replies, and asking again."""

from dataclasses import replace

import pytest
from fakes.scripted import PROSE, REQUEST, Scripted, asked, reply

from corpus.engine import CallFailed, Message, Reply, Request, outcome_of
from corpus.engine.calls import compression, is_degenerate, opens_as_refusal, repeated_fraction, stray_reasoning
from corpus.store.journal import encode


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
