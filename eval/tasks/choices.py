"""Which of two options an answer chooses, by strict rules: what they cannot tell is a judge's to say.

A rule-based reader that guesses errs to one side (one replication's mislabelled 13 of 32 answers, all the same way),
so these only take answers that are an option, or one plain sentence that chooses it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

READER_VERSION = 2
"""Part of the hash of every reading: raised when the same answer would be read otherwise."""

_LEAD = re.compile(
    r"(?:i(?: would| will|'d|'ll)? (?:rather (?:have|take|choose)|rather|choose|pick|take|prefer|go with|go for|say)"
    r"|my (?:answer|choice|preference) is|give me)[:,]? "
)
_OVER = ("over", "rather than")
_SMALL = {
    "\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}  # fmt: skip
_AROUND = " \t\n\"'*_`>-.!:;()"


def read_choice(answer: str, first: str, second: str) -> Literal["first", "second"] | None:
    """The option that an answer chooses; None where only a judge can tell.

    Taken is an answer that is one option, word for word up to case, white space, quotes and a final stop; or one such
    behind "I would choose" or its like; or one followed by "over" or "rather than" and the other, behind "I prefer" by
    "to" as well. Whatever else an answer holds (a negation, a second sentence, a refusal), it is None.
    """
    said, options = _plain(answer), {"first": _plain(first), "second": _plain(second)}
    lead = _LEAD.match(said)
    # Without a word of preferring, "to" may be of a span: Monday to Friday.
    words = [*_OVER, "to"] if lead and "prefer" in lead.group() else _OVER
    forms = {said, _plain(said[lead.end() :]) if lead else said}
    chosen = [
        name
        for name, option in options.items()
        if any(form == option or _beats(form, option, options, words) for form in forms)
    ]
    if len(chosen) != 1 or not said:
        return None
    return "first" if chosen[0] == "first" else "second"


def _beats(said: str, option: str, options: dict[str, str], words: Sequence[str]) -> bool:
    """Whether `said` is `option` preferred to the other one, and no more."""
    (other,) = [text for text in options.values() if text != option] or [""]
    return any(said == f"{option}{comma} {word} {other}" for word in words for comma in ("", ","))


def _plain(text: str) -> str:
    small = unicodedata.normalize("NFKC", text).casefold()
    for curly, straight in _SMALL.items():
        small = small.replace(curly, straight)
    return " ".join(small.split()).strip(_AROUND)
