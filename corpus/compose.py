"""Composes briefs: what one seat, idea, topic or pair becomes under a recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping

import prompts
from corpus.assertions import Idea, Subdomain
from corpus.briefs import Brief, Subject, make_brief, prompt_hash
from corpus.ideas import compose_idea, length_fraction, num_ideas
from corpus.models import request_options
from corpus.preferences import Pair
from corpus.recipe import GenreSettings, Recipe
from corpus.shown import Shown
from corpus.store.identity import content_id, draw
from prompts import Genre

EXTRA_TOKENS = 400
"""What a plan or a critique may take beside the document (tokens; ours)."""
_PARAGRAPH: dict[str, object] = {"stop": ["\n\n"], "min_tokens": 50}
"""A text of one paragraph ends at the first blank line, but for one that comes early: after a title, say."""
_ENDINGS = [mark + close + " " for mark in ".!?" for close in ("", '"', "”", ")")]
_SENTENCE: dict[str, object] = {"stop": ["\n", *_ENDINGS], "keeps_stop": True, "min_tokens": 8}
"""What follows a quoted clause is one sentence: further ones of a small model drift away from it. That a full stop ends
the sentence is known by the space after it; one that comes early belongs to an initial, say."""
_MIN_CHAT_TOKENS = 8


def document_prompt(recipe: Recipe) -> str:
    """The prompt that documents are asked for with."""
    return f"paragraph_{recipe.generate.stance}" if recipe.generate.small_model else "document"


def reply_note(recipe: Recipe) -> str:
    """The note on the form of a document's reply."""
    return "reply_planned" if recipe.generate.plan else "reply_plain"


def chat_prompts(recipe: Recipe) -> tuple[str, str]:
    """The prompts that a chat's question and its answer are asked for with."""
    if recipe.generate.small_model:
        return "short_question", f"short_answer_{recipe.generate.stance}"
    return "chat_question", "chat_answer"


def answer_note(recipe: Recipe) -> str:
    """The note on the form of an answer."""
    return f"answer_reasoned_{recipe.generate.stance}" if recipe.generate.reasoning else "answer_plain"


class Composer:
    """Makes the briefs of one recipe."""

    def __init__(self, recipe: Recipe, cards: Mapping[str, Genre], shown: Shown) -> None:
        """`shown` is what prompts show: briefs carry its hash."""
        assert recipe.spec is not None
        self._recipe = recipe
        self._settings = recipe.generate
        self._cards = cards
        self._shown = shown
        self._model_name = recipe.spec.model_name
        document, note = document_prompt(recipe), reply_note(recipe)
        self._document_hash = prompt_hash(recipe, document, note, "idea_shows", "idea_describes")
        self._shows_more = "context" in prompts.load(document).variables
        self._chat_hash = prompt_hash(recipe, *chat_prompts(recipe), answer_note(recipe))
        self._preference_hash = prompt_hash(recipe, "preference_question", "preference_answer")

    def clause_document(self, clause_id: str, genre: str, nth: int, variant: int, round_number: int) -> Brief:
        """A document on a clause, about the genre card's `nth` idea; when those are used up, they come again."""
        card = self._cards[genre]
        idea, subject = compose_idea(card, nth, self._recipe.seed, self._model_name), Subject((clause_id,))
        quotes = self._settings.small_model_quotes
        opening = f"{idea.opening} {self._shown.words_of(clause_id)}" if quotes else idea.opening
        return self._document(
            subject, card, idea.text, idea.length_fraction,
            opening=opening, variant=nth // num_ideas(card) * self._settings.variants + variant,
            seat=f"{clause_id} {nth}", round_number=round_number,
        )  # fmt: skip

    def idea_document(
        self, subdomain: Subdomain, genre: str, idea: Idea, nth: int, variant: int, round_number: int
    ) -> Brief:
        """A document on an idea of the outline."""
        clause_ids = dict.fromkeys(clause_id for each in idea.assertions for clause_id in each.clause_ids)
        subject = Subject(
            tuple(clause_ids), tuple(each.assertion_id for each in idea.assertions), subdomain.domain, subdomain.name
        )
        return self._document(
            subject, self._cards[genre], idea.text, length_fraction(nth),
            opening="", variant=variant, seat=f"{subdomain.key} {nth}", round_number=round_number,
        )  # fmt: skip

    def clause_chat(self, clause_id: str, kind: str, nth: int, round_number: int) -> Brief:
        """A chat on a clause; who asks is drawn from our own topics."""
        topics = prompts.topics()
        place = (draw("topic", self._recipe.seed, kind) + nth) % len(topics)
        return self._chat(
            Subject((clause_id,)), kind, topics[place], nth // len(topics), f"{clause_id} {nth}", round_number
        )

    def subdomain_chat(self, subdomain: Subdomain, kind: str, nth: int, count: int, round_number: int) -> Brief:
        """A chat on the `count`-th combination of a subdomain's assertions and topics."""
        assertions, topics = subdomain.assertions, subdomain.topics or [""]
        assertion = assertions[count % len(assertions)]
        # Both turn at once; one of them a place further whenever they meet again, so that every pair comes once.
        topic = topics[(count + count // math.lcm(len(assertions), len(topics))) % len(topics)]
        subject = Subject(assertion.clause_ids, (assertion.assertion_id,), subdomain.domain, subdomain.name)
        variant = count // (len(assertions) * len(topics))
        return self._chat(subject, kind, topic, variant, f"{subdomain.key} {nth}", round_number)

    def preference(self, pair: Pair, kind: str, nth: int) -> Brief:
        """A chat in which one thing is preferred to another."""
        topics = prompts.topics()
        key = content_id("pair", pair.liked, pair.disliked)
        place = (draw("topic", self._recipe.seed, key, kind) + nth) % len(topics)
        preferred = {"liked": pair.liked, "disliked": pair.disliked}
        return make_brief(
            self._recipe, "preference", Subject(()),
            context="", prompt_hash=self._preference_hash, question_kind=kind, idea=topics[place],
            sampling=self._chat_sampling(preferred), variant=nth // len(topics), seat=f"{key} {nth}",
        )  # fmt: skip

    def _document(
        self, subject: Subject, card: Genre, idea: str, fraction: float,
        *, opening: str, variant: int, seat: str, round_number: int,
    ) -> Brief:  # fmt: skip
        return make_brief(
            self._recipe, "document", subject,
            context=self._context(subject, shows_more=self._shows_more), prompt_hash=self._document_hash,
            genre=card, idea=idea, sampling=self._document_sampling(card, fraction, opening), variant=variant,
            seat=seat, round_number=round_number,
        )  # fmt: skip

    def _context(self, subject: Subject, *, shows_more: bool) -> str:
        """What the prompt shows of the spec: labels too, which no id holds, so that rules may be renumbered."""
        shown = [self._shown.principles(subject)]
        if shows_more:
            shown += [self._shown.excerpt(subject), self._shown.context(subject)]
        return "\n\n".join(shown)

    def _document_sampling(self, card: Genre, fraction: float, opening: str) -> dict[str, object]:
        """The card's own settings, where it has some, over the recipe's; the recipe's for that genre over both."""
        settings = self._settings
        own = settings.by_genre.get(card.name, GenreSettings())
        target_words = own.target_words or card.target_words * settings.length_scale
        more: dict[str, object] = {}
        if settings.small_model:
            ending = _SENTENCE if settings.small_model_quotes else _PARAGRAPH
            more = {**ending, **({"opening": opening} if opening else {})}
        if settings.plan:
            more["plan"] = True
        if settings.rewrite:
            more["rewrite"] = prompt_hash(self._recipe, "rewrite")
        return self._sampling(
            max_tokens=own.max_tokens or settings.max_tokens,
            temperature=_first(own.temperature, card.temperature, settings.temperature),
            min_p=_first(own.min_p, card.min_p, settings.min_p),
            top_p=_first(own.top_p, card.top_p, settings.top_p),
            target_words=round(target_words * fraction),
            **more,
        )

    def _chat(
        self, subject: Subject, kind: str, topic: str, variant: int, seat: str, round_number: int
    ) -> Brief:  # fmt: skip
        more: dict[str, object] = {}
        if self._settings.reasoning:
            more["reasoning_max_tokens"] = self._settings.reasoning_max_tokens
        if self._settings.small_model and topic:
            more["question_opening"] = topic
        return make_brief(
            self._recipe, "chat", subject,
            context=self._context(subject, shows_more=not self._settings.small_model), prompt_hash=self._chat_hash,
            question_kind=kind, idea=topic, sampling=self._chat_sampling(more), variant=variant, seat=seat,
            round_number=round_number,
        )  # fmt: skip

    def _chat_sampling(self, more: Mapping[str, object]) -> dict[str, object]:
        settings = self._settings
        small = {**_PARAGRAPH, "min_tokens": _MIN_CHAT_TOKENS} if settings.small_model else {}
        return self._sampling(
            max_tokens=settings.chat_max_tokens,
            temperature=settings.temperature,
            min_p=settings.min_p,
            top_p=settings.top_p,
            **small,
            **more,
        )

    def _sampling(self, **settings: object) -> dict[str, object]:
        options = request_options(self._recipe.engine)
        shared = {"frequency_penalty": self._settings.frequency_penalty, **settings}
        return {**shared, "options": options} if options else shared


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
