"""Text of models and specs, made safe to look at."""

from __future__ import annotations

import unicodedata

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Unicode categories that a terminal obeys or hides instead of showing: controls, direction marks, surrogates."""
_JOINERS = "\u200c\u200d"
"""Of those, what Persian, Hindi and emoji are spelled with."""


def visible(text: str, keep: str = "\n") -> str:
    r"""`text` with every character that a terminal would obey or hide written as `\x1b`, `\u202e`, ...

    Args:
        text: any text.
        keep: such characters that stay as they are.
    """
    if text.isprintable():
        return text
    kept = keep + _JOINERS
    return "".join(
        character if character in kept or unicodedata.category(character) not in _UNSEEN else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shortened(text: str, num_chars: int) -> str:
    """The beginning of `text`, with an ellipsis where something was left out."""
    return text if len(text) <= num_chars else text[: num_chars - 1].rstrip() + "…"
