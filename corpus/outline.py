"""The outline that a model makes of a spec: domains, subdomains, what they assert, and the genres that suit them.

Every step is one call with a flat JSON schema. A reply is validated item by item: a bad item costs that item, and the
call's row says why. The outline is a pure function of the stored replies, so that a later run, or a plan, replays it
without asking; `corpus.outlining` asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import prompts
from corpus.assertions import Assertion, Idea, Subdomain
from corpus.clauses import BRIEFED
from corpus.excerpts import numbered, numbered_ones, pieces
from corpus.models import engine_identity, request_options
from corpus.outline_steps import Step, borne_out, check_name, shares_of, usable_items
from corpus.recipe import Recipe
from corpus.spec import Clause
from corpus.store.identity import content_id
from corpus.structured import Item, list_of, list_schema, read_items
from prompts import Genre

PURPOSES = ("domains", "subdomains", "assertions", "genres", "topics", "ideas")
"""The calls of an outline; their replies are kept also where they are ok."""
MAX_ASSERTION_WORDS = 80
"""A longer assertion is a paragraph (words)."""
TOPICS_PER_SUBDOMAIN = 12
"""Topics asked for at once; each meets several kinds of question."""

MAX_IDEA_WORDS = 150
"""A longer idea is a document (words)."""
MAX_TAKEN = 60
"""Ideas that a call for more shows as taken, the latest: all of them would outgrow a context (ideas; ours)."""
SPARE_CALLS = 2
"""Calls for ideas beyond those that would do if each gave all it was asked for."""


class Outline:
    """The outline of one recipe and spec as far as replies are known."""

    def __init__(self, recipe: Recipe, usable: Sequence[Clause], cards: Mapping[str, Genre]) -> None:
        """Nothing is known yet; `usable` are the clauses that prompts may show, in order."""
        assert recipe.spec is not None
        self._recipe = recipe
        self._cards = cards
        self._usable = usable
        self._names = {"model_name": recipe.spec.model_name, "provider_name": recipe.spec.provider_name}
        self._engine = (engine_identity(recipe.engine), request_options(recipe.engine), recipe.seed)
        self._found: list[Subdomain] = []
        self._keys: set[str] = set()
        """Of every subdomain that was named: one named twice is one."""

    @property
    def subdomains(self) -> list[Subdomain]:
        """Those with assertions and genres, in the outline's order."""
        whole = [each for each in self._found if each.assertions and each.genres]
        return sorted(whole, key=lambda each: each.place)

    @property
    def num_found(self) -> int:
        """Subdomains found so far, whole or not."""
        return len(self._found)

    def forget_after(self, num_found: int) -> None:
        """Drop the subdomains that were found after the first `num_found`."""
        del self._found[num_found:]

    def uncovered(self) -> list[Clause]:
        """Rules and values that no assertion rests on, in the spec's order."""
        covered = {
            clause_id for each in self.subdomains for assertion in each.assertions for clause_id in assertion.clause_ids
        }
        return [each for each in self._usable if each.kind in BRIEFED and each.clause_id not in covered]

    def first(self) -> list[Step]:
        """The steps that need no reply: the spec's first section."""
        return self._domains_step(pieces(self._usable, self._recipe.generate.outline_section_tokens), 0, ())

    def again(self, number: int) -> list[Step]:
        """The steps that take up what is uncovered, for the `number`-th time, from 1."""
        return [
            self._subdomains_step("other conduct", piece, (-1, number, index))
            for index, piece in enumerate(pieces(self.uncovered(), self._recipe.generate.outline_section_tokens))
        ]

    def advance(self, steps: Iterable[Step], replies: Mapping[str, str | None]) -> list[Step]:
        """Take every step whose reply is known (None: every attempt failed); returns those that are not."""
        waiting, unknown = deque(steps), []
        while waiting:
            step = waiting.popleft()
            if step.item_id in replies:
                waiting.extendleft(reversed(step.follow(usable_items(step, replies[step.item_id]))))
            else:
                unknown.append(step)
        return unknown

    def ideas(
        self, subdomain: Subdomain, genre: str, count: int, replies: Mapping[str, str | None]
    ) -> tuple[list[Idea], Step | None]:
        """The first `count` ideas of a genre on a subdomain, as far as replies are known, and the call for more.

        None: there are enough, or the calls for them gave too little too often.
        """
        found: list[Idea] = []
        per_call = self._recipe.generate.ideas_per_call
        for number in range(-(-count // per_call) + SPARE_CALLS):
            if len(found) >= count:
                break
            step = self._ideas_step(subdomain, genre, [idea.text for idea in found], number)
            if step.item_id not in replies:
                return found, step
            items = usable_items(step, replies[step.item_id])
            if items is None:
                break
            taken = {idea.text.casefold() for idea in found}
            for item in items:
                text = str(item["idea"]).strip()
                if text.casefold() not in taken:
                    taken.add(text.casefold())
                    found.append(Idea(text, tuple(borne_out(item, subdomain))))
        return found[:count], None

    def _ideas_step(self, subdomain: Subdomain, genre: str, taken: Sequence[str], number: int) -> Step:
        card = self._cards[genre]
        count = self._recipe.generate.ideas_per_call
        schema = list_of("ideas", count, title="string", idea="string", assertions="integers")

        def check(item: Item) -> str | None:
            words = str(item["idea"]).split()
            return None if 4 <= len(words) <= MAX_IDEA_WORDS else f"an idea of {len(words)} words"

        values = {
            **self._about(subdomain, is_numbered=True),
            "genre": genre, "description": card.description, "realism": card.realism, "count": count,
            "taken": "\n".join(f"- {one}" for one in taken[-MAX_TAKEN:]),
        }  # fmt: skip
        return self._step("ideas", values, schema, check, lambda _: [], number)

    def _domains_step(self, sections: Sequence[Sequence[Clause]], number: int, known: Sequence[str]) -> list[Step]:
        if number == len(sections):
            return []
        section = sections[number]
        schema = list_of("domains", None, name="string", clauses="integers")

        def follow(items: list[Item] | None) -> list[Step]:
            shares = shares_of(items or [], section)
            now_known = [*known, *(name for name, _ in shares if name not in known)]
            parts = [
                self._subdomains_step(name, piece, (number, index, part))
                for index, (name, clauses) in enumerate(shares)
                for part, piece in enumerate(pieces(clauses, self._recipe.generate.outline_section_tokens))
                if any(clause.kind in BRIEFED for clause in piece)
            ]
            return [*parts, *self._domains_step(sections, number + 1, now_known)]

        values = {**self._names, "clauses": numbered(section), "known": "\n".join(known)}
        return [self._step("domains", values, schema, check_name, follow)]

    def _subdomains_step(self, domain: str, clauses: Sequence[Clause], place: tuple[int, ...]) -> Step:
        schema = list_of("subdomains", None, name="string", context="string", clauses="integers")

        def follow(items: list[Item] | None) -> list[Step]:
            steps = []
            for index, item in enumerate(items or []):
                chosen = numbered_ones(item["clauses"], clauses)
                name = str(item["name"]).strip()
                key = content_id("subdomain", domain, name, [clause.clause_id for clause in chosen])
                subdomain = Subdomain(
                    key, (*place, index), domain, name, str(item["context"]).strip(), tuple(chosen)
                )  # fmt: skip
                if key not in self._keys and any(clause.kind in BRIEFED for clause in chosen):
                    self._keys.add(key)
                    steps.append(self._assertions_step(subdomain))
            return steps

        values = {**self._names, "domain": domain, "clauses": numbered(clauses)}
        return self._step("subdomains", values, schema, check_name, follow)

    def _assertions_step(self, subdomain: Subdomain) -> Step:
        schema = list_of(
            "assertions", None, assertion="string", explanation="string", label="string", clauses="integers"
        )

        def grounds(item: Item) -> list[str]:
            found = numbered_ones(item["clauses"], subdomain.clauses)
            return [clause.clause_id for clause in found if clause.kind in BRIEFED]

        def check(item: Item) -> str | None:
            words = len(str(item["assertion"]).split())
            if not 3 <= words <= MAX_ASSERTION_WORDS:
                return f"an assertion of {words} words"
            return None if grounds(item) else f"rests on no rule or value (clauses {item['clauses']})"

        def follow(items: list[Item] | None) -> list[Step]:
            for item in items or []:
                text, explanation = str(item["assertion"]).strip(), str(item["explanation"]).strip()
                rests_on = grounds(item)
                if text not in {assertion.text for assertion in subdomain.assertions}:
                    subdomain.assertions.append(
                        Assertion(
                            content_id("assertion", subdomain.domain, subdomain.name, text, explanation, rests_on),
                            tuple(rests_on), text, explanation, str(item["label"]).strip(),
                        )
                    )  # fmt: skip
            if not subdomain.assertions:
                return []
            self._found.append(subdomain)
            topics = [self._topics_step(subdomain)] if self._recipe.generate.chats else []
            return [self._genres_step(subdomain), *topics]

        values = {
            **self._names, "domain": subdomain.domain, "subdomain": subdomain.name, "context": subdomain.context,
            "clauses": numbered(subdomain.clauses),
        }  # fmt: skip
        return self._step("assertions", values, schema, check, follow)

    def _genres_step(self, subdomain: Subdomain) -> Step:
        count = min(self._recipe.generate.genres_per_subdomain, len(self._cards))
        schema = list_schema("genres", {"type": "string", "enum": sorted(self._cards)}, count)

        def follow(items: list[Item] | None) -> list[Step]:
            chosen = list(dict.fromkeys(str(item["value"]) for item in items or []))
            # A model that names too few, or one twice, leaves places: the rest of the library fills them.
            rest = sorted(self._cards.keys() - set(chosen), key=lambda name: content_id("genre", subdomain.key, name))
            subdomain.genres.extend([*chosen, *rest][:count])
            return []

        values = {
            **self._about(subdomain), "count": count,
            "genres": "\n".join(f"- {name}: {card.description}" for name, card in sorted(self._cards.items())),
        }  # fmt: skip
        return self._step("genres", values, schema, self._check_genre, follow)

    def _check_genre(self, item: Item) -> str | None:
        return None if item["value"] in self._cards else f"no genre {item['value']!r}"

    def _topics_step(self, subdomain: Subdomain) -> Step:
        schema = list_schema("topics", {"type": "string"}, TOPICS_PER_SUBDOMAIN)

        def check(item: Item) -> str | None:
            words = len(str(item["value"]).split())
            return None if 3 <= words <= MAX_ASSERTION_WORDS else f"a topic of {words} words"

        def follow(items: list[Item] | None) -> list[Step]:
            subdomain.topics.extend(dict.fromkeys(str(item["value"]).strip() for item in items or []))
            return []

        return self._step(
            "topics", {**self._about(subdomain), "count": TOPICS_PER_SUBDOMAIN}, schema, check, follow
        )  # fmt: skip

    def _about(self, subdomain: Subdomain, *, is_numbered: bool = False) -> dict[str, object]:
        marks = (f"{number}. " if is_numbered else "- " for number in range(1, len(subdomain.assertions) + 1))
        lines = (f"{mark}{each.text}" for mark, each in zip(marks, subdomain.assertions, strict=True))
        return {
            **self._names, "subdomain": subdomain.name, "context": subdomain.context, "assertions": "\n".join(lines),
        }  # fmt: skip

    def _step(
        self,
        purpose: str,
        values: Mapping[str, object],
        schema: Mapping[str, object],
        check: Callable[[Item], str | None],
        follow: Callable[[list[Item] | None], list[Step]],
        number: int = 0,
    ) -> Step:
        """One call; `number` tells calls apart that ask the same, because the one before gave nothing new."""
        messages = tuple(prompts.load(f"outline_{purpose}").render(**values))
        settings = self._recipe.generate
        sampling = (settings.outline_temperature, settings.outline_max_tokens)
        item_id = content_id("outline", purpose, messages, schema, sampling, number, *self._engine)
        return Step(purpose, item_id, messages, schema, lambda reply: read_items(reply, schema, check), follow)
