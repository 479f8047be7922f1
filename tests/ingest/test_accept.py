"""What one request is answered, without a server and without a broker."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

import ingest.accept
from ingest.accept import Answer, Unavailable, accept
from ingest.signature import SignedRequest
from ingest.sources import Source
from streams.event import Event, Receipt
from tests.ingest.conftest import NOW_S, make_source, request_of, signed_request


@dataclass
class Log:
    """A log that takes everything, or nothing."""

    away: bool = False
    events: list[Event] = field(default_factory=list)

    async def publish(self, event: Event) -> Receipt:
        if self.away:
            raise Unavailable
        self.events.append(event)
        return Receipt(event.source, 3, len(self.events) - 1)


async def answer(source: Source, request: SignedRequest, log: Log | None = None, monotonic_s: float = 0.0) -> Answer:
    return await accept(source, request, publish=(log or Log()).publish, now_s=NOW_S, monotonic_s=monotonic_s)


def with_header(request: SignedRequest, name: str, value: str) -> SignedRequest:
    others = tuple(pair for pair in request.headers if pair[0] != name.encode())
    return SignedRequest(request.method, request.url, (*others, (name.encode(), value.encode())), request.body)


async def test_an_event_is_queued() -> None:
    source, log = make_source("github"), Log()
    got = await answer(source, signed_request(source, b'{"a": 1}', event_id="d-1"), log)
    assert (got.status, got.outcome) == (200, "accepted")
    assert json.loads(got.body) == {"status": "queued", "id": "d-1", "receipt": "github/3/0"}
    (event,) = log.events
    assert (event.body, event.time_ms, event.content_type) == (b'{"a": 1}', int(NOW_S * 1000), "application/json")


async def test_a_duplicate_is_queued_like_any_other() -> None:
    source, log = make_source("github"), Log()
    request = signed_request(source, b"{}")
    receipts = [json.loads((await answer(source, request, log)).body)["receipt"] for _ in range(2)]
    assert receipts == ["github/3/0", "github/3/1"]


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"{}"])
async def test_an_unsigned_request_gets_401_whatever_its_body(body: bytes) -> None:
    log = Log()
    got = await answer(make_source("github"), request_of(body, {}), log)
    assert (got.status, got.outcome) == (401, "invalid_signature")
    assert json.loads(got.body) == {"error": "invalid_signature", "detail": "Invalid HMAC signature"}
    assert not log.events


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000 + b"]" * 100_000, b"\xff", b"NaN", b"{} {}"])
async def test_a_signed_body_that_is_no_json_gets_400(body: bytes) -> None:
    source = make_source("github")
    got = await answer(source, signed_request(source, body))
    assert (got.status, json.loads(got.body)["error"]) == (400, "malformed")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json; charset=utf-8", b"{}", 200),
        ("application/cloudevents+json", b"{}", 200),
        ("application/x-www-form-urlencoded", b"a=1&a=2", 200),
        ("application/x-www-form-urlencoded", b"a", 400),
        ("text/plain", b"hello", 200),
        ("application/xml", b"<a/>", 200),
        ("application/json; charset=utf-16", b"{}", 400),
        ("application/json; charset=nonsense", b"{}", 415),
        ("application/octet-stream", b"{}", 415),
        ("image/png", b"{}", 415),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--', 200),
        ("multipart/form-data; boundary=x", b"--x", 400),
        ("multipart/mixed; boundary=x", b"--x", 415),
    ],
)
async def test_the_content_type_says_what_the_body_must_be(content_type: str, body: bytes, status: int) -> None:
    source = make_source("github")
    got = await answer(source, with_header(signed_request(source, body), "content-type", content_type))
    assert got.status == status


async def test_a_compressed_body_is_signed_as_sent_kept_as_sent_and_bounded() -> None:
    source, log = make_source("github", body_bytes_max=1000), Log()
    packed = gzip.compress(b'{"a": 1}')
    got = await answer(source, with_header(signed_request(source, packed), "content-encoding", "gzip"), log)
    assert got.status == 200
    assert (log.events[0].body, log.events[0].content_encoding) == (packed, "gzip")
    bomb = gzip.compress(b'"' + b"a" * 1_000_000 + b'"')
    got = await answer(source, with_header(signed_request(source, bomb), "content-encoding", "gzip"))
    assert (got.status, json.loads(got.body)["error"]) == (413, "too_large")
    got = await answer(source, with_header(signed_request(source, b"{}"), "content-encoding", "br"))
    assert (got.status, json.loads(got.body)["error"]) == (415, "unsupported_media_type")


async def test_a_needed_field_that_is_missing_gets_400_and_no_echo() -> None:
    source = make_source("hmac", event_id="{{ body.id }}")
    got = await answer(source, signed_request(source, b'{"secret": "hidden"}'))
    assert (got.status, json.loads(got.body)["error"]) == (400, "malformed")
    assert b"hidden" not in got.body


async def test_a_repeated_content_type_gets_400() -> None:
    source = make_source("github")
    request = signed_request(source, b"{}")
    twice = SignedRequest("POST", "/", (*request.headers, (b"content-type", b"text/plain")), b"{}")
    assert (await answer(source, twice)).status == 400


async def test_slacks_handshake_is_answered_once_it_is_signed_and_queues_nothing() -> None:
    source, log = make_source("slack"), Log()
    body = b'{"type": "url_verification", "challenge": "abc"}'
    got = await answer(source, signed_request(source, body), log)
    assert (got.status, got.body, got.outcome) == (200, b"abc", "handshake")
    assert got.content_type.startswith("text/plain")
    assert (await answer(source, request_of(body, {}), log)).status == 401
    assert not log.events


async def test_kafka_away_gets_503_with_retry_after() -> None:
    source = make_source("github")
    got = await answer(source, signed_request(source, b"{}"), Log(away=True))
    assert (got.status, got.outcome, got.retry_after_s) == (503, "unavailable", 5)


async def test_a_sources_own_limit_counts_verified_requests_alone() -> None:
    source = make_source("github", rate="1/s")
    for _ in range(5):
        assert (await answer(source, request_of(b"{}", {}))).status == 401
    assert (await answer(source, signed_request(source, b"{}"))).status == 200
    got = await answer(source, signed_request(source, b"{}"))
    assert (got.status, json.loads(got.body)["error"]) == (429, "too_many_requests")
    assert got.retry_after_s == 1
    assert (await answer(source, signed_request(source, b"{}"), monotonic_s=1.0)).status == 200


@given(
    content_type=st.one_of(st.text(max_size=60), st.from_regex(r"[a-z]+/[a-z+.-]+(; ?charset\*?=.*)?", fullmatch=True)),
    encoding=st.one_of(st.none(), st.sampled_from(["gzip", "deflate", "identity", "", "GZIP", "br", "gzip, gzip"])),
    body=st.binary(max_size=200),
)
async def test_no_signed_request_raises(content_type: str, encoding: str | None, body: bytes) -> None:
    source = make_source("github")
    request = with_header(
        signed_request(source, body), "content-type", content_type.encode("utf-8", "replace").decode()
    )
    if encoding is not None:
        request = with_header(request, "content-encoding", encoding)
    assert (await answer(source, request)).status in (200, 400, 413, 415)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> structlog.testing.CapturingLogger:
    """Return what takes the place of ingest's log, whatever another test configured."""
    taken = structlog.testing.CapturingLogger()
    monkeypatch.setattr(ingest.accept, "log", taken)
    return taken


def lines(logged: structlog.testing.CapturingLogger) -> list[tuple[str, str, dict[str, object]]]:
    return [(call.method_name, call.args[0], call.kwargs) for call in logged.calls]


async def test_the_operator_reads_in_the_log_why_a_signature_is_refused(
    logged: structlog.testing.CapturingLogger,
) -> None:
    source = make_source("stripe", secrets=[b"whsec_one", b"whsec_two"])
    stale = signed_request(source, b'{"id": "evt_1"}', now_s=NOW_S - 400)
    assert (await answer(source, stale)).body == (await answer(source, request_of(b"", {}))).body
    assert lines(logged) == [
        (
            "warning",
            "signature_refused",
            {"source": "stripe", "secrets": 2, "reason": "the timestamp is 400 s old, more than 300 s"},
        ),
        (
            "warning",
            "signature_refused",
            {"source": "stripe", "secrets": 2, "reason": "the header stripe-signature is missing"},
        ),
    ]


async def test_the_log_says_which_address_was_checked_without_its_query(
    logged: structlog.testing.CapturingLogger,
) -> None:
    source = make_source("square", public_url="https://hooks.example.com/square")
    headers = ((b"x-square-hmacsha256-signature", b"AAAA"),)
    request = source.request("POST", "/webhook/square?token=hush", headers, b"{}")
    assert (await answer(source, request)).status == 401
    ((_, event, about),) = lines(logged)
    assert (event, about["address"]) == ("signature_refused", "https://hooks.example.com/square")
    assert "hush" not in str(about)


@pytest.mark.parametrize(
    ("content_type", "body", "outcome", "reason"),
    [
        ("application/json", b"{", "malformed", "the body is not valid JSON"),
        ("application/json", b"[1]", "malformed", "the field id is missing"),
        ("application/pdf", b"%PDF", "unsupported_media_type", "the content type 'application/pdf' is not supported"),
    ],
)
async def test_the_log_says_why_a_signed_event_is_refused(
    logged: structlog.testing.CapturingLogger, content_type: str, body: bytes, outcome: str, reason: str
) -> None:
    source = make_source("stripe")
    got = await answer(source, with_header(signed_request(source, body), "content-type", content_type))
    assert got.outcome == outcome
    assert lines(logged) == [
        ("warning", "event_refused", {"source": "stripe", "outcome": outcome, "reason": reason}),
    ]
