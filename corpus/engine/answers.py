"""What the answers of a server say, read without trusting their shape."""

from __future__ import annotations

from collections.abc import Mapping

from corpus.foreign import read_json

_LARGEST_COUNT = 2**63 - 1
"""What a column of counts holds."""
_THOUGHTS = ("thinking", "reasoning")
"""Types of content parts that servers keep apart from the reply."""


def field(value: object, name: str) -> object:
    """A field of an object; None where it has none, or is none."""
    return value.get(name) if isinstance(value, dict) else None


def whole_number(value: object, name: str) -> int | None:
    """A field that holds a count which a row can hold; None where it holds anything else."""
    number = field(value, name)
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _LARGEST_COUNT:
        return number
    return None


def content_text(content: object) -> str | None:
    """The text of a message's content, which is a string, null, or a list of parts; None for anything else.

    Parts of `type: text` are joined. Those that hold what the model thought (`thinking`, `reasoning`) are not text.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return None
    texts = [field(part, "text") for part in content if field(part, "type") not in _THOUGHTS]
    is_text = all(field(part, "type") in ("text", *_THOUGHTS) for part in content)
    return "".join(map(str, texts)) if is_text and all(isinstance(text, str) for text in texts) else None


def error_names(body: bytes) -> set[str]:
    """The code and the type that an answer with an error gives it."""
    try:
        said = read_json(body)
    except ValueError:
        return set()
    error = field(said[0] if isinstance(said, list) and said else said, "error")  # Gemini sends a list
    return {str(field(error, "code")), str(field(error, "type"))}


def listed_context(models: bytes, name: str) -> int | None:
    """The context of a model (tokens) in a server's list, where the list says it, as vLLM's does."""
    try:
        listed = field(read_json(models), "data")
    except ValueError:
        return None
    for model in listed if isinstance(listed, list) else []:
        if field(model, "id") == name:
            return whole_number(model, "max_model_len")
    return None


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The header in seconds; its other form, a date, is rare for these servers and left to the backoff."""
    try:
        seconds = float(headers["Retry-After"])
    except (KeyError, ValueError):
        return None
    return seconds if seconds >= 0 else None
