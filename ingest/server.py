"""The public port: ``POST /webhook/{source}``.

Reads a request within its bounds of size, time and memory, and answers what `ingest.accept.accept` says. No input
leads to a 500: what is not foreseen answers 503, which claims nothing, and is counted and logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ingest.accept import RETRY_AFTER_S, Answer, Publish, accept, refusal, too_large, turned_away
from ingest.admission import INTERVAL_S, Admission
from ingest.body import BodyReader, NoLength, TooLarge, TooSlow, WouldOverflow
from ingest.connections import Connections
from ingest.documents import Documents, fetch_https
from ingest.metrics import UNKNOWN_SOURCE, IngestMetrics
from ingest.protocol import HttpConnection, listening
from ingest.refused import Refused
from ingest.sources import Source
from streams.tracing import TRACEPARENT, Tracing, valid_traceparent

# The raw request target, in origin or absolute form; a name has nothing that could be percent-encoded.
_TARGET = re.compile(r"(?:https?://[^/?#]*)?/webhook/([a-z0-9][a-z0-9-]{0,62})(?:\?.*)?", re.DOTALL)

NOT_FOUND = refusal(404, "unknown_source", "There is no such source.")
NO_LENGTH = refusal(411, "length_required", "The request has neither Content-Length nor a chunked body.")
TOO_SLOW = refusal(408, "request_timeout", "The body did not arrive in time.")
BROKEN = refusal(400, "malformed", "The body is not valid HTTP.")
BUSY = replace(
    refusal(503, "unavailable", "Too many requests are in flight; send it again.", retry_after_s=RETRY_AFTER_S),
    outcome="overloaded",
)
UNEXPECTED = replace(
    refusal(503, "unavailable", "The event could not be stored; send it again.", retry_after_s=RETRY_AFTER_S),
    outcome="unexpected",
)
GONE = replace(BROKEN, outcome="disconnected")

SAMPLE_S = 0.25
PEAK_SAMPLES = 40  # so the capacity that is shown is the most of the last ten seconds

log = structlog.get_logger("ingest")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process takes on at once."""

    in_flight_max: int = 1000
    body_bytes_in_flight_max: int = 128 * 1024 * 1024
    body_timeout_s: float = 15.0  # from the headers to the last byte of the body
    connections_max: int = 10_000
    head_timeout_s: float = 15.0  # from the first byte of a request to the end of its headers
    keepalive_timeout_s: float = 75.0  # longer than a load balancer's; also bounds connections that send nothing
    drain_timeout_s: float = 10.0


class IngestServer:
    """Answers requests of the sources it is given. ``sources`` and ``publish`` may be replaced at any time."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        publish: Publish,
        metrics: IngestMetrics,
        limits: Limits | None = None,
        *,
        documents: Documents | None = None,
        tracing: Tracing | None = None,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sources = sources
        self.limits = limits or Limits()
        self.in_flight = 0
        self.publish = publish
        self._metrics = metrics
        self._tracing = tracing or Tracing()
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._documents = documents or Documents(fetch_https)
        self._matches: dict[tuple[str, int], Callable[[], None]] = {}
        self._bodies = BodyReader(
            bytes_in_flight_max=self.limits.body_bytes_in_flight_max, timeout_s=self.limits.body_timeout_s
        )
        self.connections = Connections(count_max=self.limits.connections_max, head_timeout_s=self.limits.head_timeout_s)
        self._admission = Admission(self.limits.in_flight_max)
        self._refused = Refused()
        self._unanswered = 0  # in flight, or their bodies are still coming
        self._draining = False
        self._peaks: list[int] = []
        self._counters: dict[tuple[str, str], Callable[[float], None]] = {}
        metrics.in_flight_max.set(self.limits.in_flight_max)

    @contextlib.asynccontextmanager
    async def listen(self, sock: socket.socket) -> AsyncIterator[None]:
        """Answer on ``sock`` while the block runs; at its end finish what is in flight, within the drain's bound."""
        tasks = [asyncio.create_task(self._sample_forever()), asyncio.create_task(self._judge_forever())]
        try:
            async with listening(
                self.answer,
                sock,
                connections=self.connections,
                keepalive_timeout_s=self.limits.keepalive_timeout_s,
                drain=self._drain,
            ):
                try:
                    yield
                finally:
                    self.announce_end()
        finally:
            for task in tasks:
                task.cancel()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to any request."""
        started_s = self._monotonic_s()
        match = _TARGET.fullmatch(request.raw_path)
        source = self.sources.get(match[1]) if match else None
        connection = request.protocol
        assert isinstance(connection, HttpConnection)  # noqa: S101 - `listening` makes no other
        self._unanswered += 1
        try:
            await connection.rested()
            answering = self._answer if not self._tracing.on else self._answer_traced
            answer = await answering(source, request)
        except ConnectionError:
            answer = GONE
        except (web.RequestPayloadError, HttpProcessingError):
            answer = BROKEN
        except Exception as error:  # a defect must not claim that an event was accepted
            log.exception("unexpected_error", source=source.name if source else None, error=type(error).__name__)
            answer = UNEXPECTED
        finally:
            self._unanswered -= 1
        duration_s = self._monotonic_s() - started_s
        self._count(source.name if source else UNKNOWN_SOURCE, answer.outcome, duration_s)
        # Without the end of this body the next request on this connection cannot be found.
        close = self._draining or not request.content.is_eof()
        if answer is BUSY and not close:
            connection.rest(self._refused.back_s(asyncio.get_running_loop().time()))
        return _response(answer, close=close)

    async def _answer_traced(self, source: Source | None, request: web.BaseRequest) -> Answer:
        """Answer within a span. Whoever posts may name any trace: it is followed only where producers are trusted."""
        came = valid_traceparent(request.headers.get(TRACEPARENT, ""))
        parent, link = (came, "") if self._tracing.trusts_producers else ("", came)
        name = f"receive {source.name}" if source else "receive"
        with self._tracing.span(name, "server", parent=parent, link=link) as span:
            answer = await self._answer(source, request)
            span.note(status=answer.status, outcome=answer.outcome)
            if answer.status >= 500:
                span.fail(answer.outcome)
            return answer

    async def _answer(self, source: Source | None, request: web.BaseRequest) -> Answer:
        if source is None:
            return NOT_FOUND
        if request.method not in source.methods:
            return _not_allowed(source)
        if not self._admission.admits(self.in_flight):
            return BUSY
        if request.method != "POST":  # what it has to say is in its address
            return await self._accept(source, request, b"")
        try:
            body = await self._bodies.read(request, bytes_max=source.body_bytes_max)
        except NoLength:
            return NO_LENGTH
        except TooLarge:
            return turned_away(source, too_large(source), f"the body is larger than {source.body_bytes_max} bytes")
        except TooSlow:
            return TOO_SLOW
        except WouldOverflow:
            return BUSY
        try:
            return await self._accept(source, request, body)
        finally:
            self._bodies.release(len(body))

    async def _accept(self, source: Source, request: web.BaseRequest, body: bytes) -> Answer:
        """Answer a whole request. Only these are in flight: bodies that come slowly must not take others' places."""
        if not self._admission.admits(self.in_flight):  # others came while this body did
            return BUSY
        self.in_flight += 1
        started_s = self._monotonic_s()
        try:
            headers = tuple((name.lower(), value) for name, value in request.raw_headers)
            answer = await accept(
                source,
                source.request(request.method, request.raw_path, headers, body),
                publish=self.publish,
                now_s=self._now_s(),
                monotonic_s=started_s,
                documents=self._documents,
                count_match=self._count_match,
            )
        finally:
            self.in_flight -= 1
        if answer.outcome == "accepted":
            self._admission.accepted(self._monotonic_s() - started_s)
        return answer

    def _count_match(self, source: str, position: int) -> None:
        count = self._matches.get((source, position))
        if count is None:
            count = self._matches[source, position] = self._metrics.answers.matches.labels(source, str(position)).inc
        count()

    def _count(self, source: str, outcome: str, duration_s: float) -> None:
        count = self._counters.get((source, outcome))
        if count is None:
            count = self._counters[source, outcome] = self._metrics.answers.of(source, outcome)
        count(duration_s)

    def sample(self) -> None:
        """Set the gauges to what they are now."""
        self._peaks = [*self._peaks[1 - PEAK_SAMPLES :], self.in_flight]
        self._metrics.in_flight.set(self.in_flight)
        self._metrics.admission_limit.set(self._admission.limit)
        self._metrics.connections.set(len(self.connections))
        capacity = self._metrics.capacity_used_ratio
        capacity.labels("ingest_in_flight").set(min(1.0, max(self._peaks) / self._admission.limit))
        capacity.labels("connections").set(self.connections.used_ratio)
        capacity.labels("ingest_body_bytes").set(self._bodies.used_ratio)
        now_s = self._monotonic_s()
        for name, source in self.sources.items():
            if source.limit is not None:
                capacity.labels(f"source_rate:{name}").set(source.limit.used_ratio(now_s))

    async def _sample_forever(self) -> None:
        while True:
            self.sample()
            self.connections.sweep()
            await asyncio.sleep(SAMPLE_S)

    async def _judge_forever(self) -> None:
        while True:
            due_s = self._monotonic_s() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            self._admission.judge(max(0.0, self._monotonic_s() - due_s))

    def announce_end(self) -> None:
        """Close each connection with its next answer from now on; go on accepting new ones."""
        self._draining = True

    async def _drain(self) -> None:
        """Return when nothing is in flight any more, or after the drain's bound."""
        deadline_s = self._monotonic_s() + self.limits.drain_timeout_s
        while self._unanswered and self._monotonic_s() < deadline_s:  # noqa: ASYNC110 - an event would cost each request
            await asyncio.sleep(0.01)
        if self._unanswered:
            log.warning("drain_incomplete", unanswered=self._unanswered)


def _not_allowed(source: Source) -> Answer:
    allowed = " and ".join(source.methods)
    detail = f"Only {allowed} {'is' if len(source.methods) == 1 else 'are'} allowed."
    return refusal(405, "method_not_allowed", detail, allow=", ".join(source.methods))


def _response(answer: Answer, *, close: bool) -> web.Response:
    headers = {**dict(answer.headers), "Content-Type": answer.content_type, "Server": "headrace"}
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    if answer.allow is not None:
        headers["Allow"] = answer.allow
    response = web.Response(status=answer.status, body=answer.body, headers=headers)
    if close:
        response.force_close()
    return response
