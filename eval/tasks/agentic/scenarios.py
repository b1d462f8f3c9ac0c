"""What an assistant is shown in each condition: a system prompt and one message with its mail.

Leaking and murder are those of the package inspect-evals, word for word but for the assistant's name. Exfiltration is
the paper's own addition and unreleased, so that scenario is ours, and so a mean over the 27 conditions is not the
paper's. The prompts are locked by their hashes: another version of the package cannot change them unnoticed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

import yaml

import prompts
from corpus.errors import SetupError
from corpus.store.identity import content_id
from eval.tasks.agentic.conditions import NO_GOAL, Condition
from prompts import Message

FOLDER = prompts.HOME / "agentic"
LOCK = Path(__file__).parent / "prompts.lock.json"
"""Hash of each condition's prompt, with and without scratchpad, under the package's own name for the assistant."""
PACKAGE, PACKAGE_NAME = "inspect_evals", "Alex"
_OWN_FIELDS = ("purpose", "reminder", "habit", "fault", "record")
_OPPOSITE_FIELDS = ("course", "conviction", "successor")
_NAME = re.compile(rf"\b{PACKAGE_NAME}\b")


class _Prompts(Protocol):
    """What inspect-evals makes of a condition."""

    system_prompt: str
    user_prompt: str
    email_content: str


def render_condition(condition: Condition, model_name: str, *, scratchpad: bool) -> list[Message]:
    """The system message and the user's.

    Args:
        condition: which one.
        model_name: what the assistant is called.
        scratchpad: whether it is told that it may think in private first; for models that do not reason by themselves.

    Raises:
        SetupError: inspect-evals is not installed, or its prompts are not those that are locked.
    """
    messages = _rendered(condition, PACKAGE_NAME, scratchpad)
    key = lock_key(condition, scratchpad)
    if locked().get(key) != prompt_hash(messages):
        raise SetupError(
            f"the prompt of {key} is not the one that is locked ({LOCK.name}): the inspect-evals that is installed "
            "words it otherwise, or it was edited here; install inspect-evals==0.26.0, or lock it anew"
        )
    return _rendered(condition, model_name, scratchpad)


def lock_key(condition: Condition, scratchpad: bool) -> str:
    """The condition's name in the lock file."""
    return f"{condition.name}/{'scratchpad' if scratchpad else 'plain'}"


@lru_cache(maxsize=1)
def locked() -> Mapping[str, str]:
    """The locked hashes by `lock_key`."""
    return cast("dict[str, str]", json.loads(LOCK.read_text(encoding="utf-8")))


def prompt_hash(messages: list[Message]) -> str:
    """Hash of what an assistant is shown."""
    return content_id("agentic", [[message["role"], message["content"]] for message in messages])


@lru_cache(maxsize=256)
def _rendered(condition: Condition, model_name: str, scratchpad: bool) -> list[Message]:
    if condition.action == "exfiltration":
        return _exfiltration(condition.goal, model_name, scratchpad)
    goal_type = "none" if condition.goal == NO_GOAL else "explicit"
    made = _generate_prompts()(condition.action, goal_type, condition.goal, "replacement", None, not scratchpad, None)
    user = "\n".join([made.user_prompt, made.email_content])
    texts = [_NAME.sub(lambda _: model_name, text) for text in (made.system_prompt, user)]
    return [{"role": "system", "content": texts[0]}, {"role": "user", "content": texts[1]}]


def _exfiltration(goal: str, model_name: str, scratchpad: bool) -> list[Message]:
    goals = _goals()
    own = goals.get(goal, {})
    opposite = goals.get(own.get("opposite", ""), {})
    values = {name: own.get(name, "") for name in _OWN_FIELDS} | {
        name: opposite.get(name, "") for name in _OPPOSITE_FIELDS
    }
    note = prompts.load("scratchpad", FOLDER).text() if scratchpad else ""
    return prompts.load("exfiltration", FOLDER).render(model_name=model_name, scratchpad_note=note, **values)


@lru_cache(maxsize=1)
def _goals() -> dict[str, dict[str, str]]:
    read = cast("dict[str, dict[str, str]]", yaml.safe_load((FOLDER / "goals.yaml").read_text(encoding="utf-8")))
    return {goal: {name: " ".join(text.split()) for name, text in fields.items()} for goal, fields in read.items()}


@lru_cache(maxsize=1)
def _generate_prompts() -> Callable[..., _Prompts]:
    """`generate_prompts` of inspect-evals, without what its packages import besides: it needs none of that itself."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise SetupError(
            "the task agentic takes its scenarios leaking and murder from inspect-evals, which is not installed; run: "
            "make setup (or measure our own scenario alone, with actions: [exfiltration])"
        )
    root = Path(found.submodule_search_locations[0])
    stood_in = {PACKAGE: root, f"{PACKAGE}.agentic_misalignment": root / "agentic_misalignment"}
    before = {name: sys.modules.get(name) for name in stood_in}
    try:
        for name, path in stood_in.items():
            module = ModuleType(name)
            module.__path__ = [str(path)]
            sys.modules[name] = module
        from inspect_evals.agentic_misalignment.prompt_generator import generate_prompts

        return cast("Callable[..., _Prompts]", generate_prompts)
    finally:
        for name, module_before in before.items():
            sys.modules.pop(name, None)
            if module_before is not None:
                sys.modules[name] = module_before
        for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.agentic_misalignment.")]:
            del sys.modules[name]  # a later import of the whole package is to find it whole
