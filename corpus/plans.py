"""What a recipe asks to have written: its briefs, from clauses or from an outline, as far as they are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal

import prompts
from corpus.allocation import allocate
from corpus.assertions import Idea, Subdomain
from corpus.briefs import Brief, with_worn
from corpus.clauses import BRIEFED, check_spec, split_clauses
from corpus.compose import Composer
from corpus.errors import RecipeError, nearest
from corpus.known import Extra, Known
from corpus.outline import MAX_IDEA_WORDS, Outline
from corpus.outline_seats import Group, GroupState, OutlineSeats
from corpus.outline_steps import Step
from corpus.preferences import KINDS, load_pairs
from corpus.recipe import Recipe
from corpus.shown import Shown
from corpus.spec import Clause
from corpus.store.identity import content_id
from prompts import Genre

Again = Literal["open", "known", "settled"]
LONGEST_IDEA = "word " * MAX_IDEA_WORDS
"""Stands for any idea where only lengths matter."""
MAX_AGAIN = 3
"""How often clauses that no assertion covers are taken up again at most."""


def library(recipe: Recipe) -> dict[str, Genre]:
    """The genres the recipe weighs, by name.

    Raises:
        RecipeError: the recipe names a genre that is not there, or a card in its folder is broken.
    """
    try:
        cards = prompts.genres(recipe.generate.genre_folder)
    except prompts.PromptError as error:
        raise RecipeError(f"generate.genre_folder: {error}") from None
    settings = recipe.generate
    for key, names in (("generate.genres", settings.genres or {}), ("generate.by_genre", settings.by_genre)):
        for name in names:
            if name not in cards:
                raise RecipeError(f"{key}: there is no genre '{name}'; {nearest(name, cards)}")
    return {name: card for name, card in cards.items() if settings.genres is None or settings.genres.get(name, 0) > 0}


def make_plan(recipe: Recipe, known: Known | None = None, *, again: Again = "known") -> Plan:
    """Read the spec and compose the briefs, in memory; no model is called.

    Args:
        recipe: what to plan.
        known: what the run adds to it.
        again: how far an outline takes up what no assertion covers: `open` begins it once more, `known` goes on with
            what was begun, `settled` leaves out what is not complete, so that there are briefs to compare with.

    Raises:
        RecipeError: no spec, an unknown genre, a broken file of pairs, nothing left to write about.
        SpecError: the spec cannot be read or holds no rule.
    """
    if recipe.spec is None:
        raise RecipeError("the recipe has no `spec`, so there is nothing to generate from; give spec.path")
    clauses = check_spec(recipe.spec)
    split = split_clauses(clauses, recipe.spec.hold_out.fraction, recipe.seed)
    if recipe.generate.preference_pairs is not None:
        load_pairs(recipe.generate.preference_pairs)  # said before a run is made, not when the first pair is wanted
    plan = Plan(recipe, clauses, split, known or Known(), again)
    num_asked = recipe.generate.documents + recipe.generate.chats
    if num_asked and not any(clause.kind in BRIEFED for clause in plan.usable):
        raise RecipeError(
            f"every clause is held out (spec.hold_out.fraction {recipe.spec.hold_out.fraction}); lower it so that "
            f"something is left to write about"
        )
    return plan


class Plan:
    """What is known of a recipe's briefs; more replies to an outline's calls only add to it."""

    def __init__(
        self, recipe: Recipe, clauses: Sequence[Clause], split: Mapping[str, str], known: Known, again: Again
    ) -> None:
        """See `make_plan`."""
        self.recipe = recipe
        self.clauses = clauses
        self.split = split
        self.known = known
        self.cards = library(recipe)
        self.usable = [clause for clause in clauses if split[clause.clause_id] == "train"]
        self.outline: Outline | None = None
        self.open_steps: list[Step] = []
        """Calls of the outline whose replies are not known: until they are, there are no briefs."""
        if recipe.generate.outline == "model" and (recipe.generate.documents or recipe.generate.chats):
            self.outline = Outline(recipe, self.usable, self.cards)
            self.open_steps = self._replay(self.outline, again)

    @cached_property
    def subdomains(self) -> list[Subdomain]:
        """The outline's parts; none where briefs come straight from clauses."""
        return self.outline.subdomains if self.outline else []

    @cached_property
    def _outline_seats(self) -> OutlineSeats:
        return OutlineSeats(self.recipe, self.subdomains, self.known, self._weights())

    @cached_property
    def shown(self) -> Shown:
        """What prompts may show."""
        assertions = [(one.domain, one.name, each) for one in self.subdomains for each in one.assertions]
        return Shown(self.usable, assertions, self.recipe.generate.excerpt_tokens)

    @cached_property
    def composer(self) -> Composer:
        """Makes the briefs."""
        return Composer(self.recipe, self.cards, self.shown)

    @cached_property
    def briefs(self) -> list[Brief]:
        """Every brief that is known: documents in the order of their waves, chats, preferences."""
        if self.open_steps:
            return [*self._preferences()]
        return [*self._in_waves(self._documents), *_unique(self._chats()), *self._preferences()]

    @cached_property
    def _documents(self) -> list[Brief]:
        return list(_unique(self._by_clause() if self.outline is None else self._by_idea()))

    @cached_property
    def groups(self) -> list[Group]:
        """The documents that an outline is asked for ideas for."""
        return self._outline_seats.groups()

    def of_group(self, group: Group, replies: Mapping[str, str | None]) -> GroupState:
        """A group's briefs as far as its ideas are known, and what is missing."""
        assert self.outline is not None
        ideas, step = self.outline.ideas(group.subdomain, group.genre, len(group.seats), replies)
        briefs = [
            self.composer.idea_document(group.subdomain, group.genre, idea, nth, variant, round_number)
            for nth, (idea, (round_number, variants)) in enumerate(zip(ideas, group.seats, strict=False))
            for variant in range(variants)
        ]
        return GroupState(briefs, step, group.num_documents(len(ideas)))

    def longest_brief(self, group: Group) -> Brief:
        """What a group's document will ask for at most, before its ideas are known."""
        idea = Idea(LONGEST_IDEA, tuple(group.subdomain.assertions))
        return self.composer.idea_document(group.subdomain, group.genre, idea, 0, 0, 0)

    @cached_property
    def wave_keys(self) -> list[str]:
        """For each wave, the hash of the briefs whose texts say what its prompts list as worn."""
        size = self.recipe.generate.wave_documents
        ids = [brief.brief_id for brief in self._documents]
        # There is a first wave also without documents: chats are written with it.
        starts = range(0, max(1, len(ids)), size) if self.recipe.generate.avoid_recurring else range(1)
        return [content_id("recurring", start // size, ids[:start]) for start in starts]

    def worn(self, wave: int) -> str:
        """What the prompts of a wave list as worn; "" also before it is known."""
        return self.known.worn.get(self.wave_keys[wave], "") if wave < len(self.wave_keys) else ""

    @cached_property
    def has_open_ideas(self) -> bool:
        """Whether the outline may give more ideas than it has."""
        return any(state.step is not None for state in self._states)

    @property
    def num_unknown(self) -> int:
        """Documents whose briefs an outline has yet to give."""
        if self.open_steps:
            return self.recipe.generate.documents
        return sum(state.num_missing for state in self._states if state.step is not None)

    @property
    def num_without_idea(self) -> int:
        """Documents that were asked for and for which no idea is to be had any more."""
        return sum(state.num_missing for state in self._states if state.step is None)

    @property
    def _states(self) -> list[GroupState]:
        if self.outline is None or self.open_steps:
            return []
        return [self.of_group(group, self.known.replies) for group in self.groups]

    def _replay(self, outline: Outline, again: Again) -> list[Step]:
        """Follow the known replies, earlier topping up included."""
        steps = outline.advance(outline.first(), self.known.replies)
        if again == "settled":
            # Without one of its domains there is nothing to compare; what other calls lack only adds.
            steps = [step for step in steps if step.purpose == "domains"]
        before: list[Clause] = []
        for number in range(1, MAX_AGAIN + 1):
            uncovered = outline.uncovered()
            if steps or not outline.subdomains or uncovered == before:
                break
            before, more = uncovered, outline.again(number)
            if not (again == "open" or any(step.item_id in self.known.replies for step in more)):
                break
            known = outline.num_found
            steps = outline.advance(more, self.known.replies)
            if steps and again == "settled":
                outline.forget_after(known)
                return []
        return steps

    def _weights(self) -> Mapping[str, float]:
        return self.recipe.generate.genres or dict.fromkeys(self.cards, 1.0)

    def _subjects(self) -> list[str]:
        return [clause.clause_id for clause in self.usable if clause.kind in BRIEFED]

    def _extras(self, kind: str) -> Iterator[Extra]:
        return (extra for extra in self.known.extras if extra.kind == kind)

    def _by_clause(self) -> Iterator[Brief]:
        settings = self.recipe.generate
        left = settings.documents
        seats = allocate(self._subjects(), self._weights(), -(-left // settings.variants), self.recipe.seed)
        for clause_id, genre, nth in seats:
            for variant in range(min(settings.variants, left)):
                left -= 1
                yield self.composer.clause_document(clause_id, genre, nth, variant, 0)
        known = set(self._subjects())
        for extra in self._extras("document"):
            if extra.subject in known and extra.form in self.cards:
                yield self.composer.clause_document(extra.subject, extra.form, extra.nth, 0, extra.round)

    def _by_idea(self) -> Iterator[Brief]:
        for group in self.groups:
            yield from self.of_group(group, self.known.replies).briefs

    def _in_waves(self, documents: Iterable[Brief]) -> Iterator[Brief]:
        size = self.recipe.generate.wave_documents
        whole = list(documents)
        if not self.recipe.generate.avoid_recurring:
            yield from whole
            return
        for wave, start in enumerate(range(0, len(whole), size)):
            yield from (with_worn(brief, wave, self.worn(wave)) for brief in whole[start : start + size])

    def _chats(self) -> Iterator[Brief]:
        kinds, count = dict.fromkeys(prompts.question_kinds(), 1.0), self.recipe.generate.chats
        extras = list(self._extras("chat"))
        if self.outline is None:
            known = set(self._subjects())
            for clause_id, kind, nth in allocate(self._subjects(), kinds, count, self.recipe.seed):
                yield self.composer.clause_chat(clause_id, kind, nth, 0)
            for extra in extras:
                if extra.subject in known:
                    yield self.composer.clause_chat(extra.subject, extra.form, extra.nth, extra.round)
            return
        given: Counter[str] = Counter()
        for subdomain, kind, nth, round_number in self._outline_seats.chats():
            yield self.composer.subdomain_chat(subdomain, kind, nth, given[subdomain.key], round_number)
            given[subdomain.key] += 1

    def _preferences(self) -> Iterator[Brief]:
        settings = self.recipe.generate
        if not settings.preferences or settings.preference_pairs is None:
            return
        pairs = {content_id("pair", each.liked, each.disliked): each for each in load_pairs(settings.preference_pairs)}
        kinds = dict.fromkeys(KINDS, 1.0)
        for key, kind, nth in allocate(list(pairs), kinds, settings.preferences, self.recipe.seed):
            yield self.composer.preference(pairs[key], kind, nth)


def _unique(briefs: Iterable[Brief]) -> Iterator[Brief]:
    """Each brief once: a seat that topping up added may become one of the recipe's own later."""
    seen: set[str] = set()
    for brief in briefs:
        if brief.brief_id not in seen:
            seen.add(brief.brief_id)
            yield brief
