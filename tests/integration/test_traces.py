"""One trace from the POST to the call, told to a collector by real processes; and nothing where traces are off."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from streams.kafka import read_topic
from streams.tracing import traceparent_of
from tests.harness import Answer, eventually, github_headers
from tests.ledger import SECRET, Ledger, MakeSystem

PRODUCERS = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00"  # which says: do not sample


@dataclass(frozen=True)
class Told:
    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    seconds: float
    attributes: dict[str, object]
    failed: bool


class Collector:
    """Takes OTLP over HTTP, as protobuf."""

    def __init__(self) -> None:
        self.spans: list[Told] = []
        collector = self

        class Taking(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {
                        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes
                    }
                    self.spans.append(
                        Told(
                            named["service.name"],
                            span.name,
                            span.kind,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            tuple(link.trace_id.hex() for link in span.links),
                            (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                            attributes,
                            span.status.code == 2,
                        )
                    )

    def named(self, name: str) -> list[Told]:
        return [span for span in list(self.spans) if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.server.shutdown()


async def test_one_trace_leads_from_the_post_to_the_calls_and_a_replay_links_to_it(
    make_system: MakeSystem, collector: Collector
) -> None:
    system = make_system(
        destinations={"a": {"retry": {"attempts": 2, "backoff_s": [0.05, 0.1]}, "delays_s": [1]}}, partitions=1
    )
    system.env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    system.receiver.answers["/a"] = lambda call, earlier: Answer(503 if earlier < 2 else 422)
    ledger = Ledger(system)
    await system.start_ingest()
    await system.worker()
    body = b'{"n": 1}'
    headers = {**github_headers(body, SECRET, "traced"), "traceparent": PRODUCERS}
    async with ledger.session() as session, session.post(system.url, data=body, headers=headers) as answer:
        assert answer.status == 200
    (letter,) = await eventually(system.letters, 60)
    await eventually(lambda: len(collector.named("deliver a")) == 2, 60)
    system.receiver.answers["/a"] = Answer(200)
    await system.command("dlq", "replay", "--yes")
    await eventually(lambda: len(collector.named("deliver a")) == 3, 60)

    (received,) = collector.named("receive github")
    (published,) = collector.named("publish github")
    (fanned_out,) = collector.named("fan out github")
    first, second, replayed = collector.named("deliver a")
    attempts = collector.named("attempt a")
    # Whoever posts does not decide: a trace of our own, which names the producer's.
    assert (received.parent, received.links) == ("", (PRODUCERS[3:35],))
    assert received.attributes["headrace.status"] == 200
    assert published.parent == received.id
    assert fanned_out.parent == published.id
    assert {first.parent, second.parent} == {fanned_out.id}
    assert {one.trace for one in (received, published, fanned_out, first, second)} == {received.trace}
    assert [one.parent for one in attempts] == [first.id, first.id, second.id, replayed.id]
    assert [one.failed for one in attempts] == [True, True, True, False]
    assert [one.attributes["headrace.status"] for one in attempts] == [503, 503, 422, 200]
    assert (first.failed, second.failed, second.attributes["headrace.outcome"]) == (False, True, "dead_lettered")
    assert (replayed.trace != received.trace, replayed.parent, replayed.links) == (True, "", (received.trace,))
    waits = collector.named("queue wait")
    assert {one.parent for one in waits} == {first.id, second.id, replayed.id}
    assert (received.kind, published.kind, fanned_out.kind, attempts[0].kind) == (2, 4, 5, 3)
    assert {one.service for one in collector.spans} == {"headrace-ingest", "headrace-worker"}
    # The requests carry the attempt that they are, and the records what they follow.
    called = [call.headers["traceparent"].split("-")[1:3] for call in system.receiver.calls("/a")]
    assert called == [[one.trace, one.id] for one in attempts]
    records = [record async for record in read_topic(system.settings, system.names.events("github"))]
    assert [traceparent_of(record.headers).split("-")[2] for record in records] == [published.id]
    assert traceparent_of(letter.headers).split("-")[2] == fanned_out.id


async def test_a_collector_that_is_away_holds_up_nothing_and_a_trusted_producer_decides(
    make_system: MakeSystem,
) -> None:
    system = make_system(destinations={"a": {}}, partitions=1)
    system.env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "HEADRACE_TRACE_TRUST_PRODUCERS": "true"}
    ledger = Ledger(system)
    ingest, worker = await system.start_ingest(), await system.worker()
    await ledger.post_all(20, connections=2)
    body = b'{"n": 1}'
    headers = {**github_headers(body, SECRET, "followed"), "traceparent": PRODUCERS}
    async with ledger.session() as session, session.post(system.url, data=body, headers=headers) as answer:
        assert answer.status == 200
    await ledger.assert_all_settled()
    (call,) = system.receiver.calls("/a/followed")
    _, trace, _, flags = call.headers["traceparent"].split("-")
    assert (trace, flags) == (PRODUCERS[3:35], "00")
    assert await ingest.terminate(60) == 0
    assert await worker.terminate(60) == 0


def test_where_traces_are_off_opentelemetry_is_not_imported() -> None:
    code = (
        "import sys, headrace.worker, headrace.ingest_command; from headrace.tracing import start_tracing\n"
        "assert not start_tracing({}, 'worker').on\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
