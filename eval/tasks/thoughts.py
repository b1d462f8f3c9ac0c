"""What an answer says aloud: without what its model thought before, in tags or in a scratchpad."""

from __future__ import annotations

import re

_NAMES = "SCRATCHPAD_REASONING|think|thinking"
_WHOLE = re.compile(rf"<({_NAMES})>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
"""A thought, also one that was cut off: nothing of it was said."""
_BEGUN_BEFORE = re.compile(rf"\A(?:(?!</?(?:{_NAMES})>).)*</(?:{_NAMES})>", re.DOTALL | re.IGNORECASE)
"""Up to a closing tag that is the first tag of all: its opening one stood in the prompt. Any other that is left over
closes nothing, and what stands before it was said."""


def without_thoughts(answer: str) -> str:
    """The answer with a space in place of each thought."""
    return _WHOLE.sub(" ", _BEGUN_BEFORE.sub(" ", answer))
