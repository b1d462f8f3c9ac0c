"""Every prompt and every genre card, one file each: loading, strict rendering, hashing."""

from __future__ import annotations

from prompts.cards import Family, Genre, genres
from prompts.kinds import question_endings, question_kinds, topics
from prompts.sections import PromptError
from prompts.templates import HOME, Message, Prompt, fence, load, names

__all__ = [
    "HOME",
    "Family",
    "Genre",
    "Message",
    "Prompt",
    "PromptError",
    "fence",
    "genres",
    "load",
    "names",
    "question_endings",
    "question_kinds",
    "topics",
]
