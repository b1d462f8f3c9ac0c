"""The judge: an engine is shown a rubric and replies in a fixed form, or its reply counts for nothing.

The form is a flat model: its JSON schema binds engines that can be bound, and every reply is read by it strictly,
whatever engine it came from. What cannot be read is asked for again, a bounded number of times, and then unjudged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

import prompts
from corpus.engine.calls import ask
from corpus.engine.protocol import Engine, Message, Outcome, Request
from corpus.recipe.file import explain


class JudgeReply(BaseModel):
    """The form of a judge's reply: every field is needed, and nothing else may stand in it.

    Fields are plain (text, number, truth value, one of some words); a validator may refuse a reply that contradicts
    itself. They are written in this order: what is thought over comes before what is concluded.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Form = TypeVar("Form", bound=JudgeReply)


@dataclass(frozen=True)
class Judged(Generic[Form]):
    """What a judge said."""

    reply: Form | None
    """None: unjudged, no reply could be read."""
    outcome: Outcome
    """The last call's: `timeout` and `error` mean that nothing came back, and that the same may be asked later."""
    calls: list[dict[str, object]]
    """One row of the calls table per call, in order."""


@dataclass(frozen=True)
class Sampling:
    """How a judge's replies are drawn."""

    max_tokens: int
    """Longest reply (tokens of the engine's model)."""
    temperature: float
    max_attempts: int
    """Replies asked for before the item is unjudged."""


async def ask_judge(
    engine: Engine,
    messages: Iterable[prompts.Message],
    form: type[Form],
    sampling: Sampling,
    *,
    room: str,
    purpose: str,
    item_id: str,
    seed: int,
    first_attempt: int = 0,
) -> Judged[Form]:
    """Show the judge a rendered rubric and read its reply as `form`.

    Room, purpose, item and first attempt are those of `corpus.engine.ask`; every attempt has a seed of its own.

    Raises:
        EngineError: the engine can do nothing more.
    """
    request = Request(
        messages=tuple(Message(message["role"], message["content"]) for message in messages),
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        seed=seed,
        schema=reply_schema(form),
    )
    asked = await ask(
        engine,
        request,
        room=room,
        purpose=purpose,
        item_id=item_id,
        max_attempts=sampling.max_attempts,
        first_attempt=first_attempt,
        accept=lambda text: problem_of(form, text),
    )
    reply = None if asked.text is None else form.model_validate_json(asked.text)
    return Judged(reply, asked.outcome, asked.calls)


def reply_schema(form: type[JudgeReply]) -> dict[str, object]:
    """The JSON schema of a form: an object of plain fields, as every engine with structured output takes it."""
    whole = form.model_json_schema()
    assert "$defs" not in whole, f"{form.__name__} is not flat"
    properties = {
        name: {key: value for key, value in field.items() if key in ("type", "enum", "const", "minimum", "maximum")}
        for name, field in whole["properties"].items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def problem_of(form: type[JudgeReply], text: str) -> str | None:
    """Why a reply cannot be read as `form`; None if it can."""
    try:
        form.model_validate_json(text)
    except ValidationError as error:
        return f"not the form asked for: {explain(error, form)}"[:500]
    return None
