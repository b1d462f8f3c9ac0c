"""The kinds of user message that a chat can start from, and who writes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

HOME = Path(__file__).parent


@cache
def question_kinds() -> Mapping[str, str]:
    """Each kind's name and the note on it that goes into `chat_question`, in the file's order."""
    kinds = yaml.safe_load((HOME / "question_kinds.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({str(name): " ".join(str(note).split()) for name, note in kinds.items()})


@cache
def question_endings() -> Mapping[str, str]:
    """How a message of each kind ends, in a sentence for `short_question`: the same kinds in the same order."""
    endings = yaml.safe_load((HOME / "question_endings.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({str(name): str(ending) for name, ending in endings.items()})


@cache
def topics() -> Sequence[str]:
    """Who writes to the assistant and what they are busy with, in the file's order."""
    return tuple(str(topic) for topic in yaml.safe_load((HOME / "topics.yaml").read_text(encoding="utf-8")))
