"""HTTP itself: aiohttp's low-level server, with our own answer to what is not valid HTTP, and a drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

BACKLOG = 1024
LINGER_S = 5.0  # a client that still sends what was refused gets to read why

log = structlog.get_logger("ingest")


class _Protocol(web.RequestHandler):
    """aiohttp's own answers show the offending bytes, and log each as an error with its traceback."""

    __slots__ = ()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # aiohttp's own always closes
        """Keep the connection for the answer to a complete request whose sender has closed its own side."""
        if not self._request_count or (self._waiter is not None and not self._waiter.done()):
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
    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **options: Any) -> None:
        super().__init__(answer, **options)
        self._options = options

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._options)


@contextlib.asynccontextmanager
async def listening(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    sock: socket.socket,
    *,
    keepalive_timeout_s: float,
    drain: Callable[[], Awaitable[None]],
) -> AsyncIterator[None]:
    """Accept connections on ``sock`` while the block runs; at its end accept no more, ``drain``, and close the rest."""
    server = _Server(
        answer,
        access_log=None,
        auto_decompress=False,  # the signature covers the body as sent
        keepalive_timeout=keepalive_timeout_s,
        lingering_time=LINGER_S,
    )
    runner = web.ServerRunner(server, shutdown_timeout=0.5)
    await runner.setup()
    site = web.SockSite(runner, sock, backlog=BACKLOG)
    await site.start()
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError):
            await site.stop()
        await asyncio.shield(drain())
        await runner.cleanup()
