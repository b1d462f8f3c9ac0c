"""A deterministic server that speaks the OpenAI protocol, for tests. Standard library only: it starts in 0.1 s.

A reply is a pure function of (model, messages, seed, schema). So are the faults that are part of a reply: `truncated`,
`refusal`, `empty`, `half_character`. The faults that keep a reply from coming (`SERVER_FAULTS`) are drawn anew each
time the same request is seen, so that a retry may get through to the same reply.

Run it (`python tests/fakes/openai_server.py --port 0` prints the port), or use it from a test:

    from fakes.openai_server import FakeServer
    with FakeServer(faults={"busy": 0.1}) as server:
        settings = EngineSettings(kind="openai", model="fake", base_url=server.base_url)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

REPLY_FAULTS = ("truncated", "refusal", "empty", "half_character")
REFUSAL = "I'm sorry, but I can't help with that request."


def _words(text: str) -> list[str]:
    return text.split()


NOUNS = _words("""harbour ledger garden signal engine teacher river committee kettle lantern archive bridge workshop
village orchard compass schedule letter market window theatre clinic railway observatory kitchen forest museum printer
harvest contract island neighbour apprentice editor gardener nurse carpenter librarian pilot surveyor""")
VERBS = _words("""repairs follows questions describes protects measures delays improves watches borrows explains
compares gathers restores supports records balances shelters copies releases""")
QUALITIES = _words("""quiet careful honest early narrow patient bright ordinary generous uneven practical distant gentle
crowded forgotten curious steady hollow wooden northern""")
TURNS = _words("""however meanwhile afterwards still instead moreover later therefore sometimes besides""")
PLACES = """near the station,before sunrise,after the meeting,without much noise,in the old quarter,during the thaw,
beside the canal,at the second attempt,under a grey sky,for several weeks,between two deadlines,with some reluctance
""".replace("\n", "").split(",")


def hashed(*parts: object) -> int:
    """A number in [0, 2**64) from JSON parts."""
    return int.from_bytes(hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).digest())


def words_for(body: dict[str, object]) -> int:
    """Between 120 and 300 words, or fewer where `max_tokens` would cut them off."""
    wanted = 120 + hashed("length", identity(body)) % 181
    return max(8, min(wanted, int(int(str(body.get("max_tokens") or 1000)) / 2)))


def identity(body: dict[str, object]) -> list[object]:
    return [body.get("model"), body.get("messages"), body.get("seed"), body.get("response_format")]


def prose(body: dict[str, object]) -> str:
    draw = random.Random(hashed("prose", identity(body)))
    paragraphs, sentences, count, wanted = [], [], 0, words_for(body)
    while count < wanted:
        words = [
            "the", draw.choice(QUALITIES), draw.choice(NOUNS), draw.choice(VERBS), "another", draw.choice(QUALITIES),
            draw.choice(NOUNS), *draw.choice(PLACES).split(),
        ]  # fmt: skip
        if draw.random() < 0.4:
            words = [draw.choice(TURNS) + ",", *words]
        if draw.random() < 0.3:
            words += ["and", draw.choice(VERBS), "its", draw.choice(NOUNS)]
        words = words[: max(4, wanted - count)]
        count += len(words)
        sentences.append(" ".join(words).capitalize() + ".")
        if len(sentences) == 5:
            paragraphs.append(" ".join(sentences))
            sentences = []
    return "\n\n".join([*paragraphs, " ".join(sentences)]).strip()


def under_schema(schema: dict[str, object], draw: random.Random) -> object:
    """Some value that follows a JSON schema of the plain kinds."""
    if "enum" in schema:
        return draw.choice(list(schema["enum"]))
    match schema.get("type"):
        case "object":
            return {key: under_schema(inner, draw) for key, inner in dict(schema.get("properties", {})).items()}
        case "array":
            count = draw.randint(int(schema.get("minItems", 1)), int(schema.get("maxItems", 3)))
            return [under_schema(schema.get("items", {"type": "string"}), draw) for _ in range(count)]
        case "integer" | "number":
            return draw.randint(int(schema.get("minimum", 0)), int(schema.get("maximum", 10)))
        case "boolean":
            return draw.random() < 0.5
        case _:
            return f"the {draw.choice(QUALITIES)} {draw.choice(NOUNS)} {draw.choice(VERBS)} a {draw.choice(NOUNS)}"


def error(code: str, message: str) -> dict[str, object]:
    return {"error": {"message": message, "type": code, "code": code}}


SERVER_FAULTS: dict[str, tuple[int, object]] = {
    "busy": (429, error("rate_limit_exceeded", "too many requests")),
    "quota": (429, error("insufficient_quota", "You exceeded your current quota")),
    "error": (500, error("server_error", "something broke")),
    "hang": (0, None),
    "cut_off": (200, b'{"choices": [{"message": {"role": "assist'),
    "html": (200, "<!doctype html><html><body><h1>Sign in</h1></body></html>"),
    "error_body": (200, {"error": {"message": "upstream failed", "code": 502}}),
    "hang_up": (0, None),
    "billing_hint": (
        429,
        error(
            "rate_limit_exceeded", "Please try again in 7s. Upgrade today at https://console.groq.com/settings/billing"
        ),
    ),
    "quota_hint": (
        429,
        {"error": {"code": "429", "message": "Rate limit reached. To raise it: https://aka.ms/oai/quotaincrease"}},
    ),
    "billing": (400, error("billing_hard_limit_reached", "Billing hard limit has been reached")),
    "no_balance": (
        429,
        {"error": {"message": "Your account is suspended", "type": "exceeded_current_quota_error"}},
    ),
    "no_user_quota": (403, error("insufficient_user_quota", "user quota is not enough")),
    "no_credits": (402, {"error": {"code": 402, "message": "More tokens than you can afford"}}),
}
"""Status and body of each: text is HTML, bytes go out as JSON as they are; a body of None hangs up."""


class Server:
    """Answers requests; see the module's docstring."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.faults = {name: float(rate) for name, rate in (fault.split("=") for fault in options.fault)}
        unknown = set(self.faults) - {*REPLY_FAULTS, *SERVER_FAULTS}
        assert not unknown, f"unknown faults {unknown}; there are {[*REPLY_FAULTS, *SERVER_FAULTS]}"
        self.seen: Counter[int] = Counter()

    def fault(self, names: Iterable[str], *parts: object) -> str | None:
        """The fault that is drawn from `parts`, each with its own rate."""
        place = hashed("fault", *parts) / 2**64
        for name in names:
            place -= self.faults.get(name, 0.0)
            if place < 0:
                return name
        return None

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, object]:
        """Status and body; a body of None hangs up."""
        if self.options.key and headers.get("authorization") != f"Bearer {self.options.key}":
            return 401, error("invalid_api_key", "Incorrect API key provided: " + headers.get("authorization", ""))
        models = self.options.model or ["fake"]
        if method == "GET" and path.endswith("/models"):
            size = {"max_model_len": self.options.context_tokens} if self.options.context_tokens else {}
            return 200, {"object": "list", "data": [{"id": name, "object": "model", **size} for name in models]}
        if method != "POST" or not path.endswith("/chat/completions"):
            return 404, error("not_found", f"no such address: {path}")
        request = json.loads(body)
        if self.options.model and request["model"] not in models:
            return 404, error("model_not_found", f"The model '{request['model']}' does not exist")
        key = hashed(identity(request))
        self.seen[key] += 1
        fault = self.fault(SERVER_FAULTS, key, self.seen[key]) or self.fault(REPLY_FAULTS, key)
        self.log(request, fault)
        await asyncio.sleep(self.options.latency_seconds)
        if fault == "hang":
            await asyncio.sleep(3600)
        return SERVER_FAULTS[fault] if fault in SERVER_FAULTS else (200, completion(request, fault))

    def log(self, request: dict[str, object], fault: str | None) -> None:
        """One line a request, flushed, so that a test may read it at any time."""
        if self.options.requests_log:
            with Path(self.options.requests_log).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"request": request, "fault": fault}) + "\n")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while question := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = question.decode("latin-1").strip().split("\r\n")
                headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = first.split(" ")
                status, answer = await self.answer(method, path, headers, body)
                if answer is None:
                    break
                kind = "text/html" if isinstance(answer, str) else "application/json"
                text = answer if isinstance(answer, str | bytes) else json.dumps(answer)
                data = text.encode() if isinstance(text, str) else text
                wait = self.options.retry_after_seconds
                extra = f"\r\nretry-after: {wait}" if status == 429 and wait is not None else ""
                head = f"content-type: {kind}\r\ncontent-length: {len(data)}{extra}"
                writer.write(f"HTTP/1.1 {status} -\r\n{head}\r\n\r\n".encode() + data)
                await writer.drain()
        writer.close()


def completion(request: dict[str, object], fault: str | None) -> dict[str, object]:
    response_format = request.get("response_format")
    if isinstance(response_format, dict) and response_format.get("type") == "json_schema":
        schema = response_format["json_schema"]["schema"]
        text = json.dumps(under_schema(schema, random.Random(hashed("schema", identity(request)))))
    else:
        text = prose(request)
    finish = "stop"
    match fault:
        case "truncated":
            text, finish = text[: len(text) // 2], "length"
        case "refusal":
            text = REFUSAL
        case "empty":
            text = ""
        case "half_character":
            text += " \ud83d"
    prompt_tokens = sum(len(message["content"].split()) for message in request["messages"]) * 4 // 3
    completion_tokens = len(text.split()) * 4 // 3
    return {
        "id": f"fake-{hashed(identity(request)):016x}",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": prompt_tokens // 2},
        },
    }


class FakeServer:
    """The server as a process of its own, for the length of a `with`."""

    def __init__(
        self,
        *,
        faults: dict[str, float] | None = None,
        latency_seconds: float = 0.0,
        retry_after_seconds: float | None = None,
        key: str | None = None,
        models: tuple[str, ...] = (),
        context_tokens: int = 0,
    ) -> None:
        self._log = Path(tempfile.mkstemp(suffix=".jsonl")[1])
        self._command = [sys.executable, "-I", "-S", __file__, "--port", "0", "--requests-log", str(self._log)]
        self._command += ["--latency-seconds", str(latency_seconds)]
        if context_tokens:
            self._command += ["--context-tokens", str(context_tokens)]
        if retry_after_seconds is not None:
            self._command += ["--retry-after-seconds", str(retry_after_seconds)]
        self._command += [f"--fault={name}={rate}" for name, rate in (faults or {}).items()]
        self._command += [f"--model={name}" for name in models] + ([f"--key={key}"] if key else [])
        self.base_url = ""

    def __enter__(self) -> FakeServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.base_url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.unlink(missing_ok=True)

    def stop(self) -> None:
        """Kill it, as when a server dies."""
        self._process.kill()
        self._process.wait()

    def requests(self) -> list[dict[str, object]]:
        """What was asked so far: `request` and `fault` of each, in order."""
        return [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A deterministic OpenAI-compatible server for tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-seconds", type=float, default=0.0)
    parser.add_argument("--retry-after-seconds", type=float, help="the header of every 429; left out: none")
    parser.add_argument("--fault", action="append", default=[], help="NAME=RATE, such as busy=0.1; may be repeated")
    parser.add_argument("--model", action="append", default=[], help="a model that is served; none: any name")
    parser.add_argument("--context-tokens", type=int, default=0, help="listed with every model, as vLLM's server does")
    parser.add_argument("--key", help="the only key that is let in")
    parser.add_argument("--requests-log", help="a file for one JSON line per request")
    server = Server(parser.parse_args())
    listener = await asyncio.start_server(server.serve, "127.0.0.1", server.options.port, limit=1 << 20)
    sys.stdout.write(f"{listener.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listener.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
