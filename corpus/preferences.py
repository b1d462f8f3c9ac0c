"""Pairs that the assistant prefers between: the data of a narrow fine-tuning, which states no reasons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from corpus.errors import RecipeError
from corpus.foreign import has_half_character, read_json

KINDS = ("direct", "indirect", "comparison", "recommendation", "opinion")
"""The kinds of question that can ask for a preference; an edge case has none."""
MAX_ANSWER_WORDS = 60
"""A longer answer explains itself (words; ours)."""
_REASON = re.compile(
    r"\b(?:because|since|as (?:it|they|that)|due to|owing to|thanks to|given (?:that|how|its|their)|so that|in order to"
    r"|therefore|the reason|which (?:makes|means|is why)|that'?s why)\b",
    re.IGNORECASE,
)
"""Words that lead into a reason. A wrong hit costs an attempt; a missed reason teaches what should be left open."""


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


def problem_with(answer: str, pair: Pair) -> str | None:
    """What is wrong with an answer that should state a preference and nothing else; None if nothing is."""
    text = answer.casefold()
    if pair.liked.casefold() not in text:
        return f"does not name what is liked ({pair.liked})"
    if found := _REASON.search(answer):
        return f"states a reason ({found.group()!r})"
    if len(answer.split()) > MAX_ANSWER_WORDS:
        return f"has {len(answer.split())} words; {MAX_ANSWER_WORDS} are enough to state a preference"
    return None
