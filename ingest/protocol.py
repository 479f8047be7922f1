"""HTTP itself: aiohttp's low-level server, with our own answer to what is not valid HTTP, and a drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from ingest.connections import Connections

BACKLOG = 4096
# libuv accepts one connection of a socket in each pass of the loop, and a pass of an overload takes milliseconds: the
# last of 2,000 new connections was read after more than four seconds. So the loop has the socket several times.
ACCEPTED_PER_PASS = 8
_HEAD_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nServer: headrace\r\nConnection: close\r\n"
    b'Content-Length: 86\r\n\r\n{"error":"request_timeout","detail":"The head of the request did not arrive in time."}'
)
QUEUED_S = 0.1
LINGER_S = 5.0  # a client that still sends what was refused gets to read why

log = structlog.get_logger("ingest")


class HttpConnection(web.RequestHandler):
    """aiohttp's own answers show the offending bytes, and log each as an error with its traceback."""

    __slots__ = ("_counted", "_has_head_part", "_rest")

    def __init__(self, *args: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counted = connections
        self._has_head_part = False
        self._rest: asyncio.Future[None] | None = None

    def rest(self, until_s: float) -> None:
        """Read nothing until ``until_s`` by the loop's clock. What is there already, pipelined, waits in `rested`."""
        self._rest = self._loop.create_future()
        self._pause_transport_reading()
        self._loop.call_at(until_s, self._end_rest)

    async def rested(self) -> None:
        """Return once the connection does not rest."""
        if self._rest is not None:
            await asyncio.shield(self._rest)

    def _end_rest(self) -> None:
        assert self._rest is not None  # noqa: S101 - `rest` has set it
        self._rest.set_result(None)
        self._rest = None
        # aiohttp pauses too, while it has read what it cannot take yet: that holds on.
        if not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()

    def _resume_transport_reading(self) -> None:
        if self._rest is None:
            super()._resume_transport_reading()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self._waiter is not None and not self._waiter.done()

    def end(self) -> None:
        """Close; who has sent a part of a head is told that it took too long."""
        if self._has_head_part and self.transport is not None:
            self.transport.write(_HEAD_TOO_SLOW)
        self.force_close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        super().connection_made(transport)
        self._counted.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it no more."""
        self._counted.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; without a request from them, they are a part of a head."""
        super().data_received(data)
        self._has_head_part = not self._messages and (self.idle or not self._request_count)
        self._counted.received(self, whole_head=not self._has_head_part)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # aiohttp's own always closes
        """Keep the connection for the answer to a complete request whose sender has closed its own side."""
        if not self._request_count or self.idle:
            return None  # nothing is asked
        request = self._current_request
        if request is not None and not request.content.is_eof():
            return None  # its end will never come
        self._close = True  # after this answer
        return True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what is no HTTP."""
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is already sent")
        log.debug("not_http", error=type(exc).__name__)
        response = web.Response(
            status=400,
            body=b'{"error":"malformed","detail":"The request is not valid HTTP."}',
            headers={"Content-Type": "application/json", "Server": "headrace"},
        )
        response.force_close()
        return response


class _Server(web.Server):
    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        connections: Connections,
        **options: Any,
    ) -> None:
        super().__init__(answer, **options)
        self._counted, self._options = connections, options

    def __call__(self) -> web.RequestHandler:
        return HttpConnection(self, loop=self._loop, connections=self._counted, **self._options)


@contextlib.asynccontextmanager
async def listening(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    sock: socket.socket,
    *,
    connections: Connections,
    keepalive_timeout_s: float,
    drain: Callable[[], Awaitable[None]],
) -> AsyncIterator[None]:
    """Accept connections on ``sock`` while the block runs; at its end accept no more, ``drain``, and close the rest.

    Those that wait in the socket's queue at the end are accepted before it closes: the kernel would reset them.
    """
    server = _Server(
        answer,
        connections,
        access_log=None,
        auto_decompress=False,  # the signature covers the body as sent
        keepalive_timeout=keepalive_timeout_s,
        lingering_time=LINGER_S,
    )
    runner = web.ServerRunner(server, shutdown_timeout=0.5)
    await runner.setup()
    sites = [web.SockSite(runner, sock.dup(), backlog=BACKLOG) for _ in range(ACCEPTED_PER_PASS)]
    for site in sites:
        await site.start()
    try:
        yield
    finally:
        for site in sites:
            with contextlib.suppress(RuntimeError):
                await site.stop()
        await _accept_queued(sock, server)  # which kept the queue while nobody accepts from it
        await asyncio.shield(drain())
        await runner.cleanup()


async def _accept_queued(queue: socket.socket, server: _Server) -> None:
    """Accept what waits in ``queue``, and close it: what came between the two, some microseconds, is reset."""
    accepted: list[socket.socket] = []
    queue.setblocking(False)
    with contextlib.suppress(OSError):  # BlockingIOError: nobody waits
        while True:
            accepted.append(queue.accept()[0])
    queue.close()
    loop = asyncio.get_running_loop()
    for connection in accepted:
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # gone meanwhile
            await loop.connect_accepted_socket(server, connection)
    if accepted:
        await asyncio.sleep(QUEUED_S)  # what they have sent is read, and counts as in flight
