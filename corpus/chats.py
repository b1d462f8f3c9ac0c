"""Writes the chats that the briefs ask for: a person's question, then the assistant's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import prompts
from corpus.engine import Asked, Engine, ask
from corpus.recipe import Recipe
from corpus.stage import Done, Progress, StageReport, run_stage
from corpus.store import WritingStore
from corpus.store.identity import content_id
from corpus.writing import Effort, Job, Prompts, missing_jobs, request


async def write_chats(
    recipe: Recipe,
    store: WritingStore,
    engine: Engine,
    count_tokens: Callable[[Sequence[Sequence[Mapping[str, str]]]], list[int]],
    effort: Effort,
    progress: Progress,
) -> StageReport:
    """Ask for every missing chat. The answer is asked for as soon as its question is there.

    Raises:
        EngineError: the engine can do nothing more; what was finished is kept.
    """
    shown = Prompts(recipe, store)
    question_template, answer_template = prompts.load("chat_question"), prompts.load("chat_answer")
    kinds = prompts.question_kinds()
    writer = store.writer("corpus")
    jobs = missing_jobs(store, "chat", "chats", effort)

    async def call(job: Job, purpose: str, messages: list[prompts.Message]) -> Asked:
        return await ask(
            engine,
            request(job, messages, purpose),
            room="corpus",
            purpose=purpose,
            item_id=job.brief_id,
            first_attempt=job.replies.get(purpose, 0),
            max_attempts=effort.attempts_left(job, purpose),
            # A person's question that declines is none; an answer may decline, and the spec may ask for it.
            may_decline=purpose == "answer",
        )

    async def write(job: Job) -> Done:
        values = {**shown.names, **shown.clause_values(job.clause_id)}
        question = await call(job, "question", question_template.render(**values, question_kind=kinds[job.idea]))
        if question.text is None:
            return Done({"calls": question.calls}, question.outcome)
        answer = await call(
            job,
            "answer",
            answer_template.render(**values, stance_note=shown.stance(job.stance), question=question.text),
        )
        calls = [*question.calls, *answer.calls]
        if answer.text is None:
            return Done({"calls": calls}, answer.outcome)
        messages = [
            {"role": "user", "content": question.text},
            {"role": "assistant", "content": answer.text},
        ]
        chat = {
            "chat_id": content_id("chat", job.brief_id, job.context_hash),
            "brief_id": job.brief_id,
            "context_hash": job.context_hash,
            "call_id": answer.calls[-1]["call_id"],
            "twin_id": None,
            "set": "generated",
            "stance": job.stance,
            "reasoning": False,
            "question_kind": job.idea,
            "clause_ids": [job.clause_id],
            "messages": messages,
            "num_tokens": count_tokens([messages])[0],
            "source": None,
        }
        return Done({"calls": calls, "chats": [chat]})

    return await run_stage("chats", jobs, write, writer.append, max_in_flight=engine.max_in_flight, progress=progress)
