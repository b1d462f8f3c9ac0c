"""Writes the chats that the briefs ask for: a person's question, then the assistant's answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import prompts
from corpus.bare_preference import problem_with
from corpus.compose import answer_note, chat_prompts
from corpus.engine import Request
from corpus.preferences import Pair
from corpus.stage import Done, Work
from corpus.store.identity import content_id
from corpus.writing import Job, Pen, Tagged, max_tokens, request_of

REASONED = Tagged("think", "answer", second_is_open=True)
_SPEC = re.compile(
    r"\b(?:model spec|your (?:own )?(?:spec|specification|guidelines?|polic(?:y|ies)|principles?|constitution|rules"
    r"|instructions|programming|training))\b",
    re.IGNORECASE,
)
"""How a question gives away that it was written from a spec."""
Messages = list[dict[str, str]]


class ChatWriter:
    """Makes work of jobs: one chat each, or two where answers come with reasoning."""

    def __init__(self, pen: Pen, count_tokens: Callable[[Sequence[Sequence[Mapping[str, str]]]], list[int]]) -> None:
        """`count_tokens` counts chats as the trained model will see them."""
        self._pen = pen
        self._count_tokens = count_tokens
        self._kinds = prompts.question_kinds()
        self._question, self._answer = map(prompts.load, chat_prompts(pen.recipe))

    def work(self, job: Job) -> Work:
        """One chat on the spec."""
        return Work("chats", partial(self._write, job))

    def preference_work(self, job: Job) -> Work:
        """One chat in which one thing is preferred to another."""
        return Work("preferences", partial(self._prefer, job))

    def question_request(self, job: Job) -> Request:
        """What is asked for a chat's question, on the spec or on a preference."""
        is_preference = job.brief.kind == "preference"
        messages = self._preference_question_messages(job) if is_preference else self._question_messages(job)
        return request_of(job, messages, "question")

    def answer_request(self, job: Job, question: str) -> Request:
        """What is asked for the answer to a chat's question."""
        is_preference = job.brief.kind == "preference"
        messages = self._preference_messages(job, question) if is_preference else self._answer_messages(job, question)
        return request_of(job, messages, "answer", _reasoning_tokens(job))

    def longest_request(self, job: Job) -> Request:
        """What is asked for a job's answer, to see whether it fits; the question that it shows counts as reply."""
        request = self.answer_request(job, "")
        return replace(request, max_tokens=request.max_tokens + max_tokens(job))

    def _question_messages(self, job: Job) -> list[prompts.Message]:
        values = {
            **self._pen.principle(job.brief), "topic": job.brief.idea, "question_kind": self._note(job),
            "question_ending": prompts.question_endings()[str(job.brief.question_kind)],
        }  # fmt: skip
        return self._question.render(**{name: values[name] for name in self._question.variables})

    def _answer_messages(self, job: Job, question: str) -> list[prompts.Message]:
        brief = job.brief
        values = {
            **self._pen.principle(brief),
            "stance_note": self._pen.stance(brief.stance),
            "excerpt": self._pen.shown.excerpt(brief),
            "reply_note": self._pen.note(answer_note(self._pen.recipe)),
            "question": question,
        }
        return self._answer.render(**{name: values[name] for name in self._answer.variables})

    async def _write(self, job: Job) -> Done:
        question = await self._pen.ask(job, "question", self.question_request(job), accept=names_the_spec)
        if question.text is None:
            return Done({"calls": question.calls}, question.outcome)
        is_reasoned = _reasoning_tokens(job) > 0
        answer = await self._pen.ask(
            job,
            "answer",
            self.answer_request(job, question.text),
            accept=REASONED.problem if is_reasoned else None,
            texts_in=REASONED.parts if is_reasoned else None,
            # A person's question that declines is none; an answer may decline, and the spec may ask for it.
            may_decline=True,
        )
        calls = [*question.calls, *answer.calls]
        if answer.text is None:
            return Done({"calls": calls}, answer.outcome)
        if not is_reasoned:
            return Done({"calls": calls, "chats": [self._row(job, question.text, answer.text, calls)]})
        reasoning, plain = REASONED.parts(answer.text)
        with_it, without = _chat_id(job, calls, "reasoned"), _chat_id(job, calls, "plain")
        whole = f"<think>\n{reasoning}\n</think>\n\n{plain}"
        rows = [
            self._row(job, question.text, whole, calls, chat_id=with_it, twin_id=without, reasoning=True),
            self._row(job, question.text, plain, calls, chat_id=without, twin_id=with_it),
        ]
        return Done({"calls": calls, "chats": rows})

    async def _prefer(self, job: Job) -> Done:
        pair = _pair(job)
        question = await self._pen.ask(job, "question", self.question_request(job), accept=names_the_spec)
        if question.text is None:
            return Done({"calls": question.calls}, question.outcome)
        answer = await self._pen.ask(
            job,
            "answer",
            self.answer_request(job, question.text),
            accept=lambda text: problem_with(text, pair),
            may_decline=True,
        )
        calls = [*question.calls, *answer.calls]
        if answer.text is None:
            return Done({"calls": calls}, answer.outcome)
        return Done({"calls": calls, "chats": [self._row(job, question.text, answer.text, calls)]})

    def _preference_question_messages(self, job: Job) -> list[prompts.Message]:
        pair = _pair(job)
        both = (pair.liked, pair.disliked)
        first, second = both if job.brief.seed % 2 else both[::-1]
        return prompts.load("preference_question").render(
            **self._pen.names, first=first, second=second, topic=job.brief.idea, question_kind=self._note(job)
        )

    def _preference_messages(self, job: Job, question: str) -> list[prompts.Message]:
        pair = _pair(job)
        return prompts.load("preference_answer").render(
            **self._pen.names, liked=pair.liked, disliked=pair.disliked, question=question
        )

    def _note(self, job: Job) -> str:
        assert job.brief.question_kind is not None, job
        return self._kinds[job.brief.question_kind]

    def _row(
        self,
        job: Job,
        question: str,
        answer: str,
        calls: Sequence[Mapping[str, object]],
        *,
        chat_id: str | None = None,
        twin_id: str | None = None,
        reasoning: bool = False,
    ) -> dict[str, object]:
        brief = job.brief
        messages: Messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return {
            "chat_id": chat_id or _chat_id(job, calls),
            "brief_id": brief.brief_id,
            "context_hash": brief.context_hash,
            "call_id": calls[-1]["call_id"],
            "twin_id": twin_id,
            "set": "generated",
            "stance": brief.stance,
            "reasoning": reasoning,
            "question_kind": brief.question_kind,
            "clause_ids": list(brief.clause_ids),
            "messages": messages,
            "num_tokens": self._count_tokens([messages])[0],
            "source": None,
            "extra": None,
        }


def names_the_spec(question: str) -> str | None:
    """What gives a question away as written from a spec; None if nothing does."""
    found = _SPEC.search(question)
    return f"mentions how the assistant is meant to behave ({found.group()!r})" if found else None


def _pair(job: Job) -> Pair:
    return Pair(str(job.sampling["liked"]), str(job.sampling["disliked"]))


def _reasoning_tokens(job: Job) -> int:
    return int(str(job.sampling.get("reasoning_max_tokens", 0)))


def _chat_id(job: Job, calls: Sequence[Mapping[str, object]], *form: str) -> str:
    """With the calls that gave its turns: a chat that was lost and written again is another one."""
    gave = [call["call_id"] for call in calls if call["outcome"] == "ok"]
    return content_id("chat", job.brief.brief_id, job.brief.context_hash, gave, *form)
