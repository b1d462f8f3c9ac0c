"""What a piece of a spec's text is: a rule, an example, a title, a lead-in. Every judgement is by form.

A text is a **rule** if it tells somebody what to do: it has a modal verb (must, should, never, ...) or a
sentence of it begins with an imperative. Any other text is a **value**: what the assistant is like, cares
about, or why.
"""

from __future__ import annotations

import re
from typing import Literal

ClauseKind = Literal["rule", "value", "example", "commentary", "definition"]

MAX_LEAD_IN_WORDS = 40
"""Words up to which one sentence that ends in a colon only introduces its list: longer ones say something of
their own (the longest such sentence in the specs this was tried on has 30)."""
MAX_SHORT_CHARS = 80
"""Characters to which a bullet is shortened in the path of the bullets below it: about one line."""
_MAX_TITLE_WORDS = 10

_MODAL = re.compile(
    r"\b(?:(?:must|should|shall)(?:n['\u2019]t)?|never|always|ought to|may (?:not|only)"
    r"|(?:has|have|needs?) to|do not|don['\u2019]t|required to|prohibited|forbidden|not allowed)\b",
    re.IGNORECASE,
)
_VERBS = (
    "accept act acknowledge admit adapt add address adopt aim allow answer apologi[sz]e ask assume "
    "attempt avoid balance be begin bring care carry change check choose cite clarify comply confirm "
    "consider correct decline defer describe disclose do emphasi[sz]e encourage ensure err explain "
    "express find finish flag follow give go guide handle help(?!.that) hold honou?r identify ignore include "
    "inform keep leave let limit listen look maintain make match mention mind name notice obey offer own "
    "pause point prefer present preserve protect promote provide put raise read recommend refrain refuse "
    "reject remain remember remind repeat report resist respect respond return say seek share show speak "
    "stand start state stay stop suggest support take talk tell think treat trust try understand uphold "
    "use verify wait warn watch weigh work write"
).replace(" ", "|")
# Possessive, and tried only where a word ends: a run of dots or spaces is walked once.
_SENTENCE_START = r"(?:\A\W*+|\b(?=\W)(?=[^\w.!?:]*+[.!?:])\W*+)"
_CONDITION = r"(?:(?:If|When|Where|Before|After|Until)\b[^.!?]{0,200}?,\s++)?"
_IMPERATIVE = re.compile(
    rf"{_SENTENCE_START}{_CONDITION}(?:Please\s++)?(?i:{_VERBS})\b"
    r"(?!['\u2019]|\s++(?:is|are|was|of|and|means|comes|begins|grows|has|matters)\b)"
)
_SENTENCE_END = re.compile(r"[.!?][\"'”\u2019)*_\]]{0,3}\s+(?=[A-Z\"“'\u2018(*_\[])")

_EXAMPLE_TITLE = re.compile(
    r"[*_]{0,3}(?:(?:good|bad|counter)[ -]?)?(?:examples?|sample dialogues?|dialogues?)(?:\s+[\w.]{1,4})?"
    r"(?:\s+\([^()]{0,80}\))?[*_]{0,3}(?:\s*[:\u2014\u2013]|\.?[*_]{0,3}$)"
    r"|examples? of\b[^.!?]{0,120}:$|(?:for (?:example|instance)|e\.g\.)[,:]?$",
    re.IGNORECASE,
)
_COMMENTARY_TITLE = re.compile(
    r"[*_]{0,3}(?:commentary|comment|notes?|rationale|background|explanation)[*_]{0,3}[:.]", re.IGNORECASE
)
_ASKS = re.compile(r"[*_]{0,3}(?:user|human|customer|person|q)[*_]{0,3}:", re.IGNORECASE)
_ANSWERS = re.compile(r"[*_]{0,3}(?:assistant|ai|model|a)[*_]{0,3}:", re.IGNORECASE)
_TIER = re.compile(
    r"(?:tier|level|priority|part|chapter|section)\s+(?:[0-9]+|[IVX]+|[A-Z]|one|two|three|four|five)\b",
    re.IGNORECASE,
)
_BOLD_LINE = re.compile(r"(\*\*|__)(?=\S)([^*\r\n]+?)(?<=\S)\1(:?)$")
_BOLD_HEAD = re.compile(r"(?:\*\*|__)(?=\S)([^*\r\n]{1,80}?)[:.]?(?:\*\*|__)")
_DEFINED = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)\s{0,3}:\s+\S")
_LINK = re.compile(r"\[([^\]\[]*)\]\(#?([^()\s]*)\)")
_NUMBERED = r"[*_]{0,3}(?:[0-9][0-9.]*\s+)?"
_HEADING_KINDS: dict[ClauseKind, re.Pattern[str]] = {
    "definition": re.compile(
        rf"{_NUMBERED}(?:key\s+)?(?:definitions?(?:\s+(?:and|of)\b.*)?|glossary|terminology|terms(?:\s+and\b.*)?)\W*$",
        re.IGNORECASE,
    ),
    "example": re.compile(
        rf"{_NUMBERED}(?:(?:worked|further|more|some)\s+)?"
        r"examples?(?:\s+[0-9]+)?(?:\s+(?:dialogues?|of|for)\b.*|\s*[:\u2014\u2013].*)?\W*$",
        re.IGNORECASE,
    ),
    "commentary": re.compile(rf"{_NUMBERED}(?:commentary|notes?|rationale|background|footnotes)\W*$", re.IGNORECASE),
}
_ATTRIBUTES = re.compile(r"\{([^{}]*)\}$")
_ATTRIBUTE = re.compile(r"""\s*(?:#(\S+)|\.\S+|([\w-]+)=(?:"([^"]*)"|'([^']*)'|([^\s"']+)))(?=\s|$)\s*""")


def is_instruction(text: str) -> bool:
    """Whether `text` tells somebody what to do (see the top of this file)."""
    return bool(_MODAL.search(text) or _IMPERATIVE.search(text))


def is_example_title(text: str) -> bool:
    """Whether this is, or opens, an example: `Example: ...`, `Examples of ...:`, `For example:`."""
    return bool(_EXAMPLE_TITLE.match(text))


def is_commentary(text: str) -> bool:
    """`Note: ...`, `**Rationale.** ...` and the like."""
    return bool(_COMMENTARY_TITLE.match(text))


def is_definition(text: str) -> bool:
    """A term on one line and `: what it means` on the next."""
    return bool(_DEFINED.match(text))


def is_dialogue(text: str, below: str) -> bool:
    """Somebody asks at the start of `text`; an answer opens a later line of it, or the block `below`."""
    if not _ASKS.match(text):
        return False
    return bool(_ANSWERS.match(below)) or any(_ANSWERS.match(line.lstrip("> \t")) for line in text.splitlines())


def is_turn(text: str) -> bool:
    """Whether a speaker's name opens `text`: it goes on with a dialogue."""
    return bool(_ASKS.match(text) or _ANSWERS.match(text))


def is_title(text: str, below: str, above_item: bool) -> bool:
    """Whether a paragraph is a heading without `#`.

    It is one line, without a mark at its end, and either all bold, or names a tier, or is short and stands
    above an item or a finished sentence.
    """
    if "\n" in text or "\r" in text or not any(map(str.isalnum, text)):
        return False
    bold = _BOLD_LINE.match(text)
    title = (bold[2] if bold else text).rstrip()
    if title[-1] in ".!?;,":
        return False
    if bold:
        return True
    num_words = len(title.split(maxsplit=_MAX_TITLE_WORDS + 1))
    if num_words > _MAX_TITLE_WORDS:
        return False
    if _TIER.match(title):
        return True
    is_prose = bool(below) and below[-1] in ".!?:"
    return title[-1] != ":" and title[0].isupper() and num_words <= 8 and (above_item or is_prose)


def names_tier(title: str) -> bool:
    """`Tier 1`, `Priority two`, `Part IV`: a title above the other titles that have no `#`."""
    return bool(_TIER.match(title.lstrip("*_")))


def ends_in_colon(text: str) -> bool:
    """Whether `text` announces what comes below it."""
    return text.rstrip("*_ ").endswith((":", "\uff1a"))


def only_leads_in(text: str) -> bool:
    """Whether a text that ends in a colon is one sentence of up to `MAX_LEAD_IN_WORDS` words."""
    return not _SENTENCE_END.search(text) and len(text.split()) <= MAX_LEAD_IN_WORDS


def flatten(text: str) -> str:
    """`text` on one line, without emphasis around the whole and the colon at its end; of a link, its text.

    A link without words (`[?](#be_kind)`) is named by its target (`be kind`).
    """
    linked = _LINK.sub(lambda m: m[1] if any(map(str.isalnum, m[1])) else m[2].replace("_", " "), text)
    words = " ".join(linked.split())
    return words.strip("*_").rstrip(":\uff1a ").strip("*_").strip()


def shorten(text: str) -> str:
    """What stands for `text` in the path of the clauses below it.

    Its last sentence if that ends in a colon, else its bold head, else its first sentence; at most
    `MAX_SHORT_CHARS` characters, cut between words.
    """
    if ends_in_colon(text):
        short = _SENTENCE_END.split(text)[-1]
    elif head := _BOLD_HEAD.match(text):
        short = head[1]
    else:
        short = _SENTENCE_END.split(text, maxsplit=1)[0]
    short = flatten(short)
    if len(short) <= MAX_SHORT_CHARS:
        return short
    return short[:MAX_SHORT_CHARS].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def heading_kind(title: str) -> ClauseKind | None:
    """What everything under a heading is if its title says so: Definitions, Examples, Commentary."""
    return next((kind for kind, pattern in _HEADING_KINDS.items() if pattern.match(title)), None)


def read_attributes(title: str) -> tuple[str, dict[str, str]]:
    """Splits `Title {#id authority=root}` into the title and its attributes, the id under `#`.

    Braces that hold anything else belong to the title.
    """
    braces = _ATTRIBUTES.search(title)
    if not braces:
        return title, {}
    attributes: dict[str, str] = {}
    at = 0
    while match := _ATTRIBUTE.match(braces[1], at):
        if match[1]:
            attributes["#"] = match[1]
        elif match[2]:
            attributes[match[2]] = next(value for value in match.groups()[2:] if value is not None)
        at = match.end()
    if at < len(braces[1]) or not braces[1].strip():
        return title, {}
    return title[: braces.start()].rstrip(), attributes
