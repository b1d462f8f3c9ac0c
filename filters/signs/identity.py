"""Texts in which the assistant is somebody else: another assistant's name, or another maker's.

Corpora written by one model about another carry the writer's own name into it. A statement of identity ("I'm
ChatGPT", "Marlow, developed by OpenAI") drops a row; to mention another assistant or company is no fault, and counted.
The patterns are English.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import yaml
from pydantic import Field, NonNegativeInt

from corpus.errors import DataError
from corpus.recipe import Section
from filters.base import KEEP, Row, Score, TextFilter, Verdict
from filters.text import snippet

Speaker = Literal["assistant", "named", "anybody"]
"""Who may say it: only an assistant; who has an assistant's name and no person's; a person as well."""

KNOWN = Path(__file__).parent / "known_assistants.yaml"

_ABOUT_AI = re.compile(
    r"\b(?:AI|A\.I\.|artificial intelligence|(?:virtual |digital )?assistants?|chat ?bots?|language[- ]models?|LLMs?|"
    r"prompt(?:ed)?|knowledge cut-?off)\b",
    re.IGNORECASE,
)
"""What makes a name that is also a person's or a word an assistant's."""
_OFFERS_HELP = re.compile(r"\W*(?:how (?:can|may) i (?:help|assist)|what can i do for you)", re.IGNORECASE)
"""What an assistant says next."""
_DENIED = re.compile(
    r"\b(?:not|never|n't|if|whether|whoever|unlike|instead of|rather than|as though)\W+(?:\w+\W+){0,3}\Z"
)
"""Before a statement: it is denied, or only asked."""
_SENTENCE_CHARS = 300
"""How far from a statement its sentence is looked at, if it is that long (characters)."""
_NEGATION = re.compile(r"\b(?:not|never)\b")
_MADE = (
    r"(?:made|built|created|developed|trained|designed|fine-tuned|powered|produced|released|provided|owned|operated)"
    r"(?:,? (?:and|or) \w+)?"
)
_KIND = (
    r"(?:(?:which|that|who|is|was|am|has|have|been|being|an?|the|new|large|small|helpful|friendly|virtual|digital|artificial"
    r"|intelligence|AI|language|multimodal|foundation|assistant|agent|model|chatbot|bot|program|system|called|named|and|also"
    r"|originally|first|currently|just|only|simply|LLM)[,)]* +)*"
)
"""Words that may stand between a name and its maker: others tell of something else that was made."""


@dataclass(frozen=True)
class KnownNames:
    """Names of assistants and of their makers."""

    assistants: tuple[str, ...]
    makers: tuple[str, ...]
    also: tuple[str, ...] = ()
    """Assistants' names that are a person's, too, or an ordinary word."""

    def without(self, own: Iterable[str]) -> KnownNames:
        """All names but those that have a word in common with the recipe's own."""
        taken = {word for name in own for word in _name_words(name)}

        def others(names: Iterable[str]) -> tuple[str, ...]:
            return tuple(name for name in names if not taken & set(_name_words(name)))

        return KnownNames(others(self.assistants), others(self.makers), self.also)


def read_names(path: Path) -> KnownNames:
    """Read a list of names: `makers`, each with its assistants, and `also`.

    Raises:
        DataError: the file cannot be read or has another form.
    """
    where = f"identity.names_file: {path}"
    try:
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{where} cannot be read ({error.strerror}); give a file beside the recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{where} is not YAML: {error}") from None
    makers = held.get("makers") if isinstance(held, dict) else None
    if not isinstance(makers, dict) or not all(map(_is_names, [*makers.values(), held.get("also", [])])):
        raise DataError(f"{where} should hold 'makers: {{OpenAI: [ChatGPT], ...}}' and 'also: [Claude, ...]'")
    assistants = dict.fromkeys(name for names in makers.values() for name in names)
    return KnownNames(tuple(assistants), tuple(map(str, makers)), tuple(held.get("also", [])))


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


class IdentitySettings(Section):
    """Whose names are known, and how often another's may be mentioned."""

    names_file: Path | None = Field(None, exclude=True)
    """Assistants and makers to know instead of the packaged list, in its form (`known_assistants.yaml`)."""
    own_names: tuple[str, ...] = ()
    """Names that are never wrong, besides the recipe's `spec.model_name` and `spec.provider_name`."""
    max_mentions: NonNegativeInt | None = None
    """Mentions of other assistants and makers, above which a row goes (mentions); null: any number may stand."""


class Identity(TextFilter):
    """Statements that the assistant is another one, and mentions of others; of a chat, in its answers."""

    name = "identity"
    version = 1
    thresholds: ClassVar[Mapping[str, str]] = {"max_mentions": "mentions"}
    settings: IdentitySettings

    def __init__(
        self, settings: IdentitySettings, model_name: str | None = None, provider_name: str | None = None
    ) -> None:
        """Know the recipe's own names, where it has a spec."""
        super().__init__(settings)
        self._own = model_name
        given = [name for name in (model_name, provider_name) if name is not None]
        self._names = read_names(settings.names_file or KNOWN).without([*given, *settings.own_names])
        self._mention = _any_of((*self._names.assistants, *self._names.makers))
        self._claims = _claims(self._names, self._own)
        self._also = {name.casefold() for name in self._names.also}

    def scored_with(self) -> list[object]:
        """All names; see `Filter.scored_with`."""
        names = self._names
        return [self._own, list(names.assistants), list(names.makers), list(names.also)]

    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """See `TextFilter.score`; values count statements and mentions."""
        return [self._score(row) for row in rows]

    def _score(self, row: Row) -> list[Score]:
        text = row.text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        # Most texts name none, and no statement can stand in them.
        mentions = [] if self._mention is None else list(self._mention.finditer(text))
        claims = list(self._stated(text, row.kind == "chats")) if mentions else []
        counted = Counter(mention[0] for mention in mentions if mention[0].casefold() not in self._also)
        most = ", ".join(name for name, _ in sorted(counted.items(), key=lambda each: (-each[1], each[0]))[:5])
        return [
            Score("other_identity", len(claims), evidence=snippet(text, *claims[0].span()) if claims else None),
            Score("mentions", counted.total(), evidence=most or None),
        ]

    def _stated(self, text: str, is_answer: bool) -> Iterator[re.Match[str]]:
        for pattern, speaker in self._claims:
            for found in pattern.finditer(text):
                least, most = max(0, found.start() - _SENTENCE_CHARS), found.end() + _SENTENCE_CHARS
                start = max(text.rfind(mark, least, found.start()) for mark in ".!?\n") + 1 or least
                ends = (text.find(mark, found.end(), most) for mark in ".!?\n")
                end = min((place for place in ends if place >= 0), default=min(most, len(text)))
                is_name = speaker == "named" and found["name"].casefold() not in self._also
                is_plain = speaker == "assistant" or is_name
                about = is_plain or is_answer or _ABOUT_AI.search(text, start, end) or _OFFERS_HELP.match(text, end)
                if (
                    about
                    and not _DENIED.search(text[start : found.start()].casefold())
                    and not _NEGATION.search(found[0])
                ):
                    yield found

    def judge(self, scores: Mapping[str, Score]) -> Verdict:
        """See `Filter.judge`."""
        if scores["other_identity"].value:
            return Verdict("drop", "other identity")
        mentions, limit = scores["mentions"].value, self.settings.max_mentions
        assert mentions is not None, scores
        return Verdict("drop", "mentions of others") if limit is not None and mentions > limit else KEEP


def _claims(names: KnownNames, own: str | None) -> list[tuple[re.Pattern[str], Speaker]]:
    """The forms of a statement of identity, each with the group `name`, and who may say it."""
    assistant, maker = _group(names.assistants, "'s"), _group(names.makers)
    any_name = _group((*names.assistants, *names.makers))
    own_name = rf"(?<!\w){re.escape(own)}(?!\w)" if own else "(?!)"
    me = r"\b(?:I am|I'm|[Mm]y name is|[Cc]all me|I go by|(?:Hi|Hello|Hey)[,!]? this is) +"
    plain = (
        rf"{me}{_KIND}{assistant}",
        rf"{own_name}[,(]* *\(?{_KIND}{_MADE} by (?:\w+ )??{maker}",
        rf"\b(?P<name>{_bare(names.makers)})'s (?:(?:own|new|latest|AI|assistant|chatbot|model|language) )*{own_name}",
        rf"{own_name} (?:is|was) (?:(?:also|formerly|called|known|as|really|actually|based|on) )*{assistant}",
    )
    by_assistants = (
        rf"\b[Aa]s {assistant}, (?:I|my)\b",
        rf"\b(?:I am|I'm|I was|I've been|I have been) +{_KIND}(?:made|built|created|developed) by (?:\w+ )??{maker}",
    )
    by_people = (
        rf"\b(?:I am|I'm|I was|I've been|I have been) +{_KIND}{_MADE} by (?:\w+ )??{any_name}",
        rf"\b[Mm]y (?:creators?|developers?|makers?)(?: are| is|,)?(?: at)? {maker}",
    )
    kinds: tuple[tuple[Sequence[str], Speaker], ...] = (
        (by_assistants, "assistant"), (plain, "named"), (by_people, "anybody")
    )  # fmt: skip
    return [(re.compile(form), speaker) for forms, speaker in kinds for form in forms]


def _group(names: Sequence[str], not_before: str = "(?!)") -> str:
    return rf"(?<![\w-])(?P<name>{_bare(names)})(?!\w|-\d|{not_before})"


def _bare(names: Sequence[str]) -> str:
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return "|".join(map(re.escape, longest_first)) or "(?!)"


def _any_of(names: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile(_group(names)) if names else None


def _name_words(name: str) -> list[str]:
    """A name's words, without what many makers share, and without a version."""
    common = {"ai", "labs", "lab", "research", "cloud", "inc", "chat", "the", "its", "assistant", "developer", "model"}
    words = re.findall(r"[^\W\d_]+", name.casefold())
    return [word for word in words if word not in common]
