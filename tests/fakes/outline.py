"""Replies that follow a request's schema, as a pure function of the request, for tests of outlines."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import cast

from fakes.openai_server import NOUNS, QUALITIES, VERBS, hashed

from corpus.engine.protocol import Request


def structured(request: Request, share: float = 1.0) -> str:
    """A reply under the request's schema. Lists are as long as they may be, or four long; a list of numbers holds
    about `share` of those that the prompt gives its lines."""
    assert request.schema is not None
    shown = "\n".join(message.content for message in request.messages)
    draw = random.Random(hashed(shown, request.seed))
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", shown, re.MULTILINE)]

    def value(schema: Mapping[str, object], of: int = 0, out_of: int = 1) -> object:
        if "enum" in schema:
            return draw.choice(cast("list[str]", schema["enum"]))
        match schema["type"]:
            case "object":
                fields = cast("dict[str, Mapping[str, object]]", schema["properties"])
                return {key: value(inner, of, out_of) for key, inner in fields.items()}
            case "array" if cast("dict[str, object]", schema["items"])["type"] == "integer":
                return [number for number in numbers if number % out_of == of and draw.random() < share]
            case "array":
                count = cast("int", schema.get("maxItems", 4))
                return [value(cast("Mapping[str, object]", schema["items"]), n, count) for n in range(count)]
            case _:
                return (
                    f"the {draw.choice(QUALITIES)} {draw.choice(NOUNS)} {draw.choice(VERBS)} {draw.choice(NOUNS)} "
                    f"{draw.randrange(1000)}"
                )

    return json.dumps(value(request.schema))
