"""A destination for tests: a real HTTP server that records every call and answers as told."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_GIVEN: deque[int] = deque(maxlen=500)  # the ports that were given last


def free_port() -> int:
    return free_ports(1)


def free_ports(count: int) -> int:
    """Return the first of ``count`` adjacent free ports, from below those that outgoing connections are given.

    Each process of a test run has ports of its own, and none is given again soon: what one is about to bind must not
    look free to another. (Alertmanager once answered in place of the Prometheus beside it.)
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    while True:
        first = 12_000 + 2_500 * worker + random.randrange(2_500 - count)
        ports = range(first, first + count)
        if any(port in ports for port in _GIVEN):
            continue
        try:
            for port in ports:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        _GIVEN.extend(ports)
        return first


@dataclass(frozen=True, slots=True)
class Received:
    """One request that the receiver got; ``at_s`` is Unix time at its arrival."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at_s: float

    @property
    def key(self) -> str:
        """The Idempotency-Key, ``""`` if there was none."""
        return self.headers.get("Idempotency-Key", "")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver does with a request: wait, then answer, or hang for ever, or reset the connection."""

    status: int = 200
    delay_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    hang: bool = False
    reset: bool = False


class Receiver:
    """A real HTTP server in a thread of its own. It records every request before it answers.

    ``answers`` maps a path prefix to an `Answer`, or to a function of the request and of how often its
    Idempotency-Key was seen before; the longest prefix counts, and 200 is the default. Change it at any time.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answered: list[tuple[str, float]] = []  # Idempotency-Key and Unix time of each answer, as it leaves
        self.answers: dict[str, Answer | Callable[[Received, int], Answer]] = {}
        self.port = free_port()
        self.in_flight = 0
        self.in_flight_max = 0
        self._seen: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def calls(self, path: str = "/") -> list[Received]:
        """Return the requests so far whose path begins with ``path``, oldest first."""
        return [one for one in list(self.received) if one.path.startswith(path)]

    def keys(self, path: str = "/") -> Counter[str]:
        """Return how often each Idempotency-Key came."""
        return Counter(one.key for one in self.calls(path))

    def start(self) -> Receiver:
        """Listen, on the same port as before after a `stop`."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="receiver", daemon=True)
        self._thread.start()
        assert ready.wait(10), "the receiver did not start"
        return self

    def stop(self) -> None:
        """Stop listening: the destination is down."""
        if self._loop is not None and self._stopped is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(10)
            self._loop = None

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{rest:.*}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, backlog=1024, reuse_address=True).start()
        ready.set()
        await self._stopped.wait()
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        call = Received(request.method, request.path_qs, request.headers.copy(), await request.read(), time.time())
        self.received.append(call)
        earlier = self._seen[call.key]
        self._seen[call.key] += 1
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            answer = self._answer(call, earlier)
            await asyncio.sleep(3600 if answer.hang else answer.delay_s)
            if answer.reset and request.transport is not None:
                request.transport.abort()
            self.answered.append((call.key, time.time()))
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        finally:
            self.in_flight -= 1

    def _answer(self, call: Received, earlier: int) -> Answer:
        matching = [prefix for prefix in list(self.answers) if call.path.startswith(prefix)]
        if not matching:
            return Answer()
        answer = self.answers[max(matching, key=len)]
        return answer(call, earlier) if callable(answer) else answer
