"""The public port over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from ingest.accept import Unavailable
from ingest.metrics import IngestMetrics
from ingest.server import IngestServer, Limits
from streams.event import Event, Receipt
from tests.harness import eventually, github_headers
from tests.ingest.conftest import make_source

SECRET = "a secret"


@dataclass
class Port:
    """A server on a port of its own; ``publish`` is what its log does."""

    server: IngestServer
    registry: CollectorRegistry
    number: int
    events: list[Event]
    stop: Callable[[], None] = field(default=lambda: None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.number}"

    def count(self, source: str, outcome: str) -> float:
        labels = {"source": source, "outcome": outcome}
        return self.registry.get_sample_value("headrace_ingest_requests_total", labels) or 0.0

    async def raw(
        self, request: bytes, *, rest: bytes = b"", pause_s: float = 0.0
    ) -> tuple[int, dict[str, str], bytes]:
        """Send exactly these bytes and return status, headers and body of the first answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        try:
            writer.write(request)
            if rest:
                await asyncio.sleep(pause_s)
                writer.write(rest)
            return await read_answer(reader)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    status = int(head.split(b" ", 2)[1])
    pairs = (line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
    headers = {name.lower(): value for name, value in pairs}
    return status, headers, await reader.readexactly(int(headers.get("content-length", 0)))


def post(body: bytes, *lines: str, target: str = "/webhook/github", signed: bool = True, length: bool = True) -> bytes:
    given = github_headers(body, SECRET, "d-1") if signed else {"Content-Type": "application/json"}
    head = [f"POST {target} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in given.items()), *lines]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


@contextlib.asynccontextmanager
async def serving(
    limits: Limits | None = None, publish: Callable[[Event], object] | None = None
) -> AsyncIterator[Port]:
    events: list[Event] = []

    async def keep(event: Event) -> Receipt:
        if publish is not None:
            result = publish(event)
            if asyncio.iscoroutine(result):
                await result
        events.append(event)
        return Receipt(event.source, 0, len(events) - 1)

    registry = CollectorRegistry()
    sources = {"github": make_source("github"), "small": make_source("github", "small", body_bytes_max=100)}
    server = IngestServer(sources, keep, IngestMetrics(registry), limits)
    sock = socket.create_server(("127.0.0.1", 0))
    port = Port(server, registry, sock.getsockname()[1], events)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(server.listen(sock))
        yield port


def assert_error(answer: tuple[int, dict[str, str], bytes], status: int, code: str) -> None:
    got, headers, body = answer
    parsed = json.loads(body)
    assert (got, parsed["error"]) == (status, code)
    assert set(parsed) == {"error", "detail"}
    assert headers["content-type"] == "application/json"


async def test_a_signed_event_is_accepted() -> None:
    async with serving() as port, aiohttp.ClientSession() as session:
        body = b'{"a": 1}'
        headers = github_headers(body, SECRET, "d-1")
        async with session.post(f"{port.url}/webhook/github?x=1", data=body, headers=headers) as response:
            assert response.status == 200
            assert await response.json() == {"status": "queued", "id": "d-1", "receipt": "github/0/0"}
        assert port.events[0].body == body
        assert port.count("github", "accepted") == 1
        assert port.registry.get_sample_value(
            "headrace_ingest_request_seconds_bucket", {"source": "github", "le": "0.2"}
        )


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
async def test_only_post_is_allowed(method: str) -> None:
    async with serving() as port:
        status, headers, _ = await port.raw(
            f"{method} /webhook/github HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        assert status == (400 if method == "BREW" else 405)
        assert method == "BREW" or headers["allow"] == "POST"


@pytest.mark.parametrize(
    "target",
    [
        "/", "/webhook", "/webhook/", "/webhook/nobody", "/webhook/github/", "/webhook/github/x", "/Webhook/github",
        "/webhook/..%2fgithub", "/webhook/%2e%2e/etc", "/webhook/github%00", "/webhook/github%0d%0aX:%20y",
        "/webhook/GITHUB", "//webhook/github", "/webhook/../webhook/github", "/webhook/" + "a" * 4000, "/webhook/%ff",
        "/metrics",
    ],
)  # fmt: skip
async def test_any_other_address_is_an_unknown_source(target: str) -> None:
    async with serving() as port:
        assert_error(await port.raw(post(b"{}", target=target)), 404, "unknown_source")
        assert port.count("", "unknown_source") == 1


async def test_an_absolute_target_is_understood() -> None:
    async with serving() as port:
        assert (await port.raw(post(b"{}", target="http://example.com/webhook/github")))[0] == 200


async def test_a_body_without_a_length_gets_411() -> None:
    async with serving() as port:
        assert_error(await port.raw(post(b"", length=False)), 411, "length_required")


async def test_a_chunked_body_is_read() -> None:
    async with serving() as port:
        request = post(b'{"a": 1}', "Transfer-Encoding: chunked", length=False).removesuffix(b'{"a": 1}')
        assert (await port.raw(request, rest=b'4\r\n{"a"\r\n4\r\n: 1}\r\n0\r\n\r\n', pause_s=0.05))[0] == 200
        assert port.events[0].body == b'{"a": 1}'


async def test_an_empty_body_is_unsigned_or_malformed() -> None:
    async with serving() as port:
        assert_error(await port.raw(post(b"", signed=False)), 401, "invalid_signature")
        assert_error(await port.raw(post(b"")), 400, "malformed")


async def test_a_large_body_gets_413_before_it_is_read() -> None:
    async with serving() as port, aiohttp.ClientSession() as session:
        body = b"x" * (5 * 1024 * 1024)
        async with session.post(f"{port.url}/webhook/github", data=body) as response:
            assert response.status == 413
            assert (await response.json())["error"] == "too_large"
        head = post(b"", "Content-Length: 5000000000", length=False)
        assert_error(await port.raw(head), 413, "too_large")  # nothing of the body was sent


async def test_a_large_chunked_body_gets_413() -> None:
    async with serving() as port, aiohttp.ClientSession() as session:

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(80):
                yield b"x" * 65536

        async with session.post(f"{port.url}/webhook/github", data=chunks()) as response:
            assert response.status == 413
        assert port.server._bodies.bytes_in_flight == 0


async def test_the_limit_of_a_body_is_exact() -> None:
    async with serving() as port:
        for size, status in ((100, 200), (101, 413)):
            body = b'"' + b"a" * (size - 2) + b'"'
            assert (await port.raw(post(body, target="/webhook/small")))[0] == status
            chunk = b"%x\r\n" % size + body + b"\r\n0\r\n\r\n"
            head = post(body, "Transfer-Encoding: chunked", target="/webhook/small", length=False).removesuffix(body)
            assert (await port.raw(head + chunk))[0] == status


async def test_a_slow_body_gets_408() -> None:
    async with serving(Limits(body_timeout_s=0.3)) as port:
        started_s = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(post(b"{}")[:-1])
        answer = await read_answer(reader)
        assert_error(answer, 408, "request_timeout")
        assert answer[1]["connection"] == "close"
        assert time.monotonic() - started_s < 2
        writer.close()


async def test_a_trickled_body_gets_408_too() -> None:
    async with serving(Limits(body_timeout_s=0.4)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(post(b"x" * 100)[:-100])
        answer = asyncio.create_task(read_answer(reader))
        while not answer.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        assert_error(await answer, 408, "request_timeout")
        writer.close()


async def test_what_is_no_http_gets_400_without_an_echo() -> None:
    async with serving(Limits(body_timeout_s=0.3)) as port:
        for garbage in (b"\x16\x03\x01\x02\r\n\r\n", b"POST /webhook/github HTTP/1.1\r\nCanary: a\x00b\r\n\r\n"):
            status, _, body = await port.raw(garbage)
            assert status == 400
            assert b"Canary" not in body
        broken = post(b"", "Transfer-Encoding: chunked", length=False)
        # aiohttp does not tell a body that is being read that its next chunk is none: it seems not to arrive.
        assert (await port.raw(broken, rest=b"zz\r\nnot a chunk\r\n", pause_s=0.05))[0] in (400, 408)
        both = post(b"{}", "Transfer-Encoding: chunked")
        assert (await port.raw(both))[0] == 400


async def test_a_signature_that_is_not_ascii_gets_401() -> None:
    async with serving() as port:
        for value in ("sha256=\xff\xfe", "\xe9" * 71, "sha256=" + "\xb2" * 64):
            request = post(b"{}", f"X-Hub-Signature-256: {value}", signed=False)
            assert_error(await port.raw(request), 401, "invalid_signature")


async def test_a_repeated_signature_gets_401() -> None:
    async with serving() as port:
        signature = github_headers(b"{}", SECRET, "d")["X-Hub-Signature-256"]
        assert_error(await port.raw(post(b"{}", f"X-Hub-Signature-256: {signature}")), 401, "invalid_signature")


async def test_deep_json_gets_400() -> None:
    async with serving() as port:
        assert_error(await port.raw(post(b"[" * 100_000 + b"]" * 100_000)), 400, "malformed")


async def test_expect_continue_is_answered_unless_the_body_is_unwelcome() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(post(b"{}", "Expect: 100-continue").removesuffix(b"{}"))
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 100")
        writer.write(b"{}")
        assert (await read_answer(reader))[0] == 200
        writer.close()
        head = post(b"", "Expect: 100-continue", "Content-Length: 99999999", length=False)
        assert (await port.raw(head))[0] == 413


async def test_beyond_the_limit_in_flight_the_answer_is_503() -> None:
    gate = asyncio.Event()
    async with serving(Limits(in_flight_max=2), lambda _: gate.wait()) as port:
        waiting = [asyncio.create_task(port.raw(post(b"{}"))) for _ in range(2)]
        await eventually(lambda: port.server.in_flight == 2)
        port.server.sample()
        answer = await port.raw(post(b"{}"))
        assert_error(answer, 503, "unavailable")
        assert re.fullmatch("[0-9]+", answer[1]["retry-after"])
        assert port.registry.get_sample_value("headrace_ingest_in_flight") == 2
        assert port.registry.get_sample_value("headrace_ingest_in_flight_max") == 2
        ratio = port.registry.get_sample_value("headrace_capacity_used_ratio", {"resource": "ingest_in_flight"})
        assert ratio == 1
        gate.set()
        assert [status for status, _, _ in await asyncio.gather(*waiting)] == [200, 200]


async def test_a_refused_connection_rests_while_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()
    async with serving(Limits(in_flight_max=1), lambda _: gate.wait()) as port:
        waiting = asyncio.create_task(port.raw(post(b"{}")))
        await eventually(lambda: port.server.in_flight == 1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(post(b"{}"))
        assert_error(await read_answer(reader), 503, "unavailable")  # its rest is short: the next one is answered
        writer.write(post(b"{}"))
        assert_error(await read_answer(reader), 503, "unavailable")
        monkeypatch.setattr("ingest.refused.REST_MIN_S", 60.0)
        monkeypatch.setattr("ingest.refused.REST_MAX_S", 60.0)
        writer.write(post(b"{}"))
        assert_error(await read_answer(reader), 503, "unavailable")
        gate.set()
        assert (await waiting)[0] == 200
        writer.write(post(b"{}"))
        for _ in range(5):
            assert (await port.raw(post(b"{}")))[0] == 200
        accepted = {"source": "github", "outcome": "accepted"}
        assert (
            port.registry.get_sample_value("headrace_ingest_requests_total", accepted) == 6
        )  # the seventh is not read
        writer.close()


async def test_pipelined_requests_of_a_refused_connection_rest_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.refused.REST_MIN_S", 0.3)
    gate = asyncio.Event()
    async with serving(Limits(in_flight_max=1), lambda _: gate.wait()) as port:
        waiting = asyncio.create_task(port.raw(post(b"{}")))
        await eventually(lambda: port.server.in_flight == 1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(post(b"{}") * 3)
        assert_error(await read_answer(reader), 503, "unavailable")
        gate.set()  # within its rest: what it has sent already is taken after it, and is not refused meanwhile
        assert (await waiting)[0] == 200
        assert [(await read_answer(reader))[0] for _ in range(2)] == [200, 200]
        writer.close()


async def test_who_pipelines_and_reads_no_answer_takes_no_memory_in_an_overload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.refused.REST_MIN_S", 0.001)
    gate = asyncio.Event()
    async with serving(Limits(in_flight_max=1), lambda _: gate.wait()) as port:
        waiting = asyncio.create_task(port.raw(post(b"{}")))
        await eventually(lambda: port.server.in_flight == 1)
        _, writer = await asyncio.open_connection("127.0.0.1", port.number)
        many, sent, enough = post(b"{}") * 1000, 0, 20 * 2**20
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(4):
                while sent < enough:
                    writer.write(many)
                    sent += len(many)
                    await writer.drain()
        assert sent < enough  # it stands still at what the kernel's buffers hold
        writer.transport.abort()
        gate.set()
        assert (await waiting)[0] == 200


async def test_the_bytes_in_flight_are_bounded() -> None:
    gate = asyncio.Event()
    async with serving(Limits(body_bytes_in_flight_max=100), lambda _: gate.wait()) as port:
        first = asyncio.create_task(port.raw(post(b'"' + b"a" * 80 + b'"')))
        await eventually(lambda: port.server._bodies.bytes_in_flight > 0)
        assert_error(await port.raw(post(b'"' + b"a" * 80 + b'"')), 503, "unavailable")
        gate.set()
        assert (await first)[0] == 200
        assert port.server._bodies.bytes_in_flight == 0


async def test_kafka_away_gets_503_with_retry_after() -> None:
    def away(_: Event) -> None:
        raise Unavailable

    async with serving(publish=away) as port:
        answer = await port.raw(post(b"{}"))
        assert_error(answer, 503, "unavailable")
        assert answer[1]["retry-after"] == "5"
        assert port.count("github", "unavailable") == 1


async def test_a_defect_claims_nothing_and_is_counted() -> None:
    def defect(_: Event) -> None:
        raise RuntimeError("a defect")

    async with serving(publish=defect) as port:
        answer = await port.raw(post(b"{}"))
        assert_error(answer, 503, "unavailable")
        assert b"defect" not in answer[2]
        assert port.count("github", "unexpected") == 1


async def test_a_client_that_leaves_is_no_error() -> None:
    async with serving() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(post(b"x" * 1000)[:-500])
        await eventually(lambda: port.server._bodies.bytes_in_flight > 0)
        writer.transport.abort()
        await eventually(lambda: port.server._bodies.bytes_in_flight == 0)
        assert port.server.in_flight == 0
        assert port.count("github", "unexpected") == 0
        assert (await port.raw(post(b"{}")))[0] == 200


async def test_an_upgrade_is_not_taken_up() -> None:
    async with serving() as port:
        for protocol in ("h2c", "websocket"):
            status, _, _ = await port.raw(post(b"{}", "Connection: Upgrade", f"Upgrade: {protocol}"))
            assert status in (200, 401)


async def test_many_requests_on_one_connection() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(post(b"{}") * 20)
        statuses = [(await read_answer(reader))[0] for _ in range(20)]
        assert statuses == [200] * 20
        writer.close()


async def refuses_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return True
    writer.close()
    return False


async def test_what_is_in_flight_is_answered_before_the_server_ends() -> None:
    gate = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(Limits(drain_timeout_s=5), lambda _: gate.wait()))
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port.number)
        waiting = asyncio.create_task(port.raw(post(b"{}")))
        await eventually(lambda: port.server.in_flight == 1)
        closing = asyncio.create_task(stack.pop_all().aclose())
        await eventually(lambda: refuses_connections(port.number))
        assert not closing.done()
        gate.set()
        status, headers, _ = await waiting
        assert (status, headers["connection"]) == (200, "close")
        await asyncio.wait_for(closing, 5)
        assert await idle_reader.read() == b""
        idle_writer.close()


async def test_a_drain_is_bounded() -> None:
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(Limits(drain_timeout_s=0.2), lambda _: asyncio.sleep(60)))
        waiting = asyncio.create_task(port.raw(post(b"{}")))
        await eventually(lambda: port.server.in_flight == 1)
        started_s = time.monotonic()
        await stack.pop_all().aclose()
        assert time.monotonic() - started_s < 3
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await waiting
