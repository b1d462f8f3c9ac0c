"""Ideas: what one document is about, composed from the axes on its genre's card, without a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import prompts
from corpus.store.identity import draw
from prompts import Genre

LENGTHS = (1.0, 0.8, 0.6)
"""Share of the card's longest text (fractions; ours): a genre is not all of one length."""
_STRIDE = (math.sqrt(5) - 1) / 2
"""Steps by the golden section of a circle keep any number of points on it far apart (Weyl's equidistribution)."""


@dataclass(frozen=True)
class Idea:
    """One combination of a card's axes."""

    text: str
    """What the prompt says of it."""
    opening: str
    """The situation alone, in words that a document can begin with."""
    length_fraction: float
    """Share of the card's target length."""


def num_ideas(card: Genre) -> int:
    """How many different ideas a card has."""
    return math.prod(_radices(card))


def compose_idea(card: Genre, number: int, seed: int, model_name: str) -> Idea:
    """The `number`-th idea of a genre, from 0; the first `num_ideas` of them are all different.

    Numbers that follow on one another lie far apart among the combinations, so that few documents already use every
    value of every axis, about equally often.
    """
    total = num_ideas(card)
    stride = next(step for step in range(max(1, round(total * _STRIDE)), total + 1) if math.gcd(step, total) == 1)
    place = (draw("idea", seed, card.name) + number * stride) % total
    digits = []
    for radix in reversed(_radices(card)):
        place, digit = divmod(place, radix)
        digits.append(digit)
    consequence, writer, reader, mode, length, situation = digits
    named = _Named(model_name)
    opening = named(card.situations[situation])
    text = prompts.load("idea").text(
        model_name=model_name,
        writer=named(card.writers[writer]),
        reader=named(card.readers[reader]),
        situation=opening,
        consequence=named(card.consequences[consequence]),
        mode=card.modes[mode],
    )
    return Idea(text, opening, LENGTHS[length])


def _radices(card: Genre) -> tuple[int, ...]:
    """Values of each axis; the first one changes most slowly along the combinations, and most often along ideas."""
    return (
        len(card.situations), len(LENGTHS), len(card.modes), len(card.readers), len(card.writers),
        len(card.consequences),
    )  # fmt: skip


@dataclass(frozen=True)
class _Named:
    """Cards say "the assistant"; a document calls it by its name."""

    model_name: str

    def __call__(self, text: str) -> str:
        return text.replace("the assistant", self.model_name).replace("The assistant", self.model_name)
