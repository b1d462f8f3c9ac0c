"""An OpenAI-compatible server that obeys JSON schemas and writes texts of 500 words; standard library only.

Every reply is a function of the request. Under a schema it is an instance of it: lists are as long as `maxItems` lets
them be, else as `--items` says for their name; strings are words that no other request gets. Numbers that a list holds
are shared out over the items around it: the first of three gets 1, 4, 7, ..., the second 2, 5, 8, ..., so that what is
numbered in a prompt is taken up once each.

    python benchmarks/schema_server.py --latency-seconds 0.05 --items domains=2 --items subdomains=13

prints its port. `GET /counts` says how many replies of each kind went out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import cast

NUM_WORDS = 500
"""Words of a text."""
_SENTENCE_WORDS = 12
_PARAGRAPH_SENTENCES = 6
_STRING_WORDS = 6
_VOCABULARY = """
acorn almanac amber anchor apron arch autumn badge bakery balcony barley basin basket beacon bellows bench birch blanket
boulder bramble brass bridge bronze brook broom bucket burrow butter button cabin cable camera candle canoe canvas
carpet castle cedar cellar chalk channel chapel charcoal chart cherry chimney chisel cinder circuit cliff cloak clover
coast cobble comet copper coral cottage cradle crane crystal curtain dairy dawn delta diary ditch domino drawer drift
drum dusk eagle easel echo elbow elm ember engine envelope estuary fable falcon feather fence fern ferry fiddle filter
flannel flask flint flour flute fog fountain frost furnace gable galley garland gate glacier glove goblet granite grove
gully hammer hammock harvest hazel hedge helmet heron hinge hollow honey horizon hound hull inkwell inlet island ivory
ivy jacket jar jetty jigsaw journal juniper kennel kettle kiln kite ladder lagoon lantern lattice laurel ledge lemon
lever lichen lilac linen locket loom lumber magnet mallet mantle maple marble marsh meadow medal mill mirror mitten moat
mortar moss mural needle nettle nook oak oar olive orchard otter oven paddle pantry parcel parsley pasture pebble pencil
pepper petal pewter pigeon pillar pine pivot plank plaster plough plum pocket pollen pond poplar porch prism pulley
quarry quill quilt rafter raven reed ribbon ridge rivet robin rope rudder saddle saffron sail sand sapling scarf shed
shell shore shovel silver sketch slate sleigh smoke socket sparrow spindle spoon spruce stable statue steeple stove
straw stream summit swan tablet tapestry teapot thistle thread thyme timber tin torch tower trellis trowel tulip tunnel
turnip valley vault velvet vessel viaduct village vine violin wagon walnut warehouse water wheat whistle willow window
winter wool wreath yarn yew zinc
"""
_WORDS = _VOCABULARY.split()

Schema = Mapping[str, object]


class Instance:
    """Makes one instance of a schema."""

    def __init__(self, draw: random.Random, items: Mapping[str, int], largest: int) -> None:
        """`items` are lengths of lists by name, where the schema has none; `largest` is the last number given out."""
        self._draw, self._items, self._largest = draw, items, largest

    def of(self, schema: Schema, name: str = "", place: int = 0, places: int = 1, root: Schema | None = None) -> object:
        """An instance; the value is part of item `place` of `places`, and is called `name`."""
        root = schema if root is None else root
        schema = _resolved(schema, root)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._draw.choice(cast("list[object]", schema["enum"]))
        match schema.get("type"):
            case "object":
                inner = cast("Mapping[str, Schema]", schema.get("properties", {}))
                return {key: self.of(each, key, place, places, root) for key, each in inner.items()}
            case "array":
                return self._list(schema, name, place, places, root)
            case "integer" | "number":
                least = int(cast("float", schema.get("minimum", 1)))
                return self._draw.randint(least, int(cast("float", schema.get("maximum", max(least, self._largest)))))
            case "boolean":
                return self._draw.random() < 0.5
            case "null":
                return None
        return self._string(schema)

    def _list(self, schema: Schema, name: str, place: int, places: int, root: Schema) -> list[object]:
        inner = cast("Schema", schema.get("items", {"type": "string"}))
        least, most = int(cast("int", schema.get("minItems", 0))), cast("int | None", schema.get("maxItems"))
        if inner.get("type") == "integer" and not inner.keys() & {"minimum", "maximum", "enum", "const"}:
            shared = list(range(place + 1, self._largest + 1, places))[:most]
            return [*shared, *range(1, 1 + max(0, least - len(shared)))]
        count = most if most is not None else max(least, self._items.get(name, 3))
        choices = cast("list[object]", inner.get("enum", []))
        if 0 < count <= len(choices):
            return self._draw.sample(choices, count)
        return [self.of(inner, name, index, count, root) for index in range(count)]

    def _string(self, schema: Schema) -> str:
        least, most = int(cast("int", schema.get("minLength", 0))), cast("int | None", schema.get("maxLength"))
        words = self._draw.choices(_WORDS, k=_STRING_WORDS)
        while len(" ".join(words)) < least:
            words.append(self._draw.choice(_WORDS))
        return " ".join(words)[:most]


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema that a reference or the first of several choices stands for."""
    if "$ref" in schema:
        return _resolved(cast("Mapping[str, Schema]", root["$defs"])[str(schema["$ref"]).rpartition("/")[2]], root)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _resolved(cast("list[Schema]", schema[choice])[0], root)
    return schema


@cache
def _sentences() -> list[str]:
    draw = random.Random(0)
    return [" ".join(draw.choices(_WORDS, k=_SENTENCE_WORDS)).capitalize() + "." for _ in range(4000)]


def text_of(draw: random.Random) -> str:
    """A text of about `NUM_WORDS` words in paragraphs."""
    chosen = draw.choices(_sentences(), k=NUM_WORDS // _SENTENCE_WORDS)
    starts = range(0, len(chosen), _PARAGRAPH_SENTENCES)
    return "\n\n".join(" ".join(chosen[start : start + _PARAGRAPH_SENTENCES]) for start in starts)


def reply_to(request: Mapping[str, object], items: Mapping[str, int], largest: int) -> tuple[str, str]:
    """The kind of a reply, `structured` or `texts`, and its text: a function of the request alone."""
    told = json.dumps([request.get(part) for part in ("messages", "seed", "response_format")])
    draw = random.Random(hashlib.blake2b(told.encode(), digest_size=16).digest())
    wanted = cast("Mapping[str, Mapping[str, Schema]]", request.get("response_format") or {})
    if "json_schema" in wanted:
        return "structured", json.dumps(Instance(draw, items, largest).of(wanted["json_schema"]["schema"]))
    return "texts", text_of(draw)


def completion(request: Mapping[str, object], text: str) -> dict[str, object]:
    """The body of the answer."""
    num_tokens = len(text.split()) * 4 // 3
    return {
        "id": "reply", "object": "chat.completion", "created": 0, "model": request["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": num_tokens, "total_tokens": num_tokens + 1},
    }  # fmt: skip


class Connection(asyncio.Protocol):
    """One client's connection, kept alive: one request after the other."""

    def __init__(self, arguments: argparse.Namespace, counts: Counter[str]) -> None:
        self._arguments, self._counts = arguments, counts
        self._items = {name: int(count) for name, _, count in (each.partition("=") for each in arguments.items)}
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._data[:end].decode("latin-1").lower().split("\r\n")
            headers = dict(line.split(":", 1) for line in lines)
            stop = end + 4 + int(headers.get("content-length", 0))
            if len(self._data) < stop:
                return
            body = bytes(self._data[end + 4 : stop])
            del self._data[:stop]
            self._answer(first.split(" ")[1], body)

    def _answer(self, path: str, body: bytes) -> None:
        if path.endswith("/counts"):
            self._send("", self._counts)
        elif path.endswith("/models"):
            self._send("", {"object": "list", "data": [{"id": "schema", "object": "model"}]})
        else:
            request = json.loads(body)
            kind, text = reply_to(request, self._items, self._arguments.largest)
            answer = completion(request, text)
            asyncio.get_running_loop().call_later(self._arguments.latency_seconds, self._send, kind, answer)

    def _send(self, kind: str, answer: object) -> None:
        if self._transport.is_closing():
            return
        if kind:
            self._counts[kind] += 1
        data = json.dumps(answer).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        self._transport.write(head.encode() + data)


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until killed."""
    counts: Counter[str] = Counter(texts=0, structured=0)
    listener = await asyncio.get_running_loop().create_server(
        lambda: Connection(arguments, counts), "127.0.0.1", arguments.port, backlog=1024
    )
    sys.stdout.write(f"{listener.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listener.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-seconds", type=float, default=0.05, help="of every reply, whatever the load")
    parser.add_argument("--items", action="append", default=[], metavar="NAME=COUNT", help="length of lists; else 3")
    parser.add_argument("--largest", type=int, default=104, help="the last number that lists of numbers share out")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args()))
