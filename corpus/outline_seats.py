"""How texts are shared out over the subdomains of an outline, so that what is found later moves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import prompts
from corpus.allocation import Seat, allocate
from corpus.assertions import Subdomain
from corpus.briefs import Brief
from corpus.known import Extra, Known
from corpus.outline_steps import Step
from corpus.recipe import Recipe


@dataclass(frozen=True)
class Group:
    """The documents of one genre on one subdomain."""

    subdomain: Subdomain
    genre: str
    seats: tuple[tuple[int, int], ...]
    """Of each idea that is wanted, in order: the round it belongs to, and how many documents are written on it."""

    def num_documents(self, first: int = 0) -> int:
        """Documents on its ideas from the `first` on."""
        return sum(variants for _, variants in self.seats[first:])


@dataclass(frozen=True)
class GroupState:
    """How far a group is."""

    briefs: list[Brief]
    step: Step | None
    """The call for more ideas; None where there are enough, or where no more are to be had."""
    num_missing: int
    """Documents whose ideas are not there."""


class OutlineSeats:
    """The seats of one recipe on an outline's subdomains, those of topping up included."""

    def __init__(
        self, recipe: Recipe, subdomains: Sequence[Subdomain], known: Known, weights: Mapping[str, float]
    ) -> None:
        """`weights` are those of the genres."""
        self._settings = recipe.generate
        self._seed = recipe.seed
        self._subdomains = subdomains
        self._of_key = {each.key: each for each in subdomains}
        self._known = known
        self._weights = weights

    def groups(self) -> list[Group]:
        """The documents that ideas are wanted for. Those of one subdomain stand together: their prompts begin alike."""
        seats: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for subject, form, round_number, variants in self._documents():
            seats.setdefault((subject, form), []).append((round_number, variants))
        places = sorted(seats, key=lambda group: (self._of_key[group[0]].place, group[1]))
        # Round by round, in the order they were shared out: asking for more only adds at the end of a round.
        return [
            Group(self._of_key[key], genre, tuple(sorted(seats[key, genre], key=lambda seat: seat[0])))
            for key, genre in places
        ]

    def chats(self) -> Iterator[tuple[Subdomain, str, int, int]]:
        """Subdomain, kind of question, number and round of each chat."""
        kinds = dict.fromkeys(prompts.question_kinds(), 1.0)
        for part, share in self._batches(self._settings.chats):
            for key, kind, nth in allocate([each.key for each in part], kinds, share, self._seed) if part else []:
                yield self._of_key[key], kind, nth, 0
        for extra in self._extras("chat"):
            yield self._of_key[extra.subject], extra.form, extra.nth, extra.round

    def _documents(self) -> Iterator[tuple[str, str, int, int]]:
        """Subdomain, genre, round and number of documents of each idea that is wanted."""
        variants = self._settings.variants
        for part, num_documents in self._batches(self._settings.documents):
            left = num_documents
            for each in self._share(part, -(-left // variants)):
                yield each.clause_id, each.form, 0, min(variants, left)
                left -= variants
        for extra in self._extras("document"):
            if extra.form in self._of_key[extra.subject].genres:
                yield extra.subject, extra.form, extra.round, 1

    def _extras(self, kind: str) -> Iterator[Extra]:
        return (extra for extra in self._known.extras if extra.kind == kind and extra.subject in self._of_key)

    def _batches(self, count: int) -> list[tuple[list[Subdomain], int]]:
        """The subdomains as they came to be known, each batch with its share of `count` texts.

        Those of the first outline share `count`. What topping up found is shared out by itself, so that it moves
        nothing that is written: as many texts for each subdomain as in the first batch, `count` in all at most.
        """
        number_of = {assertion: number for number, ids in enumerate(self._known.batches) for assertion in ids}
        new = len(self._known.batches)
        batches: list[list[Subdomain]] = [[] for _ in range(new + 1)]
        for one in self._subdomains:
            batches[min(number_of.get(each.assertion_id, new) for each in one.assertions)].append(one)
        first, *later = [batch for batch in batches if batch] or [[]]
        shares, left = [(first, count)], count
        for batch in later:
            share = min(left, round(count * len(batch) / len(first)))
            left -= share
            shares.append((batch, share))
        return shares

    def _share(self, subdomains: Sequence[Subdomain], count: int) -> list[Seat]:
        genres = {each.key: set(each.genres) for each in subdomains}
        if not genres:
            return []
        return allocate(
            list(genres),
            self._weights,
            count,
            self._seed,
            lambda key, form: form in genres[key],
            evenly_by_form=True,
        )
