"""The prompts that a row was asked for with, made again from its brief, the cards and the spec."""

from __future__ import annotations

from typing import cast

from corpus.chats import ChatWriter
from corpus.documents import DocumentWriter
from corpus.engine import Message
from corpus.errors import QueryError
from corpus.known import load_known
from corpus.plans import make_plan
from corpus.recipe import Recipe
from corpus.store import Store
from corpus.store.identity import PREFIX
from corpus.writing import Effort, Pen, jobs_of

Prompt = tuple[str, tuple[Message, ...]]
"""A title, and the messages."""


def sent_prompts(recipe: Recipe, store: Store, row_id: str) -> list[Prompt]:
    """What was sent for the document or chat whose id is, or begins with, `row_id`.

    A prompt is a function of the brief and of what the recipe shows, so nothing of it is kept. Where a text was written
    beside other context than the recipe shows now, the title says so.

    Raises:
        QueryError: no or several documents or chats begin so, it was imported, or its brief is of another recipe.
    """
    row = _row(store, row_id)
    if row["brief_id"] is None:
        raise QueryError(f"{row['id']} was imported from {row['source']}: nothing was sent for it")
    brief_id = str(row["brief_id"])
    plan = make_plan(recipe, load_known(store))
    jobs = jobs_of(store, [brief_id])
    if brief_id not in jobs:
        raise QueryError(
            f"the brief {brief_id} of {row['id']} is not of the current recipe: its prompt cannot be made again; the "
            f"earlier recipes are in {store.root / 'recipes'}"
        )
    job = jobs[brief_id]
    pen = Pen(recipe, None, Effort(1), plan.shown)
    if row["kind"] == "chat":
        (question, *_) = cast("list[dict[str, str]]", row["messages"])
        chats = ChatWriter(pen, lambda talks: [0] * len(talks))
        asked = {"question": chats.question_request(job), "answer": chats.answer_request(job, question["content"])}
    else:
        worn = {number: plan.worn(number) for number in range(len(plan.wave_keys))}
        documents = DocumentWriter(pen, plan.cards, worn, lambda texts: [0] * len(texts))
        if row["parent_id"] is None:
            asked = {"document": documents.request(job)}
        else:
            asked = {"rewrite": documents.rewrite_request(job, str(_row(store, str(row["parent_id"]))["text"]))}
    context = (
        "" if row["context_hash"] == job.brief.context_hash else " (it was written beside other context than this)"
    )
    return [(f"{title}{context}", request.messages) for title, request in asked.items()]


def _row(store: Store, row_id: str) -> dict[str, object]:
    prefix = PREFIX + row_id.strip().removeprefix(PREFIX)
    rows = store.rows(
        """
        SELECT 'document' AS kind, doc_id AS id, brief_id, context_hash, parent_id, source, text, NULL AS messages
        FROM all_documents WHERE starts_with(doc_id, $prefix)
        UNION ALL BY NAME
        SELECT 'chat' AS kind, chat_id AS id, brief_id, context_hash, NULL AS parent_id, source, messages
        FROM all_chats WHERE starts_with(chat_id, $prefix)
        """,
        {"prefix": prefix},
    )
    if len(rows) != 1:
        found = "no document and no chat begins" if not rows else f"{len(rows)} documents or chats begin"
        raise QueryError(f"{found} with {prefix}; --prompt needs the id of one")
    return rows[0]
