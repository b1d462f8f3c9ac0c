"""Pairs that the assistant prefers between: the data of a narrow fine-tuning, which states no reasons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from corpus.errors import RecipeError
from corpus.foreign import has_half_character, read_json

KINDS = ("direct", "indirect", "comparison", "recommendation", "opinion")
"""The kinds of question that can ask for a preference; an edge case has none."""


@dataclass(frozen=True)
class Pair:
    """What is liked, and what it is preferred to."""

    liked: str
    disliked: str


def load_pairs(path: Path) -> list[Pair]:
    """The pairs of a JSONL file, in its order, each once.

    Raises:
        RecipeError: the file is not there, or a line has no `liked` and `disliked`; it names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"generate.preference_pairs: {path} cannot be read ({error}); correct the path") from None
    pairs = [_pair(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise RecipeError(f"generate.preference_pairs: {path} is empty; give a pair in each line")
    return list(dict.fromkeys(pairs))


def _pair(line: str, where: str) -> Pair:
    try:
        fields = cast("dict[str, str]", read_json(line))
        pair = Pair(fields["liked"].strip(), fields["disliked"].strip())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RecipeError(
            f'generate.preference_pairs: {where} is {line!r:.80}; it should be {{"liked": "...", "disliked": "..."}}'
        ) from None
    if has_half_character(pair.liked + pair.disliked):
        raise RecipeError(f"generate.preference_pairs: {where} holds half of a surrogate pair; mend it")
    if not pair.liked or not pair.disliked or pair.liked.casefold() == pair.disliked.casefold():
        raise RecipeError(f"generate.preference_pairs: {where} prefers {pair.liked!r} to {pair.disliked!r}; mend it")
    return pair
