"""What the engine does with the optional parts of a scheme: tests/ingest/example_schemes/meadow.py has them all."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from dataclasses import replace
from pathlib import Path

import pytest

import ingest.schemes
from ingest.accept import Answer, Unavailable, accept
from ingest.documents import FETCHES_MAX, Documents, DocumentUnavailable, require_pinned
from ingest.scheme import Handshake
from ingest.signature import InvalidSignature, SignedRequest
from ingest.sources import ITEMS_MAX, Source
from streams.event import Event, Receipt, body_sha256
from tests.ingest.conftest import NOW_S, make_source, signed_request
from tests.ingest.test_accept import Log

CERTIFICATE = "https://certificates.meadow.example/1.pem"


@pytest.fixture(autouse=True)
def _meadow(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = Path(__file__).parent / "example_schemes"
    monkeypatch.setattr(ingest.schemes, "__path__", [*ingest.schemes.__path__, str(examples)])


@pytest.fixture
def source() -> Source:
    return make_source("meadow")


class Host:
    """A pinned host: what it answers, and what it was asked for."""

    def __init__(self, document: bytes | Exception | None = b"certificate") -> None:
        self.document = document
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes | None:
        self.asked.append(url)
        await asyncio.sleep(0)
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


async def answer(source: Source, request: SignedRequest, log: Log | None = None, host: Host | None = None) -> Answer:
    documents = Documents((host or Host()).fetch)
    publish = (log or Log()).publish
    return await accept(source, request, publish=publish, now_s=NOW_S, monotonic_s=0.0, documents=documents)


def get(url: str) -> SignedRequest:
    return SignedRequest("GET", url, (), b"")


# -- batches ------------------------------------------------------------------------------------------------------


async def test_a_batch_is_one_event_an_item(source: Source) -> None:
    log = Log()
    body = b'[{"id": 1, "type": "a"}, {"id": "two"}, {"kind": "c"}, {"kind": "c"}]'
    got = await answer(source, signed_request(source, body), log)
    assert got.status == 200
    ids = ["1", "two", f"{body_sha256(body)}-2", f"{body_sha256(body)}-3"]
    receipts = [f"meadow/3/{number}" for number in range(4)]
    assert json.loads(got.body) == {"status": "queued", "ids": ids, "receipts": receipts}
    assert [event.dedup_id for event in log.events] == ids
    assert [event.type for event in log.events] == ["a", "webhook", "webhook", "webhook"]
    assert [event.body for event in log.events[:2]] == [b'{"id":1,"type":"a"}', b'{"id":"two"}']
    assert {event.content_type for event in log.events} == {"application/json"}


async def test_an_empty_batch_is_accepted_and_queues_nothing(source: Source) -> None:
    log = Log()
    got = await answer(source, signed_request(source, b"[]"), log)
    assert (got.status, json.loads(got.body)) == (200, {"status": "queued", "ids": [], "receipts": []})
    assert not log.events


async def test_a_batch_that_is_kept_in_part_gets_503_and_comes_again_under_the_same_ids(source: Source) -> None:
    log = Log()

    async def second_fails(event: Event) -> Receipt:
        if event.id == "2":
            raise Unavailable
        return await log.publish(event)

    request = signed_request(source, b'[{"id": 1}, {"id": 2}, {"x": 1}]')
    documents = Documents(Host().fetch)
    got = await accept(source, request, publish=second_fails, now_s=NOW_S, monotonic_s=0, documents=documents)
    assert (got.status, got.retry_after_s) == (503, 5)
    first = [event.dedup_id for event in log.events]
    assert (await answer(source, request, log)).status == 200
    again = [event.dedup_id for event in log.events[2:]]
    assert [first[0], "2", first[1]] == again  # fan-out drops what it has seen


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"[{}" + b",{}" * ITEMS_MAX + b"]", "more than"),
        (b'[{"id": 1}, {"id": ["x"]}]', "field id"),
    ],
)
async def test_a_batch_with_a_mistake_is_refused_as_a_whole(source: Source, body: bytes, word: str) -> None:
    log = Log()
    got = await answer(source, signed_request(source, body), log)
    assert got.status == 400
    assert word in got.body.decode()
    assert not log.events


async def test_the_headers_of_a_large_batch_are_bounded_in_all() -> None:
    source = make_source("meadow", keep_headers=["x-long"])
    log = Log()
    signed = signed_request(source, b"[" + b",".join(b"{}" for _ in range(5000)) + b"]")
    got = await answer(source, replace(signed, headers=(*signed.headers, (b"x-long", b"x" * 15_000))), log)
    assert (got.status, log.events) == (400, [])


async def test_expressions_of_the_source_see_each_item() -> None:
    source, log = make_source("meadow", event_id="{{ body.n }}", partition_by="{{ body.who }}"), Log()
    await answer(source, signed_request(source, b'[{"n": 7, "who": "a"}, {"n": 8, "who": "b"}]'), log)
    assert [(event.id, event.key) for event in log.events] == [("7", b"a"), ("8", b"b")]


# -- handshakes ---------------------------------------------------------------------------------------------------


async def test_a_handshake_is_computed_with_the_secret_that_matched() -> None:
    source, log = make_source("meadow", secrets=[b"new secret", b"a secret"]), Log()
    request = signed_request(source, b'{"type": "ping", "nonce": "n"}', signing_key=b"a secret")
    got = await answer(source, request, log)
    expected = hmac.new(b"a secret", b"n", hashlib.sha256).hexdigest().encode()
    assert (got.status, got.outcome, got.body) == (202, "handshake", expected)
    assert ("Meadow-Pong", "1") in got.headers
    assert ("X-Content-Type-Options", "nosniff") in got.headers
    assert not log.events


async def test_a_challenge_by_get_needs_its_token_and_echoes_plain_text_alone(source: Source) -> None:
    good = await answer(source, get("/webhook/meadow?token=secret+of+verify_token_env&challenge=a1-b2"))
    assert (good.status, good.body, good.content_type) == (200, b"a1-b2", "text/plain; charset=utf-8")
    for query in (
        "token=wrong&challenge=a",
        "challenge=a",
        "token=secret+of+verify_token_env",
        "token=secret+of+verify_token_env&challenge=%0d%0aX:1",
        "token=secret+of+verify_token_env&challenge=" + "a" * 600,
        "token=secret+of+verify_token_env&token=secret+of+verify_token_env&challenge=a",
        "token=%ff&challenge=a",
    ):
        assert (await answer(source, get(f"/webhook/meadow?{query}"))).status == 401, query


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x", "a\x00", "\u00e9", "a\n"])
def test_a_handshake_has_no_header_that_could_become_another(text: str) -> None:
    for content_type, headers in ((text, ()), ("text/plain", (("X", text),)), ("text/plain", ((text, "x"),))):
        with pytest.raises(ValueError, match="printable"):
            Handshake(b"", content_type, headers=headers)


async def test_a_challenge_without_its_secret_is_refused() -> None:
    source = make_source("meadow", verify_token_env=None)
    assert (await answer(source, get("/webhook/meadow?token=&challenge=a"))).status == 401


async def test_get_is_for_schemes_that_have_a_challenge(source: Source) -> None:
    assert source.methods == ("GET", "POST")
    assert make_source("github").methods == ("POST",)


async def test_head_is_for_schemes_whose_provider_asks_for_it() -> None:
    trello, log = make_source("trello"), Log()
    assert trello.methods == ("HEAD", "POST")
    got = await answer(trello, SignedRequest("HEAD", "/webhook/trello", (), b""), log)
    assert (got.status, got.body, log.events) == (200, b"", [])


async def test_a_greeting_is_answered_unsigned_and_queues_nothing(source: Source) -> None:
    log, host = Log(), Host()
    hello = SignedRequest("POST", "/webhook/meadow", ((b"meadow-hello", b"1"),), b"")
    got = await answer(source, hello, log, host)
    assert (got.status, got.outcome, got.body) == (204, "handshake", b"")
    assert not log.events
    assert not host.asked
    assert (await answer(source, replace(hello, headers=()), log)).status == 401
    broken = replace(hello, headers=((b"content-encoding", b"gzip"),), body=b"\x00")
    assert (await answer(source, broken, log)).status == 401


# -- addresses ----------------------------------------------------------------------------------------------------


def test_the_public_address_is_the_configured_one_else_what_the_headers_say() -> None:
    target, host = "/webhook/meadow?a=%20b", (b"host", b"internal:8080")

    def address(source: Source, *headers: tuple[bytes, bytes], url: str = target) -> str:
        return source.request("POST", url, tuple(headers), b"").public_url

    configured = make_source("meadow")
    assert address(configured, host) == f"https://hooks.example.com{target}"
    assert address(configured, url=f"http://internal:8080{target}") == f"https://hooks.example.com{target}"
    own = make_source("meadow", public_url="https://other.example.com/in/meadow/")
    assert address(own, host) == "https://other.example.com/in/meadow/?a=%20b"
    bare = Source("meadow", configured.settings, configured.scheme, [b"s"])
    assert address(bare, host) == f"http://internal:8080{target}"
    assert address(bare, host, (b"x-forwarded-proto", b"https")) == f"https://internal:8080{target}"
    assert address(bare, host, (b"x-forwarded-proto", b"gopher")) == f"http://internal:8080{target}"
    for hosts in (
        [],
        [host, host],
        [(b"host", b"a b")],
        [(b"host", b"a/b")],
        [(b"host", b"\xff")],
        [(b"host", b"a@b")],
    ):
        assert address(bare, *hosts) == ""


async def test_a_request_for_another_address_is_refused(source: Source) -> None:
    request = signed_request(source, b"{}")
    assert (await answer(source, request)).status == 200
    assert (await answer(source, replace(request, public_url="https://other.example.com"))).status == 401


# -- documents ----------------------------------------------------------------------------------------------------


async def test_a_certificate_is_fetched_once_and_kept(source: Source) -> None:
    host = Host()
    documents = Documents(host.fetch)
    request, log = signed_request(source, b"{}"), Log()
    several = [
        accept(source, request, publish=log.publish, now_s=NOW_S, monotonic_s=0.0, documents=documents)
        for _ in range(5)
    ]
    assert {got.status for got in await asyncio.gather(*several)} == {200}
    assert host.asked == [CERTIFICATE]


async def test_a_certificate_that_cannot_be_had_now_gets_503_and_one_that_does_not_exist_401(source: Source) -> None:
    request, log = signed_request(source, b"{}"), Log()
    assert (await answer(source, request, log, Host(DocumentUnavailable("away")))).status == 503
    assert (await answer(source, request, log, Host(None))).status == 401
    assert (await answer(source, request, log, Host(b"of somebody else"))).status == 401
    assert not log.events


@pytest.mark.parametrize(
    "url",
    [
        "http://certificates.meadow.example/1",
        "https://certificates.meadow.example.evil.example/1",
        "https://evil.example/certificates.meadow.example",
        "https://certificates.meadow.example:8443/1",
        "https://certificates.meadow.example@evil.example/1",
        "https://user@certificates.meadow.example/1",
        "https://certificates.meadow.example\\@evil.example/1",
        "https://certificates.meadow.example/1#x",
        "https://certificates.meadow.example/ 1",
        "https://certificates.meadow.example/\r\nHost: x",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[",
        "file:///etc/passwd",
        "//certificates.meadow.example/1",
        "https://CERTIFICATES.meadow.example/1",
        "https://certificates.meadow.example./1",
        "https://certificates.meadow.exampl\u00e9/1",
        "https://certificates.meadow.example/" + "a" * 600,
        "",
    ],
)
async def test_an_address_that_is_not_pinned_is_never_asked_for(source: Source, url: str) -> None:
    with pytest.raises(InvalidSignature):
        require_pinned(url, source.scheme.document_hosts)
    signed = signed_request(source, b"{}")
    others = tuple(pair for pair in signed.headers if pair[0] != b"meadow-certificate")
    host = Host()
    got = await answer(source, replace(signed, headers=(*others, (b"meadow-certificate", url.encode()))), None, host)
    assert (got.status, host.asked) == (401, [])


async def test_addresses_that_somebody_makes_up_cost_a_bounded_number_of_fetches() -> None:
    now = [0.0]
    host = Host()
    hosts = ("certificates.meadow.example",)
    documents = Documents(host.fetch, monotonic_s=lambda: now[0])
    assert await documents.get(CERTIFICATE, hosts=hosts) == b"certificate"
    host.document = None
    for number in range(FETCHES_MAX - 1):
        with pytest.raises(InvalidSignature):
            await documents.get(f"{CERTIFICATE}?{number}", hosts=hosts)
    for _ in range(3):
        with pytest.raises(DocumentUnavailable):
            await documents.get(f"{CERTIFICATE}?another", hosts=hosts)
        with pytest.raises(InvalidSignature):  # known to be absent: not asked for again
            await documents.get(f"{CERTIFICATE}?0", hosts=hosts)
    assert await documents.get(CERTIFICATE, hosts=hosts) == b"certificate"  # what is kept is not pushed out
    assert len(host.asked) == FETCHES_MAX
    now[0] = 61.0
    host.document = b"new"
    assert await documents.get(f"{CERTIFICATE}?another", hosts=hosts) == b"new"


# -- ids ----------------------------------------------------------------------------------------------------------


async def test_dedup_by_body_merges_the_same_body_under_another_id() -> None:
    source, log = make_source("github", dedup="body"), Log()
    for event_id in ("d-1", "d-2"):
        assert (await answer(source, signed_request(source, b"{}", event_id=event_id), log)).status == 200
    first, second = log.events
    assert (first.id, second.id) == ("d-1", "d-2")
    assert first.dedup_id == second.dedup_id == body_sha256(b"{}")


def test_a_missing_secret_of_an_option_is_named() -> None:
    from ingest.sources import compile_source

    settings = make_source("meadow").settings
    with pytest.raises(ValueError, match=r"verify_token_env is not set \(VERIFY_TOKEN_ENV\)"):
        compile_source("meadow", settings, [b"s"])
    assert settings.option_secret_envs() == {"verify_token_env": "VERIFY_TOKEN_ENV"}
    assert "secret of" not in repr(make_source("meadow").settings)
