"""The admin port: ``/metrics``, ``/healthz`` and ``/readyz``, for operators and not for the public."""

from __future__ import annotations

import os
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

Reason = Callable[[], str | None]


class AdminPortTaken(Exception):
    """The admin port cannot be bound; the text names it."""


class AdminServer:
    """Serves what its callables say, on ``port`` of ``host``; port 0 takes a free one.

    ``metrics`` returns the Prometheus text. ``ready`` and ``alive`` return ``None`` or, in a few words, why not: then
    the answer is 503 with these words. They are called on each request and must be quick.
    """

    def __init__(
        self, host: str, port: int, *, metrics: Callable[[], bytes], ready: Reason, alive: Reason = lambda: None
    ) -> None:
        self.host, self.port = host, port
        self._metrics, self._ready, self._alive = metrics, ready, alive
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            AdminPortTaken: the address is in use, or cannot be bound.
        """
        app = web.Application()
        app.router.add_get("/metrics", self._answer_metrics)
        app.router.add_get("/healthz", self._answer_alive)
        app.router.add_get("/readyz", self._answer_ready)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            # Linux alone frees the port at once after a crash without letting two processes share it.
            await web.TCPSite(self._runner, self.host, self.port, reuse_address=True).start()
        except OSError as error:
            await self.stop()
            raise AdminPortTaken(
                f"admin port {self.port} on {self.host}: {os.strerror(error.errno) if error.errno else error}"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _answer_alive(self, request: web.Request) -> web.Response:
        return _verdict(self._alive())

    async def _answer_ready(self, request: web.Request) -> web.Response:
        return _verdict(self._ready())


def _verdict(reason: str | None) -> web.Response:
    if reason is None:
        return web.Response(text="ok\n")
    return web.Response(status=503, text=f"{reason}\n")
