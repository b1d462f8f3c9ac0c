"""The forms in which people keep conversations, each read into messages of role and content.

The shapes are those of published instruction sets: `messages` (OpenAI), `conversations` (ShareGPT), instruction, input
and output (Alpaca), instruction, context and response (Dolly), system prompt, question and response (OpenOrca), and
prompt and completion as texts or as messages (TRL).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Fields = Mapping[str, object]
ROLES = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "tool": "tool",
}  # fmt: skip
"""The role of a turn by the name it comes under."""
_WHO, _WHAT = ("role", "from"), ("content", "value")
"""The fields of a turn, as OpenAI and as ShareGPT name them."""
_CALLS = ("tool_calls", "function_call")
_SYSTEM = ("system", "system_prompt")


class BadRow(Exception):
    """A row that cannot be used: its kind, which many rows may share, and what this one holds."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}{f': {detail}' if detail else ''}")
        self.kind = kind


class Turn(NamedTuple):
    """One turn as a row has it, before any check."""

    role: object
    content: object
    rest: Fields
    """What else the row says of it."""


@dataclass(frozen=True)
class Form:
    """One way to keep a conversation in the columns of a row."""

    needs: tuple[str, ...]
    """Columns that make the form."""
    may_have: tuple[str, ...]
    """Columns that are read if they are there."""
    turns: Callable[[Fields], Iterator[Turn]]
    """The turns of a row, without the system turn that a column of its own holds."""

    @property
    def name(self) -> str:
        """The columns that make it."""
        return ", ".join(self.needs)

    def fits(self, fields: Fields) -> bool:
        """Whether a row has its columns, with something in one of them."""
        return all(fields.get(column) is not None for column in self.needs) and any(map(fields.get, self.needs))


class Conversation(NamedTuple):
    """What a row was read into."""

    form: Form
    messages: list[dict[str, str]]
    rest: Fields
    """All that the row holds besides."""


def read_conversation(fields: Fields) -> Conversation | None:
    """The messages of a row by the first form that fits; None where none does.

    Turns of a system that says nothing are left out.

    Raises:
        BadRow: the row has a form, but no model could be trained on it.
    """
    form = next((form for form in FORMS if form.fits(fields)), None)
    if form is None:
        return None
    turns = [turn for turn in form.turns(fields) if not (turn.role == "system" and _is_blank(turn.content))]
    used = {*form.needs, *form.may_have}
    column = next((column for column in _SYSTEM if not _is_blank(fields.get(column))), None)
    if column is not None and not any(turn.role == "system" for turn in turns):
        turns.insert(0, Turn("system", fields[column], {}))
        used.add(column)
    messages = [{"role": _role(turn), "content": _text(turn.content)} for turn in turns]
    _check_order([message["role"] for message in messages])
    rest = {name: value for name, value in fields.items() if name not in used}
    if any(turn.rest for turn in turns):
        rest[form.needs[0]] = [turn.rest for turn in turns]
    return Conversation(form, messages, rest)


def _listed(column: str) -> Callable[[Fields], Iterator[Turn]]:
    return lambda fields: _turns(column, fields[column])


def _turns(column: str, turns: object) -> Iterator[Turn]:
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        raise BadRow(f"'{column}' is no list of turns", f"{turns!r:.60}")
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise BadRow("a turn without role and content", f"{turn!r:.60}")
        if any(turn.get(name) for name in _CALLS):
            raise BadRow("a turn that calls a tool", f"{turn!r:.60}")
        rest = {
            name: value for name, value in turn.items() if name not in (*_WHO, *_WHAT, *_CALLS) and value is not None
        }
        yield Turn(_first(turn, _WHO), _first(turn, _WHAT), rest)


def _pair(asked: str, answered: str, more: str | None = None) -> Callable[[Fields], Iterator[Turn]]:
    """A question and its answer, each a text or a list of turns; a text in `more` goes below the question."""

    def turns(fields: Fields) -> Iterator[Turn]:
        for column, role in ((asked, "user"), (answered, "assistant")):
            value = fields[column]
            if isinstance(value, Sequence) and not isinstance(value, str):
                yield from _turns(column, value)
                continue
            below = fields.get(more) if more is not None and role == "user" else None
            texts = [text for text in (value, below) if not _is_blank(text)]
            strange = next((text for text in texts if not isinstance(text, str)), None)
            yield Turn(role, "\n\n".join(map(str, texts)) if strange is None else strange, {})

    return turns


FORMS: tuple[Form, ...] = (
    Form(("messages",), (), _listed("messages")),
    Form(("conversations",), (), _listed("conversations")),
    Form(("instruction", "output"), ("input",), _pair("instruction", "output", "input")),
    Form(("instruction", "response"), ("context",), _pair("instruction", "response", "context")),
    Form(("prompt", "response"), (), _pair("prompt", "response")),
    Form(("prompt", "completion"), (), _pair("prompt", "completion")),
    Form(("question", "answer"), (), _pair("question", "answer")),
    Form(("question", "response"), (), _pair("question", "response")),
)
"""All forms, each with an optional `system` or `system_prompt`; of those that fit a row, the first one is meant."""


def _first(turn: Fields, names: Sequence[str]) -> object:
    return next((turn[name] for name in names if turn.get(name) is not None), None)


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _role(turn: Turn) -> str:
    if not isinstance(turn.role, str) or turn.role not in ROLES:
        raise BadRow(f"the role {turn.role!r:.40}", f"the roles are {', '.join(ROLES)}")
    return ROLES[turn.role]


def _text(content: object) -> str:
    """The text of a turn: a string, or OpenAI's list of parts where all of them are text."""
    if isinstance(content, Sequence) and not isinstance(content, str):
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if all(isinstance(part, str) for part in parts):
            content = "".join(map(str, parts))
    if _is_blank(content):
        raise BadRow("a turn without content")
    if not isinstance(content, str):
        raise BadRow("content that is no text", f"{content!r:.60}")
    return content


def _check_order(roles: Sequence[str]) -> None:
    if "assistant" not in roles:
        raise BadRow("no assistant turn")
    for before, after in itertools.pairwise(roles):
        if before == after and before in ("user", "assistant"):
            raise BadRow(f"two {before} turns in a row")
    if roles[-1] != "assistant":
        raise BadRow(f"ends with a {roles[-1]} turn")
