"""What a judge is shown of a row: its clauses and assertions, what its writer was told, its genre, its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import model_validator

import prompts
from corpus.engine.judge import JudgeReply
from corpus.recipe import Recipe
from corpus.store import Store
from corpus.store.identity import content_id
from filters.base import Kind

_PROMPTS: Mapping[Kind, str] = {"documents": "judge_document", "chats": "judge_chat"}
_STANCES = ("stance_values", "stance_rules")
_ROWS: Mapping[Kind, str] = {
    "documents": """
        SELECT doc_id AS id, documents.clause_ids, text, briefs.stance, briefs.assertion_ids,
            concat_ws(': ', documents.genre, genres.description) AS genre
        FROM documents LEFT JOIN briefs USING (brief_id) LEFT JOIN genres ON genres.name = documents.genre
        WHERE doc_id IN (SELECT unnest($ids)) ORDER BY id
    """,
    "chats": """
        SELECT chat_id AS id, chats.clause_ids, messages, chats.stance, briefs.assertion_ids
        FROM chats LEFT JOIN briefs USING (brief_id)
        WHERE chat_id IN (SELECT unnest($ids)) ORDER BY id
    """,
}


class Opinion(JudgeReply):
    """What the judge says of one row."""

    reason: str
    """One sentence, before the conclusions that it leads to."""
    faithful: bool
    """It agrees with the clause, and bears out the assertions it was written from."""
    supported: bool
    """It claims nothing of the assistant that the clause does not."""
    natural: bool
    """It reads as what it is meant to be."""
    verdict: Literal["keep", "drop"]

    @model_validator(mode="after")
    def _follows(self) -> Opinion:
        if (self.verdict == "keep") != (self.faithful and self.supported and self.natural):
            raise ValueError(f"the verdict '{self.verdict}' contradicts the answers before it")
        return self


CRITERIA = ("faithful", "supported", "natural")
"""The fields of an opinion that its verdict follows from."""


@dataclass(frozen=True, slots=True)
class _Clause:
    headings: str
    text: str


class Rubric:
    """Renders what the judge is asked about the rows of one run. Held-out clauses are not to be had here."""

    def __init__(self, recipe: Recipe, store: Store) -> None:
        """Read the clauses that prompts may show."""
        self._store = store
        self._names = (
            {} if recipe.spec is None
            else {"model_name": recipe.spec.model_name, "provider_name": recipe.spec.provider_name}
        )  # fmt: skip
        self._clauses = {
            str(row["clause_id"]): _Clause(" > ".join(cast("list[str]", row["path"])), _labelled(row))
            for row in store.rows("SELECT clause_id, path, label, text FROM clauses WHERE split = 'train'")
        }
        # Those that rest on what may not be shown are never of a row that is.
        self._assertions = {
            str(row["assertion_id"]): f"- {row['text']} {row['explanation'] or ''}".rstrip()
            for row in store.rows("SELECT assertion_id, clause_ids, text, explanation FROM all_assertions")
            if all(clause_id in self._clauses for clause_id in cast("list[str]", row["clause_ids"]))
        }

    @property
    def hash(self) -> str:
        """Names all that is asked, but for the rows themselves."""
        loaded = [prompts.load(name).hash for name in (*_PROMPTS.values(), *_STANCES)]
        return content_id("rubric", loaded, self._names)

    def is_shown(self, clause_ids: Sequence[str]) -> bool:
        """Whether a row of these clauses can be asked about: it has some, and each may be shown."""
        return bool(clause_ids and self._names) and all(clause_id in self._clauses for clause_id in clause_ids)

    def render(self, kind: Kind, ids: Sequence[str]) -> dict[str, list[prompts.Message]]:
        """The messages of each of these rows; each `is_shown`."""
        return {
            str(row["id"]): prompts.load(_PROMPTS[kind]).render(**self._values(kind, row))
            for row in self._store.rows(_ROWS[kind], {"ids": list(ids)})
        }

    def _values(self, kind: Kind, row: Mapping[str, object]) -> dict[str, str]:
        clauses = [self._clauses[clause_id] for clause_id in cast("list[str]", row["clause_ids"])]
        stance = prompts.load(f"stance_{row['stance'] or 'values'}")
        shared = {
            **self._names,
            "headings": "; ".join(dict.fromkeys(clause.headings for clause in clauses if clause.headings)),
            "clauses": "\n\n".join(clause.text for clause in clauses),
            "assertions": "\n".join(
                self._assertions[one]
                for one in cast("list[str] | None", row["assertion_ids"]) or ()
                if one in self._assertions
            ),
            "stance_note": stance.text(model_name=self._names["model_name"]),
        }
        if kind == "documents":
            text = str(row["text"])
            return shared | {"genre": str(row["genre"]), "text": text, "fence": prompts.fence(text)}
        turns = cast("list[dict[str, str]]", row["messages"])
        chat = "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)
        return shared | {"chat": chat, "fence": prompts.fence(chat)}


def _labelled(row: Mapping[str, object]) -> str:
    """A clause's text, with the spec's own label where the text does not hold it."""
    label, text = cast("str | None", row["label"]), str(row["text"])
    return f"{label}: {text}" if label and label not in text else text
