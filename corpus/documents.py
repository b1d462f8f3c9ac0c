"""Writes the documents that the briefs ask for, and writes them anew where the recipe wants a second version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import prompts
from corpus.compose import EXTRA_TOKENS, document_prompt, reply_note
from corpus.engine import Request
from corpus.stage import Done, Work
from corpus.store import LAST_VERSION, Store
from corpus.store.identity import content_id
from corpus.writing import Effort, Job, Pen, Tagged, jobs_of, max_tokens, request_of
from prompts import Genre

PLANNED = Tagged("plan", "document")
REWRITTEN = Tagged("critique", "document")


class DocumentWriter:
    """Makes work of jobs: one document each, and its rewrite as soon as it is there."""

    def __init__(
        self,
        pen: Pen,
        cards: Mapping[str, Genre],
        worn: Mapping[int, str],
        count_tokens: Callable[[Sequence[str]], list[int]],
    ) -> None:
        """`worn` is what each wave's prompts say not to use; `count_tokens` counts as the trained model will."""
        self._pen = pen
        self._cards = cards
        self._worn = worn
        self._count_tokens = count_tokens
        self._template = prompts.load(document_prompt(pen.recipe))
        self._rewrite = prompts.load("rewrite")

    def work(self, job: Job) -> Work:
        """One document."""
        return Work("documents", partial(self._write, job))

    def rewrite_work(self, job: Job, row: Mapping[str, object]) -> Work:
        """The second version of a document."""
        return Work("rewrites", partial(self._write_anew, job, row))

    def request(self, job: Job) -> Request:
        """What is asked for a document."""
        extra_tokens = EXTRA_TOKENS if job.sampling.get("plan") else 0
        return request_of(job, self._messages(job), "document", extra_tokens)

    def rewrite_request(self, job: Job, text: str) -> Request:
        """What is asked for the second version of a document with this text."""
        return request_of(job, self._rewrite_messages(job, text), "rewrite", EXTRA_TOKENS)

    def longest_requests(self, job: Job) -> Iterator[Request]:
        """What is asked for a job, to see whether it fits; of a rewrite, the document that it shows counts as reply."""
        yield self.request(job)
        if job.sampling.get("rewrite"):
            yield request_of(job, self._rewrite_messages(job, ""), "rewrite", EXTRA_TOKENS + max_tokens(job))

    def _messages(self, job: Job) -> list[prompts.Message]:
        brief = job.brief
        assert brief.genre is not None, brief
        values: dict[str, object] = {
            **self._pen.principle(brief),
            **self._card(brief.genre, job),
            "excerpt": self._pen.shown.excerpt(brief),
            "context": self._pen.shown.context(brief),
            "stance_note": self._pen.stance(brief.stance),
            "idea": brief.idea,
            "worn": self._worn.get(brief.wave, ""),
            "reply_note": self._pen.note(reply_note(self._pen.recipe)),
        }
        return self._template.render(**{name: values[name] for name in self._template.variables})

    def _rewrite_messages(self, job: Job, text: str) -> list[prompts.Message]:
        brief = job.brief
        assert brief.genre is not None, brief
        return self._rewrite.render(
            **self._pen.names,
            **self._card(brief.genre, job),
            stance_note=self._pen.stance(brief.stance),
            principles=self._pen.shown.principles(brief),
            text=text,
        )

    async def _write(self, job: Job) -> Done:
        brief = job.brief
        is_planned = bool(job.sampling.get("plan"))
        asked = await self._pen.ask(
            job,
            "document",
            self.request(job),
            accept=PLANNED.problem if is_planned else None,
            texts_in=PLANNED.last if is_planned else None,
        )
        if asked.text is None:
            return Done({"calls": asked.calls}, asked.outcome)
        text = PLANNED.parts(asked.text)[1] if is_planned else asked.text
        # The call, too: a text that was lost and written again is another one, which no score and no verdict is about.
        doc_id = content_id("document", brief.brief_id, brief.context_hash, asked.calls[-1]["call_id"])
        row = self._row(job, text, doc_id, asked.calls, None)
        then = [self.rewrite_work(job, row)] if job.sampling.get("rewrite") else []
        return Done({"calls": asked.calls, "documents": [row]}, then=then)

    async def _write_anew(self, job: Job, first: Mapping[str, object]) -> Done:
        request = self.rewrite_request(job, str(first["text"]))
        asked = await self._pen.ask(job, "rewrite", request, accept=REWRITTEN.problem, texts_in=REWRITTEN.last)
        if asked.text is None:
            return Done({"calls": asked.calls}, asked.outcome)
        doc_id = content_id("rewrite", first["doc_id"], job.sampling["rewrite"], asked.calls[-1]["call_id"])
        row = self._row(job, REWRITTEN.parts(asked.text)[1], doc_id, asked.calls, str(first["doc_id"]))
        return Done({"calls": asked.calls, "documents": [row]})

    def _card(self, genre: str, job: Job) -> dict[str, object]:
        card = self._cards[genre]
        shown = ("description", "voice", "form", "realism", "avoid")
        return {name: getattr(card, name) for name in shown} | {"target_words": job.sampling["target_words"]}

    def _row(
        self, job: Job, text: str, doc_id: str, calls: Sequence[Mapping[str, object]], parent_id: str | None
    ) -> dict[str, object]:
        brief = job.brief
        return {
            "doc_id": doc_id,
            "brief_id": brief.brief_id,
            "context_hash": brief.context_hash,
            "call_id": calls[-1]["call_id"],
            "parent_id": parent_id,
            "set": "generated",
            "genre": brief.genre,
            "domain": brief.domain,
            "subdomain": brief.subdomain,
            "clause_ids": list(brief.clause_ids),
            "text": text,
            "num_tokens": self._count_tokens([text])[0],
            "num_chars": len(text),
            "source": None,
            "extra": None,
        }


def missing_rewrites(store: Store, effort: Effort) -> list[tuple[Job, dict[str, object]]]:
    """Documents that want a second version and have none, with the jobs they were written for."""
    rows = store.rows(
        "SELECT documents.* FROM documents JOIN briefs USING (brief_id) WHERE parent_id IS NULL "
        f"AND sampling ->> 'rewrite' IS NOT NULL AND {LAST_VERSION} ORDER BY doc_id"
    )
    jobs = jobs_of(store, [str(row["brief_id"]) for row in rows]) if rows else {}
    pairs = [(jobs[str(row["brief_id"])], row) for row in rows]
    return [(job, row) for job, row in pairs if effort.attempts_left(job, "rewrite") > 0]
