"""The section `spec`: the document that everything is written from."""

from __future__ import annotations

from pydantic import Field

from corpus.recipe.base import RecipePath, Section


class HoldOut(Section):
    """Which clauses no prompt ever shows."""

    fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the clauses that get briefs which is held out (fraction; 0.1 as in most held-out splits)."""


class Spec(Section):
    """The document that says how the assistant should behave."""

    path: RecipePath
    """The spec's file: Markdown or plain text, UTF-8, at most 4 MiB."""
    model_name: str = "the assistant"
    """What the documents call the assistant."""
    provider_name: str = "its developer"
    """What the documents call those who make it."""
    hold_out: HoldOut = HoldOut()
    """Held-out clauses: chosen before anything is written."""
