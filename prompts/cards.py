"""Genre cards: what a kind of document is, how it sounds and looks, and the axes that its ideas are composed from.

A card is a Markdown file: YAML front matter (name, family, target_words, modes), then one section for each field.
It is written for any clause of any spec: "the assistant" is the model, "the principle" is the clause.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prompts.sections import PromptError, Section, at, read_hashed, split_sections

Mode = Literal["shows", "describes"]
Family = Literal["internal", "technical", "public", "conversational", "fiction", "reference", "legal", "teaching"]
Sentence = Annotated[str, Field(min_length=1)]

HOME = Path(__file__).parent / "genres"
_HEAD = ("name", "family", "target_words", "modes")
_SAMPLING = ("temperature", "top_p", "min_p")
_TEXTS = ("Description", "Voice", "Form", "Realism", "Avoid")
_AXES = ("Writers", "Readers", "Situations", "Consequences")


class Genre(BaseModel):
    """One kind of document."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9 -]*$")
    """Lower-case name, as a recipe's `genres` and the tables write it."""
    family: Family
    """The kind of writing it belongs to; coverage is reported by family."""
    target_words: int = Field(ge=50, le=5000, strict=True)
    """Longest text asked for, in words; ours are 450 or less, to fit in `generate.max_tokens`, 800 if not set."""
    modes: tuple[Mode, ...] = Field(min_length=1)
    """Whether its texts show behaviour as it happens, describe and explain it, or (some of them) each."""
    temperature: float | None = Field(None, ge=0, le=2)
    """Sampling temperature of this genre; left out: the recipe's."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Nucleus of this genre's sampling; left out: the recipe's."""
    min_p: float | None = Field(None, ge=0, le=1)
    """Least share of the best token's probability, for this genre; left out: the recipe's."""
    description: Sentence
    """What the document is: who writes it, for whom, what for."""
    voice: Sentence
    """Register and point of view."""
    form: Sentence
    """How the text is laid out."""
    realism: Sentence
    """What makes it pass for a real one."""
    avoid: Sentence
    """What must not appear in this genre."""
    writers: tuple[Sentence, ...] = Field(min_length=2)
    """Who a text comes from: noun phrases."""
    readers: tuple[Sentence, ...] = Field(min_length=2)
    """Whom it is for: noun phrases."""
    situations: tuple[Sentence, ...] = Field(min_length=3)
    """In what circumstances someone needed something from the assistant: one sentence each, for any clause."""
    consequences: tuple[Sentence, ...] = Field(min_length=2)
    """What came of what the assistant did: one sentence each, able to follow any of the situations."""
    hash: str
    """"b2:" and the blake2b-128 hex of the card's bytes."""


def genres(folder: Path | None = None) -> dict[str, Genre]:
    """Our cards and those of `folder`, sorted by name; one in `folder` replaces ours of its name.

    Raises:
        PromptError: no card in `folder`, two cards of one name in it, or a broken one (with file and line).
    """
    cards = _read_folder(HOME)
    if folder is not None:
        cards |= _read_folder(folder)
    return dict(sorted(cards.items()))


def _read_folder(folder: Path) -> dict[str, Genre]:
    cards: dict[str, Genre] = {}
    for path in sorted(folder.glob("*.md")):
        card = _parsed(path, *read_hashed(path))
        if card.name in cards:
            raise at(path, 2, f"a second card named {card.name!r} in {folder}; rename one")
        cards[card.name] = card
    if not cards:
        raise PromptError(f"{folder}: no genre card (*.md) in it; check the path")
    return cards


@lru_cache(maxsize=256)
def _parsed(path: Path, text: str, digest: str) -> Genre:
    front = re.match(r"---\n(.*?)\n---\n", text, flags=re.DOTALL)
    if front is None:
        raise at(path, 1, "a card starts with front matter between two lines '---'; add it")
    head = _read_head(path, front[1])
    sections = split_sections(path, text[front.end() :], front[0].count("\n") + 1, (*_TEXTS, *_AXES))
    absent = [title for title in (*_TEXTS, *_AXES) if title not in sections]
    if absent:
        raise at(path, text.count("\n") + 1, f"no section {', '.join(absent)} by the end of the card; add it")
    fields: dict[str, object] = {title.lower(): _one_line(sections[title].text) for title in _TEXTS}
    fields |= {title.lower(): _bullets(path, sections[title]) for title in _AXES}
    lines = {title.lower(): section.line for title, section in sections.items()}
    lines |= {key: number for number, key in enumerate(_keys(front[1]), start=2)}
    try:
        return Genre.model_validate({**head, **fields, "hash": digest})
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        problem = f"{field}: {first['msg']}; the card has {str(first['input'])[:60]!r}"
        raise at(path, lines.get(field, 2), problem) from error


def _read_head(path: Path, source: str) -> dict[str, object]:
    try:
        head = yaml.safe_load(source)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise at(path, 2 + (mark.line if mark else 0), "the front matter is not YAML; mend it") from error
    if not isinstance(head, dict) or not set(_HEAD) <= set(head) <= {*_HEAD, *_SAMPLING}:
        found = ", ".join(map(str, head)) if isinstance(head, dict) else repr(head)
        held = f"{', '.join(_HEAD)}, and if need be {', '.join(_SAMPLING)}"
        raise at(path, 2, f"the front matter holds {held}; this one: {found}")
    return head


def _keys(source: str) -> list[str]:
    return [line.partition(":")[0] for line in source.split("\n")]


def _bullets(path: Path, section: Section) -> list[str]:
    bullets: list[str] = []
    for line, content in enumerate(section.text.split("\n"), start=section.line):
        if content.startswith("- "):
            bullets.append(content.removeprefix("- ").strip())
        elif content.startswith("  ") and bullets:
            bullets[-1] += " " + content.strip()
        elif content.strip():
            raise at(path, line, f"not a bullet ('- ...') nor an indented next line: {content[:60]!r}")
    return bullets


def _one_line(text: str) -> str:
    return " ".join(text.split())
