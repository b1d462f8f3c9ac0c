"""The section `imports`: what becomes of imported rows that cannot be used."""

from __future__ import annotations

from pydantic import PositiveInt

from corpus.recipe.base import Section


class Imports(Section):
    """What becomes of imported rows that cannot be used."""

    skip_bad: bool = False
    """Whether rows that cannot be used are left out, each kept in the table `rejected` with its line and the reason,
    as with `--skip-bad`; else one such row refuses the whole import."""
    max_text_chars: PositiveInt = 5_000_000
    """Longest text, or longest chat over all its turns (characters; ours: some eight times the 100,000 words at which
    Gopher ends). A filter holds all word sequences of a text in memory, which takes about 0.1 kB a character."""
