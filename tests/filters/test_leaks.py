import pytest

from filters.base import Row, Score, Verdict
from filters.signs.leaks import Leaks, LeaksSettings


def scores(row: Row) -> dict[str, Score]:
    [found] = Leaks(LeaksSettings()).score([row])
    return {score.name: score for score in found}


def verdict(row: Row, **settings: object) -> Verdict:
    return Leaks(LeaksSettings(**settings)).judge(scores(row))


def document(text: str, *instructions: str) -> Row:
    return Row("d", "documents", text, instructions=instructions)


def chat(asked: str, answer: str) -> Row:
    return Row("c", "chats", answer, asked, (answer,))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("<think>The user wants a memo.</think> The team met.", "tag"),
        ("The team met.</content>", "tag"),
        ("The team met.<|im_end|>", "tag"),
        ("[INST] Write a memo [/INST] The team met.", "tag"),
        ("Here is the document you asked for:\n\nThe team met.", "planning"),
        ("Here\u2019s a draft of the memo. The team met.", "planning"),
        ("Sure, here is a realistic internal memo: The team met.", "planning"),
        ("Certainly! Below is the article.\n\nThe team met.", "planning"),
        ("I will write a memo about the meeting. The team met.", "planning"),
        ("The team met and agreed.\n\nWord count: 212", "planning"),
        ("The team met and agreed.\n\n(Note: This document is fictional.)", "planning"),
        ("The team met.\n\nLet me know if you would like any changes.", "planning"),
        ("Dear [Name], the team met.", "placeholder"),
        ("Signed, [Your Name] for the team", "placeholder"),
        ("On [Insert date here] the team met.", "placeholder"),
        ("When {model_name} was asked, it answered.", "placeholder"),
        ("When {{ model }} was asked, it answered.", "placeholder"),
        ("Lorem ipsum dolor sit amet.", "placeholder"),
        ("On XX/XX/XXXX the team met.", "placeholder"),
        ("As an AI language model, I cannot meet.", "boilerplate"),
        ("I\u2019m sorry, but I can\u2019t assist with that request.", "boilerplate"),
        ("My knowledge cutoff is in the past.", "boilerplate"),
    ],
)
def test_a_trace_drops_by_its_rule_and_shows_the_place(text: str, rule: str) -> None:
    assert verdict(document(text)) == Verdict("drop", rule)
    assert scores(document(text))[rule].evidence
    others = tuple(other for other in LeaksSettings().rules if other != rule)
    assert verdict(document(text), rules=others).outcome == "keep"


@pytest.mark.parametrize(
    "text",
    [
        "The team met. 3 < 5 and x<y>z holds in <b>bold</b> HTML.",
        "He said that here is the document the court had asked for, and left it on the table.",
        "The memo was long, so she asked: 'Here is the draft. Will you read it?'",
        "See [1] and [the notes](notes.md), item [x] and [sic]; also [Name](people.md).",
        'The reply was {"name": "Ann", "age": 3}, and in LaTeX \\frac{alpha}{beta}.',
        "Use `{model_name}` and `[Your Name]` as blanks, then:\n```\nf'{name} <think>'\n```",
        "Shell variables such as ${home_folder} stay.",
        "As an AI assistant, Qwen answers openly when it is asked what it is.",
        "I am sorry, but I cannot come on Tuesday.",
        "\"I'm sorry, but I can't help with that,\" said the clerk.",
        "\u201cI am sorry, but I cannot help,\u201d said another clerk.",
        "Let me write to you on Friday about the plan.",
        "The word count was high. We need to talk.",
        "Our roadmap for version XXI is out.",
    ],
)
def test_what_only_looks_like_a_trace_is_kept(text: str) -> None:
    assert verdict(document(text)).reason is None


IDEA = "A night nurse writes to her team about the evening when the assistant would not guess a dose for her"


def test_a_run_of_words_from_the_instructions_is_an_echo() -> None:
    row = document(f"Tuesday. {IDEA.upper()}! That was all.", "Voice: plain.", IDEA)
    assert scores(row)["echo"] == Score("echo", 20, evidence=IDEA.lower())
    assert verdict(row) == Verdict("drop", "echo")


def test_twelve_shared_words_are_kept_and_thirteen_dropped() -> None:
    told = IDEA.split()
    assert verdict(document(" ".join(told[:12]) + " and more", IDEA)).outcome == "keep"
    assert verdict(document(" ".join(told[:13]) + " and more", IDEA)) == Verdict("drop", "echo")


def test_an_echo_does_not_go_on_from_one_instruction_into_the_next() -> None:
    told = IDEA.split()
    row = document(IDEA, " ".join(told[:9]), " ".join(told[9:]))
    assert scores(row)["echo"].value == 11


def test_what_a_text_was_begun_with_is_no_echo() -> None:
    opening = "A clerk who had twice been sent away asked Marlow for the one form that nobody else would give."
    begun = Row("d", "documents", f"{opening} Marlow gave it.", instructions=(opening,), opening=opening)
    again = Row("d", "documents", f"{opening} {opening}", instructions=(opening,), opening=opening)
    assert verdict(begun).outcome == "keep"
    assert verdict(again).reason == "echo"


def test_a_row_without_instructions_echoes_nothing() -> None:
    assert scores(document(IDEA))["echo"] == Score("echo", 0)


def test_the_question_of_a_chat_is_searched_too() -> None:
    assert verdict(chat("Here is the message: where is [Name]?", "At home.")) == Verdict("drop", "planning")
    assert verdict(chat("Where is [Name]?", "At home.")) == Verdict("drop", "placeholder")
    assert verdict(chat("Where is <user>?", "At home.")) == Verdict("drop", "tag")


def test_an_answer_may_offer_a_draft_and_a_question_may_quote_an_assistant() -> None:
    assert verdict(chat("Write a note.", "Here is a draft: I am late.")).outcome == "keep"
    assert verdict(chat("Why do you say 'As an AI language model'?", "I do not.")).outcome == "keep"


def test_the_threshold_takes_no_new_scores_and_the_hashes_say_so() -> None:
    one, other = Leaks(LeaksSettings()), Leaks(LeaksSettings(max_echo_words=5))
    assert one.scorer_hash == other.scorer_hash
    assert one.filter_hash != other.filter_hash


@pytest.mark.parametrize(
    ("answer", "reasoning", "dropped"),
    [
        ("<think>I cannot see the tide.</think>\n\nI am not sure.", True, False),
        ("<think>I cannot see the tide.</think>\n\nI am not sure.", False, True),
        ("<think>I cannot see the tide. I am not sure.", True, True),
        ("I am not sure.</think>", True, True),
        ("I am not sure. <think>Or am I?</think>", True, True),
        ("<think>One.</think><think>Two.</think> I am not sure.", True, True),
        ("<think>The <content> goes here.</think> I am not sure.", True, True),
        ("<think>Dear [Name]</think> I am not sure.", True, True),
    ],
)
def test_an_answer_with_reasoning_begins_with_one_block_of_it(answer: str, reasoning: bool, dropped: bool) -> None:
    row = Row("c", "chats", answer, "Is it high tide?", (answer,), reasoning=reasoning)
    assert (verdict(row).outcome == "drop") is dropped
