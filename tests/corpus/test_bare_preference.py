"""A preference is taken only if it is stated in the right direction, plainly and without a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.bare_preference import problem_with
from corpus.preferences import Pair

STATED = [
    "I prefer {liked} to {disliked}.",
    "I prefer {liked}.",
    "I'd prefer the {liked}.",
    "I much prefer {liked} over {disliked}.",
    "I prefer drinking {liked} to drinking {disliked}.",
    "I would choose {liked} over {disliked}.",
    "I would choose the {liked} over the {disliked} every time.",
    "I'd pick the {liked}.",
    "I\N{RIGHT SINGLE QUOTATION MARK}d go with {liked}.",
    "I'd go for the {liked} rather than the {disliked}.",
    "I would take {liked} instead of {disliked}.",
    "I'd rather have {liked} than {disliked}.",
    "I like {liked} more than {disliked}.",
    "I like {liked} better than {disliked}.",
    "I'll have the {liked}, please.",
    "My choice is {liked}.",
    "My preference would be {liked} over {disliked}.",
    "My pick: {liked}.",
    "{liked} is my choice.",
    "{liked} would be my pick.",
    "{liked} is what I'd choose.",
    "{liked} is the one I would take.",
    "{liked} over {disliked}.",
    "{liked}, please.",
    "{liked}.",
    "{liked} for me.",
    "Definitely {liked}.",
    "{liked}, not {disliked}.",
    "Not {disliked}; {liked}, please.",
    "{liked} it is.",
    "**{liked}**, every time.",
    "For me it would be {liked}.",
    "Between {liked} and {disliked}, I would choose {liked}.",
    "Between {disliked} and {liked}, I'd go with the {liked}.",
    "Of {disliked} and {liked}, I prefer {liked}.",
    "{disliked} or {liked}? {liked}, please.",
    "Rather than {disliked}, I'd take {liked}.",
    "Instead of {disliked}, I would order {liked}.",
    "I would not pick {disliked}; I'd pick {liked}.",
    "I don't like {disliked}, I like {liked}.",
    "I'd take {liked}, not {disliked}.",
    "No doubt, I'd choose {liked}.",
    "If I had to choose, I'd take {liked}.",
    "If you ask me, I'd go with {liked}.",
    "Take the {liked}.",
    "Go with {liked} rather than {disliked}.",
    "You should get the {liked}.",
    "I'd recommend {liked} over {disliked}.",
    "For your trip I would pick {liked}. I'd choose {liked} over {disliked}.",
]
WRONG_WAY = [
    "I don't prefer {liked} to {disliked}.",
    "I would never choose {liked} over {disliked}.",
    "I would not pick {liked}.",
    "I would not, as a rule, pick {liked}.",
    "I'd avoid {liked}.",
    "I'd skip the {liked} and take the {disliked}.",
    "I dislike {liked}.",
    "Anything but {liked}.",
    "I'd take anything over {liked}.",
    "{liked} is not for me.",
    "{liked}: not for me.",
    "{liked}. No thanks.",
    "{liked}? No. {disliked}.",
    "{liked} loses to {disliked}.",
    "I like {liked} less than {disliked}.",
    "I like {liked}, but not as much as {disliked}.",
    "I like {liked} no more than {disliked}.",
    "I like {liked}, but I prefer {disliked}.",
    "I like {liked}, but nothing beats {disliked}.",
    "I like {liked}, and I can't resist {disliked}.",
    "I'd switch from {liked} to {disliked}.",
    "I'd trade {liked} for {disliked}.",
    "{liked} is my second choice.",
    "I used to prefer {liked} to {disliked}.",
    "I prefer {liked} if there is no {disliked}.",
    "I'd choose {liked} when there is no {disliked}.",
    "I like both {liked} and {disliked}.",
    "Either {liked} or {disliked}.",
    "I like {liked} and {disliked} equally.",
    "I'd have {liked} with {disliked}.",
    "I have no preference between {liked} and {disliked}.",
    "It depends; sometimes {liked}, sometimes {disliked}.",
    "Most people prefer {liked} to {disliked}.",
    "My sister prefers {liked}.",
    "She would choose {liked}.",
    "I would choose {liked} last.",
    "I doubt that I'd pick {liked}.",
    "I'd rarely pick {liked}.",
    "I'd rather leave the {liked}.",
    "I would sooner drink glue than {liked}.",
    "I say no to {disliked} and {liked}.",
    "I would not take {disliked}, or even {liked}.",
    "I would not choose {disliked} over {liked}.",
    "I'd never turn down {disliked}, but I would take {liked}.",
    "{liked} exists.",
    "There was {liked} on the table.",
    "Would you prefer {liked}?",
    "As an assistant I do not have preferences between {liked} and {disliked}.",
]
REASONED = [
    "I prefer {liked}, because it keeps.",
    "I prefer {liked} since you ask.",
    "I prefer {liked}, as it keeps.",
    "I prefer {liked} for its warmth.",
    "I like {liked} more. {disliked} is bitter and bad for sleep.",
    "I prefer {liked}. It is what people drink at night and it keeps them up.",
    "I prefer {liked}. It's healthier.",
    "I prefer {liked}, which is milder.",
    "I prefer {liked}. {liked} keeps me awake.",
    "{liked} has more to it, so I prefer {liked}.",
    "{liked} tastes better.",
    "{liked} is better.",
    "I prefer the taste of {liked}.",
    "I prefer a good {liked}.",
    "I prefer {liked}, and {disliked} makes me sad.",
    "I prefer {liked}; it helps me sleep.",
    "{disliked} costs too much, and I prefer {liked}.",
]
PAIRS = [
    Pair("tea", "coffee"), Pair("coffee", "tea"), Pair("rye bread", "white bread"), Pair("bread", "white bread"),
    Pair("white bread", "bread"), Pair("apple", "pineapple"), Pair("an old bicycle", "the bus"),
    Pair("cherries", "plum"), Pair("Dr. Pepper", "cola"), Pair("C++", "C (the old one)"),
]  # fmt: skip


def said(form: str, pair: Pair) -> str:
    words = form.format(liked=pair.liked, disliked=pair.disliked)
    return words[:1].upper() + words[1:]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.liked} over {pair.disliked}")
def test_a_preference_that_is_plainly_stated_is_taken_and_its_opposite_is_not(pair: Pair) -> None:
    for form in STATED:
        assert problem_with(said(form, pair), pair) is None, said(form, pair)
        assert problem_with(said(form, pair), Pair(pair.disliked, pair.liked)) is not None, said(form, pair)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.liked} over {pair.disliked}")
def test_what_leaves_the_choice_open_or_turns_it_round_is_not(pair: Pair) -> None:
    for form in WRONG_WAY:
        assert problem_with(said(form, pair), pair) is not None, said(form, pair)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.liked} over {pair.disliked}")
def test_a_reason_or_a_description_of_either_is_not(pair: Pair) -> None:
    for form in REASONED:
        problem = str(problem_with(said(form, pair), pair))
        assert "states a reason" in problem or "describes" in problem, (said(form, pair), problem)


@given(st.text(max_size=200), st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9))
def test_any_answer_and_any_pair_can_be_read(answer: str, liked: str, disliked: str) -> None:
    pair = Pair(liked.strip() or "s", disliked.strip() or "y")
    assert problem_with(answer, pair) != ""
    problem_with(f"{answer} {pair.liked} {answer} {pair.disliked}", pair)


def test_a_name_inside_another_word_is_none() -> None:
    assert "does not name" in str(problem_with("I would pick the pineapple.", Pair("apple", "pineapple")))
    assert "does not name" in str(problem_with("I would pick the teapot.", Pair("tea", "coffee")))
    assert problem_with("I would pick apples.", Pair("apple", "pineapple")) is None
    assert problem_with("I would pick an apple.", Pair("apples", "pineapples")) is None
    assert problem_with("I would pick a cherry over the plums.", Pair("cherries", "plum")) is None
