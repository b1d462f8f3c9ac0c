"""The section `eval`: what is measured, on every arm."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from corpus.recipe.base import Section, Settings


class Eval(Section):
    """What is measured, on every arm."""

    tasks: list[str | dict[str, Settings | None]] = Field(["perplexity", "preference"])
    """Names, or `name: {setting: value}`; each is checked by the eval room."""
    samples: PositiveInt = 1
    """Sampled answers per item, for tasks that sample. No task does yet: more than 1 is refused."""
    judge: str | None = None
    """The engine of `engines` that judges. No task is judged yet: any is refused."""
