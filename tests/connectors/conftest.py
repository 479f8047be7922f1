"""A real HTTP service on a port of the system's choice, that answers as told and keeps what it was asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from connectors.destination import Destination
from connectors.metrics import ConnectorMetrics
from connectors.registry import load_connector


@dataclass
class Received:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None


@dataclass
class Service:
    base_url: str = ""
    received: list[Received] = field(default_factory=list)
    flood_status: int = 200
    flooded_bytes: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    answers: list[Callable[[web.Request], object]] = field(default_factory=list)
    aside: dict[str, object] = field(default_factory=dict)  # JSON by path, such as a token; not among `received`
    aside_received: list[Received] = field(default_factory=list)

    def answer(self, status=200, *, headers=None, body=b"{}"):
        """Answer the next request like this; the last answer stays."""

        async def give(request):
            return web.Response(status=status, headers=headers, body=body)

        self.answers.append(give)

    async def hang(self, request):
        await self.over.wait()
        return web.Response()

    async def reset(self, request):
        request.transport.abort()
        return web.Response()

    async def drip(self, request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(600):
            await response.write(b".")
            await asyncio.sleep(0.1)
        return response

    async def flood(self, request):
        """Answer with 100 MiB, as far as anybody reads them."""
        response = web.StreamResponse(status=self.flood_status)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(1600):
                await response.write(b"x" * 65536)
                self.flooded_bytes += 65536
        return response

    async def break_off(self, request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        request.transport.abort()
        return response

    async def serve(self, request):
        body = await request.read()
        path = request.raw_path
        if path in self.aside:
            self.aside_received.append(Received(request.method, path, list(request.headers.items()), body))
            given = self.aside[path]
            return await given(request) if callable(given) else web.json_response(given)
        self.received.append(Received(request.method, path, list(request.headers.items()), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else (self.answers or [None])[0]
        return await answer(request) if answer else web.Response(body=b"{}")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    server = web.Server(service.serve, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.base_url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    yield service
    service.over.set()
    await runner.cleanup()


@pytest.fixture
async def open_destination():
    """Return a function that opens a destination; all are closed afterwards."""
    opened = []

    async def open_one(connector, settings, *, secrets=None, **arguments):
        loaded = load_connector(connector) if isinstance(connector, str) else connector
        read = loaded.settings_model.model_validate({"connector": loaded.name, **settings})
        metrics = ConnectorMetrics(CollectorRegistry())
        destination = Destination("shop", read, loaded, secrets=secrets or {}, metrics=metrics, **arguments)
        await destination.start()
        opened.append(destination)
        return destination

    yield open_one
    for destination in opened:
        await destination.close()
