"""What differs between a row and the one that it gave way to, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from pathlib import Path
from typing import cast

from corpus.errors import SpecmillError
from corpus.inspect.look import Look
from corpus.recipe.file import load_recipe
from corpus.store.identity import PREFIX

CONTEXT_WORDS = 6
"""Words shown before and after a change."""
_MAX_CELLS = 25_000_000
"""Words of one text times words of the other, between the first and the last that differ, up to which they are
aligned: some seconds. Beyond, all between counts as one change."""


@dataclass(frozen=True)
class Change:
    """One place where two texts differ; any part may be empty."""

    before: str
    """What both share just before it."""
    removed: str
    """What this text has alone."""
    added: str
    """What the other text has alone."""
    after: str


@dataclass(frozen=True)
class Difference:
    """A row held against another."""

    other_id: str
    is_survivor: bool
    is_matched: bool
    """Whether the other one is what the row was matched with."""
    changes: Sequence[Change] | None
    """None: the other text cannot be read."""


def differences(look: Look, row: dict[str, object]) -> list[Difference]:
    """What differs between a row of the table `duplicates`, and what it matched and what survived it."""
    text = _text_of(look, str(row["doc_id"]))
    found = []
    for other_id in dict.fromkeys((str(row["matched_id"]), str(row["survivor_id"]))):
        other = _text_of(look, other_id)
        changes = None if text is None or other is None else changes_between(text, other)
        found.append(
            Difference(other_id, other_id == row["survivor_id"], other_id == row["matched_id"], changes)
        )  # fmt: skip
    return found


def changes_between(text: str, other: str) -> list[Change]:
    """The places where the words of two texts differ, in order; white space is none."""
    these, those = text.split(), other.split()
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(these, those, strict=False)))
    rest = zip(reversed(these[start:]), reversed(those[start:]), strict=False)
    end = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], rest))
    left, right = these[start : len(these) - end], those[start : len(those) - end]
    if len(left) * len(right) <= _MAX_CELLS:
        codes = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    else:
        codes = [("replace", 0, len(left), 0, len(right))]
    return [
        Change(
            " ".join(these[max(0, start + i1 - CONTEXT_WORDS) : start + i1]),
            " ".join(left[i1:i2]),
            " ".join(right[j1:j2]),
            " ".join(these[start + i2 : start + i2 + CONTEXT_WORDS]),
        )
        for kind, i1, i2, j1, j2 in codes
        if kind != "equal"
    ]


def _text_of(look: Look, row_id: str) -> str | None:
    """The text of a document or all turns of a chat; of a row of another run, `RUN:ID`, if that run is still there."""
    run, _, digits = row_id.rpartition(PREFIX)
    if run:
        try:
            against = load_recipe(look.root).curate.duplicates
            folders = [one for one in against.against if one.name == run[:-1]] if against else []
            with Look(folders[0] if folders else Path(run)) as other:
                return _text_of(other, PREFIX + digits)
        except SpecmillError:
            return None
    found = look.rows("SELECT text FROM all_documents WHERE doc_id = $id LIMIT 1", {"id": row_id})
    if found:
        return cast("str | None", found[0]["text"])
    found = look.rows("SELECT messages FROM all_chats WHERE chat_id = $id LIMIT 1", {"id": row_id})
    turns = cast("list[dict[str, str]]", found[0]["messages"]) if found else None
    return None if turns is None else "\n\n".join(turn["content"] for turn in turns)
