"""Writes the documents that the briefs ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import prompts
from corpus.briefs import document_prompt, library
from corpus.engine import Engine, ask
from corpus.recipe import Recipe
from corpus.stage import Done, Progress, StageReport, run_stage
from corpus.store import WritingStore
from corpus.store.identity import content_id
from corpus.writing import Effort, Job, Prompts, missing_jobs, request


async def write_documents(
    recipe: Recipe,
    store: WritingStore,
    engine: Engine,
    count_tokens: Callable[[Sequence[str]], list[int]],
    effort: Effort,
    progress: Progress,
) -> StageReport:
    """Ask for every missing document; each becomes durable, with its calls, as soon as it is there.

    Raises:
        EngineError: the engine can do nothing more; what was finished is kept.
    """
    shown = Prompts(recipe, store)
    template = prompts.load(document_prompt(recipe))
    cards = library(recipe)
    writer = store.writer("corpus")
    jobs = missing_jobs(store, "document", "documents", effort)

    async def write(job: Job) -> Done:
        assert job.genre is not None, job
        card = cards[job.genre]
        values = dict(
            **shown.names,
            **shown.clause_values(job.clause_id),
            stance_note=shown.stance(job.stance),
            description=card.description,
            voice=card.voice,
            form=card.form,
            realism=card.realism,
            avoid=card.avoid,
            target_words=job.sampling["target_words"],
            context=shown.context(job.clause_id),
            idea=job.idea,
        )
        messages = template.render(**{name: values[name] for name in template.variables})
        asked = await ask(
            engine,
            request(job, messages, "document"),
            room="corpus",
            purpose="document",
            item_id=job.brief_id,
            first_attempt=job.replies.get("document", 0),
            max_attempts=effort.attempts_left(job, "document"),
        )
        if asked.text is None:
            return Done({"calls": asked.calls}, asked.outcome)
        document = {
            "doc_id": content_id("document", job.brief_id, job.context_hash),
            "brief_id": job.brief_id,
            "context_hash": job.context_hash,
            "call_id": asked.calls[-1]["call_id"],
            "parent_id": None,
            "set": "generated",
            "genre": job.genre,
            "domain": None,
            "subdomain": None,
            "clause_ids": [job.clause_id],
            "text": asked.text,
            "num_tokens": count_tokens([asked.text])[0],
            "num_chars": len(asked.text),
            "source": None,
        }
        return Done({"calls": asked.calls, "documents": [document]})

    return await run_stage(
        "documents", jobs, write, writer.append, max_in_flight=engine.max_in_flight, progress=progress
    )
