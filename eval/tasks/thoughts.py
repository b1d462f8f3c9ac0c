"""What an answer says aloud: without what its model thought before, in tags or in a scratchpad."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"<(SCRATCHPAD_REASONING|think|thinking)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
"""A thought, also one that was cut off: nothing of it was said."""
_CLOSING = re.compile(r"\A.*</(?:SCRATCHPAD_REASONING|think|thinking)>", re.DOTALL | re.IGNORECASE)
"""Up to a closing tag that is left over: its opening one stood in the prompt."""


def without_thoughts(answer: str) -> str:
    """The answer with a space in place of each thought."""
    return _CLOSING.sub(" ", _WHOLE.sub(" ", answer))
