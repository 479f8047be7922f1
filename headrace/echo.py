"""A receiver for trying out: it takes any call, logs it, and answers 200. `headrace run --echo-port` starts it."""

from __future__ import annotations

import structlog
from aiohttp import web

BODY_BYTES_MAX = 64 * 1024 * 1024

log = structlog.get_logger("echo")


class EchoPortTaken(Exception):
    """The port cannot be bound; the text names it."""


class Echo:
    """An HTTP server on loopback that stands for the service that a destination calls. Bodies are not kept."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            EchoPortTaken: another program listens there.
        """
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        except OSError as error:
            await self.stop()
            raise EchoPortTaken(f"port {self.port} is taken: choose another with --echo-port") from error

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        log.info(
            "echo_received",
            method=request.method,
            path=request.path,
            body_bytes=len(body),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        return web.Response(text="ok\n")
