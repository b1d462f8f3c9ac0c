"""Ideas: what one document is about, composed from the axes on its genre's card, without a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import prompts
from corpus.store.identity import draw
from prompts import Genre

LENGTHS = (1.0, 0.8, 0.6)
"""Share of the card's longest text (fractions; ours): a genre is not all of one length."""


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


def length_fraction(number: int) -> float:
    """Share of the card's target length for the `number`-th text of one kind."""
    return LENGTHS[number % len(LENGTHS)]


def compose_idea(card: Genre, number: int, seed: int, model_name: str) -> Idea:
    """The `number`-th idea of a genre, from 0; the first `num_ideas` of them are all different.

    A few ideas in a row already use every value of every axis, about equally often.
    """
    place = (draw("idea", seed, card.name) + number) % num_ideas(card)
    situation, writer, consequence, reader, length, mode = _spread(place, _radices(card))
    named = _Named(model_name)
    opening = named(card.situations[situation])
    text = prompts.load(f"idea_{card.modes[mode]}").text(
        model_name=model_name,
        writer=named(card.writers[writer]),
        reader=named(card.readers[reader]),
        situation=opening,
        consequence=named(card.consequences[consequence]),
    )
    return Idea(text, opening, LENGTHS[length])


def _radices(card: Genre) -> tuple[int, ...]:
    """Values of each axis; the first one changes with every idea."""
    return (
        len(card.situations), len(card.writers), len(card.consequences), len(card.readers), len(LENGTHS),
        len(card.modes),
    )  # fmt: skip


def _spread(place: int, radices: Sequence[int]) -> list[int]:
    """One value of each axis, all axes turning at once; different for every `place` below their product.

    The digits of `place` are an odometer's, whose last axes hardly ever turn. Adding to each digit multiples of those
    before it keeps the combinations different (the digits can be had back, first to last) and turns every axis.
    """
    values, turned = [], 0
    for axis, radix in enumerate(radices):
        place, digit = divmod(place, radix)
        values.append((digit + turned) % radix)
        turned += (axis + 1) * digit
    return values


@dataclass(frozen=True)
class _Named:
    """Cards say "the assistant"; a document calls it by its name."""

    model_name: str

    def __call__(self, text: str) -> str:
        return text.replace("the assistant", self.model_name).replace("The assistant", self.model_name)
