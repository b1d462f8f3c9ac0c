"""What the answers of a server say, read without trusting their shape."""

from __future__ import annotations

import json
from collections.abc import Mapping


def field(value: object, name: str) -> object:
    """A field of an object; None where it has none, or is none."""
    return value.get(name) if isinstance(value, dict) else None


def whole_number(value: object, name: str) -> int | None:
    """A field that holds a whole number; None where it holds anything else."""
    number = field(value, name)
    return number if isinstance(number, int) else None


def error_names(body: bytes) -> set[str]:
    """The code and the type that an answer with an error gives it."""
    try:
        said = json.loads(body)
    except ValueError:
        return set()
    error = field(said[0] if isinstance(said, list) and said else said, "error")  # Gemini sends a list
    return {str(field(error, "code")), str(field(error, "type"))}


def listed_context(models: bytes, name: str) -> int | None:
    """The context of a model (tokens) in a server's list, where the list says it, as vLLM's does."""
    try:
        listed = field(json.loads(models), "data")
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
