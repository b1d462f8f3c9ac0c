"""An OpenAI-compatible server with slow replies and faults, all drawn from a seed; standard library only.

A request is known by its messages. The k-th request that was not seen before gets the k-th draws, whatever it asks
for, and one draw for each time it is asked: so every client meets the same latencies and faults in the same order, and
`drawn` gives them to a simulation too. Beyond `slots` open requests, others wait for a slot, as at a real server.

    python benchmarks/latency_server.py --slots 256 --mean-seconds 2

prints its port. `GET /log` gives every request so far, `GET /finished` how many jobs have their reply.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import random
import sys
import time
from collections import deque
from dataclasses import dataclass
from functools import cache
from typing import cast

NUM_WORDS = 500
"""Words of every reply."""
_SENTENCE_WORDS = 6
_COMMON = """a about after again all along also always an and answer any as ask at away back be because been
before began best better between big both bring but by call came can careful change city clear close come could day did
different do does done down draw each early end enough even every example eye face far few find first follow for form
found four from garden gave get give go good great group had hand hard has have he head hear help her here high him his
home house how if in into is it just keep kind know land large last later learn left less letter life light like line
list little live long look made make man many may mean measure men might more most move much must name near need never
new next night no not now number of off often old on once one only open or other our out over own page paper part
people place plain point question quite read real right river road room run said same saw say school second see seem
sentence set she should show side since small so some soon sound spell stand start state still stop story study such
sure table take talk tell than that the their them then there these they thing think this those thought three through
time to together told too took town tree try turn two under until up us use very walk want warm was watch water way we
well went were what when where which while white who why will with without word work world would write year you young
"""
_WORDS = sorted(_COMMON.split())
_SPREAD = 0.6
"""Standard deviation of the logarithm of a latency: one in a hundred is 3.4 times the mean or more."""
_BUSY_SECONDS = 0.01
"""A server that is busy says so at once."""
_STATUS = {"busy": 429, "error": 500}


@dataclass(frozen=True)
class Load:
    """What the server draws from."""

    seed: int = 17
    slots: int = 256
    """Requests that are worked on at the same time."""
    mean_seconds: float = 2.0
    """Mean latency of a reply (seconds)."""
    busy: float = 0.005
    """Share of attempts answered with 429, at once (fraction)."""
    error: float = 0.005
    """Share of attempts answered with 500, after the drawn latency (fraction)."""
    hang: float = 0.005
    """Share of attempts that are never answered (fraction)."""
    bad_json: float = 0.01
    """Share of attempts answered with 200 and half of the JSON (fraction)."""

    def options(self) -> list[str]:
        """These as arguments of the server."""
        return [f"--{name.replace('_', '-')}={value}" for name, value in vars(self).items()]


def drawn(load: Load, job: int, attempt: int) -> tuple[float, str]:
    """Latency (seconds; infinite for a hang) and fault ("" for none) of an attempt, both counted from 0."""
    draw = random.Random(f"{load.seed}/{job}/{attempt}")
    latency = draw.lognormvariate(math.log(load.mean_seconds) - _SPREAD**2 / 2, _SPREAD)
    place = draw.random()
    for fault in ("busy", "error", "hang", "bad_json"):
        place -= getattr(load, fault)
        if place < 0:
            return {"busy": _BUSY_SECONDS, "hang": math.inf}.get(fault, latency), fault
    return latency, ""


@cache
def _sentences() -> list[str]:
    draw = random.Random(0)
    return [" ".join(draw.choices(_WORDS, k=_SENTENCE_WORDS)).capitalize() for _ in range(2000)]


def reply_text(job: int) -> str:
    """The text for a job: it names it, and has `NUM_WORDS` words."""
    sentences = random.Random(job).choices(_sentences(), k=(NUM_WORDS - 2) // _SENTENCE_WORDS)
    return f"Record {job:05d}. {'. '.join(sentences)}."


@dataclass
class Asked:
    """One request, as the log shows it; times are of `time.time` (seconds)."""

    job: int
    attempt: int
    fault: str
    began: float
    answered: float | None = None
    """When the answer was handed to the network; None while it is open, and for what the client gave up."""
    closed: float | None = None
    """When the client gave it up."""


class Server:
    """The jobs and slots of all connections."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.jobs: dict[bytes, int] = {}
        self.attempts: dict[int, int] = {}
        self.log: list[Asked] = []
        self.finished: set[int] = set()
        self.free_slots = load.slots
        self.waiting: deque[Connection] = deque()

    def job(self, messages: object) -> int:
        """The number of a request's job: new for messages that were not seen before."""
        key = hashlib.blake2b(json.dumps(messages).encode(), digest_size=16).digest()
        return self.jobs.setdefault(key, len(self.jobs))

    def take(self, connection: Connection) -> None:
        """Work on a connection's request, now or when a slot is free."""
        if self.free_slots:
            self.free_slots -= 1
            connection.work()
        else:
            self.waiting.append(connection)

    def give_back(self) -> None:
        """A slot is free: the request that waited longest gets it."""
        self.free_slots += 1
        while self.waiting and self.free_slots:
            connection = self.waiting.popleft()
            if connection.asked is not None and connection.asked.closed is None:
                self.free_slots -= 1
                connection.work()


class Connection(asyncio.Protocol):
    """One client's connection, kept alive: one request after the other."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.data = b""
        self.asked: Asked | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.works = False
        self.keeps_alive = True
        self.latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Act when a whole request is there."""
        self.data += data
        head, found, rest = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(":", 1) for line in lines[1:])
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.data = rest[length:]
        self.keeps_alive = headers.get("connection", "").strip() != "close"
        self.ask(lines[0].split()[1], rest[:length])

    def ask(self, path: str, body: bytes) -> None:
        """Answer what can be answered at once, and draw for the rest."""
        if path.endswith("/models"):
            self.send(200, {"object": "list", "data": [{"id": "slow", "object": "model"}]})
        elif path == "/finished":
            self.send(200, len(self.server.finished))
        elif path == "/log":
            self.send(200, [vars(asked) for asked in self.server.log])
        elif not (messages := json.loads(body)["messages"]):
            self.send(400, {"error": {"message": "there are no messages", "type": "invalid_request_error"}})
        else:
            job = self.server.job(messages)
            attempt = self.server.attempts.get(job, 0)
            self.server.attempts[job] = attempt + 1
            self.latency, fault = drawn(self.server.load, job, attempt)
            self.asked = Asked(job, attempt, fault, time.time())
            self.server.log.append(self.asked)
            self.server.take(self)

    def work(self) -> None:
        """A slot was found: the latency begins."""
        self.works = True
        if not math.isinf(self.latency):
            self.timer = asyncio.get_running_loop().call_later(self.latency, self.answer)

    def answer(self) -> None:
        """The latency is over."""
        asked = self.asked
        assert asked is not None
        self.free()
        if status := _STATUS.get(asked.fault):
            self.send(status, {"error": {"message": f"{asked.fault}: try again", "type": "server_error"}})
        else:
            body = json.dumps(completion(asked.job)).encode()
            self.send(200, body[: len(body) // 2] if asked.fault else body)
        asked.answered = time.time()
        if not asked.fault:
            self.server.finished.add(asked.job)

    def free(self) -> None:
        """Nothing is asked any more."""
        self.asked, self.timer = None, None
        if self.works:
            self.works = False
            self.server.give_back()

    def send(self, status: int, body: object) -> None:
        """Write an answer; bytes go out as they are, all else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        keeps = "keep-alive" if self.keeps_alive else "close"
        head = f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n"
        self.transport.write(f"{head}connection: {keeps}\r\n\r\n".encode() + data)
        if not self.keeps_alive:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The client went away, perhaps before its answer."""
        if self.asked is not None:
            self.asked.closed = time.time()
            if self.timer is not None:
                self.timer.cancel()
            self.free()


def completion(job: int) -> dict[str, object]:
    """The body of a good reply."""
    num_tokens = NUM_WORDS * 4 // 3
    return {
        "id": f"slow-{job}",
        "object": "chat.completion",
        "created": 0,
        "model": "slow",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply_text(job)}}
        ],
        "usage": {"prompt_tokens": num_tokens, "completion_tokens": num_tokens, "total_tokens": 2 * num_tokens},
    }


async def serve(load: Load, port: int) -> None:
    """Serve until killed."""
    server = Server(load)
    listener = await asyncio.get_running_loop().create_server(
        lambda: Connection(server), "127.0.0.1", port, backlog=1024
    )
    sys.stdout.write(f"{listener.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listener.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    for name, default in vars(Load()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    given = vars(parser.parse_args())
    given_port = given.pop("port")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Load(**given), given_port))
