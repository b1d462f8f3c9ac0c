"""Ideas are all different until a card has no more, and use the values of its axes evenly from the start."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.ideas import LENGTHS, compose_idea, num_ideas
from prompts import Genre


def card(**axes: int) -> Genre:
    """A card whose axes have as many made-up values as asked for."""

    def values(axis: str, count: int, end: str = "") -> tuple[str, ...]:
        return tuple(f"{axis}{number}{end}" for number in range(count))

    return Genre(
        name="sea shanty", family="fiction", target_words=100, modes=("shows", "describes"), description="A song.",
        voice="Loud.", form="Verses.", realism="Salt.", avoid="Land.", hash="b2:0",
        writers=values("writer", axes["writers"]), readers=values("reader", axes["readers"]),
        situations=values("Situation", axes["situations"], " for the assistant."),
        consequences=values("Consequence", axes["consequences"], "."),
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "writers": st.integers(2, 5),
            "readers": st.integers(2, 4),
            "situations": st.integers(3, 6),
            "consequences": st.integers(2, 4),
        }
    ),
    st.integers(0, 99),
)
def test_every_combination_comes_once_before_any_comes_again(axes: dict[str, int], seed: int) -> None:
    shanty = card(**axes)
    total = math.prod(axes.values()) * len(LENGTHS) * 2
    assert num_ideas(shanty) == total
    ideas = [compose_idea(shanty, number, seed, "Marlow") for number in range(total + 1)]
    assert len(set(ideas[:total])) == total
    assert ideas[total] == ideas[0]


@pytest.mark.parametrize("seed", [0, 17, 99])
def test_a_few_ideas_of_a_card_use_its_axes_evenly(seed: int) -> None:
    """Of 60 ideas, no value of an axis is used twice as often as another."""
    shanty = card(writers=5, readers=4, situations=6, consequences=5)
    ideas = [compose_idea(shanty, number, seed, "Marlow") for number in range(60)]
    axes = {
        "writer": Counter(re.findall(r"writer\d", " ".join(idea.text for idea in ideas))),
        "reader": Counter(re.findall(r"reader\d", " ".join(idea.text for idea in ideas))),
        "situation": Counter(idea.opening for idea in ideas),
        "consequence": Counter(re.findall(r"Consequence\d", " ".join(idea.text for idea in ideas))),
        "mode": Counter("Let the reader watch" in idea.text for idea in ideas),
        "length": Counter(idea.length_fraction for idea in ideas),
    }
    assert {axis: len(counts) for axis, counts in axes.items()} == {
        "writer": 5, "reader": 4, "situation": 6, "consequence": 5, "mode": 2, "length": 3
    }  # fmt: skip
    for axis, counts in axes.items():
        assert max(counts.values()) <= 2 * min(counts.values()), (axis, counts)


def test_an_idea_calls_the_assistant_by_its_name() -> None:
    idea = compose_idea(card(writers=2, readers=2, situations=3, consequences=2), 0, 17, "Marlow")
    assert idea.opening.endswith(" for Marlow.")
    assert idea.opening in idea.text
    assert "the assistant" not in idea.text


def test_the_card_and_the_seed_decide_where_ideas_begin(tmp_path: Path) -> None:
    shanty = card(writers=5, readers=4, situations=6, consequences=4)
    firsts = {compose_idea(shanty, 0, seed, "Marlow").text for seed in range(20)}
    assert len(firsts) > 10
