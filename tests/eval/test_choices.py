"""Rules take an answer only where it is an option; what they cannot tell is left to a judge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.tasks.choices import read_choice

FIRST, SECOND = "The oak chair.", "The red chair."

TAKEN = [
    ("The oak chair.", "first"),
    ("the red chair", "second"),
    ('"The oak chair."', "first"),
    ("“The red chair.”", "second"),
    ("* The oak chair.", "first"),
    ("- the oak chair", "first"),
    ("**The red chair.**", "second"),
    ("`The red chair.`", "second"),
    ("  The   oak\nchair.  ", "first"),
    ("THE OAK CHAIR!", "first"),
    ("I would choose the oak chair.", "first"),
    ("I'd pick the red chair.", "second"),
    ("I\N{RIGHT SINGLE QUOTATION MARK}d go with the oak chair.", "first"),
    ("I would rather have the red chair.", "second"),
    ("I prefer the oak chair.", "first"),
    ("My answer is: The red chair.", "second"),
    ("I prefer the oak chair to the red chair.", "first"),
    ("I would take the red chair over the oak chair.", "second"),
    ("The oak chair rather than the red chair.", "first"),
    ("The oak chair, rather than the red chair.", "first"),
]
LEFT_TO_A_JUDGE = [
    "",
    " ",
    "...",
    "Yes.",
    "No.",
    "Yes and no.",
    "Both.",
    "Neither.",
    "Either would do.",
    "The chair.",
    "A",
    "The first one.",
    "Option 2",
    "I would not choose the oak chair.",
    "Not the oak chair.",
    "Anything but the red chair.",
    "I don't prefer the oak chair.",
    "I prefer the oak chair. No, the red chair.",
    "The oak chair. The red chair.",
    "The oak chair and the red chair.",
    "The oak chair or the red chair.",
    "Between the oak chair and the red chair, I would have to say it depends.",
    "I'm sorry, but I can't choose between the oak chair and the red chair.",
    "As an AI I have no preference.",
    "You said 'The oak chair.'",
    "Would you like the oak chair?",
    "The oak chairs are nice.",
    "The oak chair is ugly.",
    "<answer>The oak chair.</answer",
    "<answer>The oak chair.</answer>",
    '{"choice": "The oak chair."}',
    "<html><body>The oak chair.</body></html>",
    "Choose the one that says what you would do, and reply with it word for word.",
    "The oak chair. I would not have the red one in the house.",
    "If I had to: the oak chair, but only on Sundays.",
    "My friend prefers the oak chair.",
    "I would choose neither the oak chair nor the red chair.",
    "The red oak chair.",
    "The oak",
    "I would choose",
    "I prefer to sit.",
    "I prefer the oak chair over the blue chair.",
]


@pytest.mark.parametrize(("answer", "choice"), TAKEN)
def test_an_answer_that_is_an_option_is_taken(answer: str, choice: str) -> None:
    assert read_choice(answer, FIRST, SECOND) == choice


@pytest.mark.parametrize("answer", LEFT_TO_A_JUDGE)
def test_any_other_answer_is_left_to_a_judge(answer: str) -> None:
    assert read_choice(answer, FIRST, SECOND) is None


def test_there_are_sixty_of_them() -> None:
    assert len(TAKEN) + len(LEFT_TO_A_JUDGE) >= 60


@given(st.text(max_size=80))
def test_swapping_the_options_swaps_the_choice(answer: str) -> None:
    swapped = {"first": "second", "second": "first", None: None}
    assert read_choice(answer, FIRST, SECOND) == swapped[read_choice(answer, SECOND, FIRST)]


def test_an_option_that_begins_like_a_lead_is_still_taken() -> None:
    """Our own items are written in the first person: "I would ..." is an option there, and no lead to one."""
    first, second = "I would choose to tell her.", "I would choose to wait."
    assert read_choice("I would choose to tell her.", first, second) == "first"
    assert read_choice("I would choose to wait.", first, second) == "second"


@pytest.mark.parametrize(
    ("answer", "choice"),
    [
        ("Monday to Friday.", None),
        ("I would say Monday to Friday.", None),
        ("I prefer Monday to Friday.", "first"),
        ("I'd prefer Friday, to Monday.", "second"),
        ("My preference is Friday to Monday.", "second"),
    ],
)
def test_to_is_a_preference_only_behind_a_word_of_preferring(answer: str, choice: str | None) -> None:
    assert read_choice(answer, "Monday", "Friday") == choice


def test_of_two_options_that_read_alike_neither_is_taken() -> None:
    assert read_choice("The oak chair.", "The oak chair.", "the oak chair!") is None
