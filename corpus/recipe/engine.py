"""The sections `engine` and `engines`: what writes and what judges."""

from __future__ import annotations

import json
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from corpus.recipe.base import ModelName, Section


class EngineSettings(Section):
    """What writes: vLLM in this process, or any server that speaks the OpenAI protocol."""

    kind: Literal["vllm", "openai"] = "vllm"
    """`vllm` runs in process; `openai` is any compatible server."""
    model: ModelName = "builtin:smollm2-135m"
    """A hub id, a folder, or a builtin model."""
    revision: str | None = None
    """The hub revision (commit) of the model; recorded in every brief."""
    base_url: str | None = None
    """Where the server listens (`openai` only), up to and with `/v1`."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; the key itself is never written."""
    adapter: ModelName | None = None
    """A LoRA adapter that writes in the model's place (`vllm` only): a folder as peft saves it."""
    max_in_flight: PositiveInt | None = None
    """Requests that are open at the same time (requests). null: what vLLM decodes together and an eighth more, so
    that it never waits; 256 for a server."""
    timeout_seconds: PositiveFloat = 300.0
    """Deadline of one request (seconds); the published code's 300 s per attempt."""
    max_retries: NonNegativeInt = 4
    """Retries of one request after a transport failure or a busy server, with jitter (retries)."""
    trust_remote_code: bool = False
    """Whether code that comes with a model may run here."""
    options: dict[str, object] = Field({})
    """Handed to the engine as they are: `tensor_parallel_size`, `max_model_len`, ... Values that JSON has."""

    template_options: dict[str, object] = Field({})
    """Handed to the model's chat template, as `{enable_thinking: false}` for models that would reason first; sent to a
    server as `chat_template_kwargs`, which vLLM's own takes. Values that JSON has."""

    @field_validator("options", "template_options")
    @classmethod
    def _is_json(cls, options: dict[str, object]) -> dict[str, object]:
        """As JSON has them: they go into requests and into what identifies a text. YAML has dates and sets besides."""
        return {name: _as_json(name, value) for name, value in options.items()}

    @model_validator(mode="after")
    def _needs_a_server(self) -> EngineSettings:
        if self.kind == "openai" and not self.base_url:
            raise ValueError("kind: openai needs base_url, such as http://127.0.0.1:8000/v1")
        if self.kind == "openai" and not _is_address(str(self.base_url)):
            raise ValueError(f"base_url ({self.base_url}) is no address such as http://127.0.0.1:8000/v1")
        if self.kind == "openai" and self.adapter:
            raise ValueError(f"adapter ({self.adapter}): a server serves an adapter as a model; give its name as model")
        return self


def _as_json(name: str, value: object) -> object:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError(
            f"{name} holds {value!r:.60}, which JSON does not have; write it as a text or a number"
        ) from None
    return json.loads(text)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
