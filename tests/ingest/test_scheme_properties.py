"""Arbitrary bytes in any part of a request raise nothing but what the contract says, in every scheme."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.scheme import ID_CHARS_MAX, Handshake, MalformedEvent, load_scheme, scheme_names
from ingest.signature import InvalidSignature, SignedRequest
from tests.ingest.conftest import NOW_S, make_source
from tests.ingest.test_scheme_suite import SIGNED, refused, sample_request

every_scheme = pytest.mark.parametrize("name", scheme_names())
every_signed = pytest.mark.parametrize("name", SIGNED)
KINDS = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "\xff",
]

source_of = functools.cache(make_source)


@functools.cache
def request_of(name: str) -> SignedRequest:
    return sample_request(source_of(name))


_PIECES = (
    b"1700000000 t=1700000000,v1=00 v1,AAAA v0=00 sha256= t=,v1= 1_0 1e9 a.b.c Basic:YTpi Basic:\xff Bearer: ts=1;h1=0"
    b" 999999999999 https://[ https://x:y -1 A eyJhbGciOiJub25lIn0.e30. https://api.paypal.com/v1/notifications/certs/"
)
_values = st.binary(max_size=80) | st.sampled_from([piece.replace(b":", b" ") for piece in _PIECES.split()])
_text = st.text(max_size=40) | st.sampled_from(["/webhook/x?a=%ff&a=1", "/webhook/x?%00=%", "/?" + "a=1&" * 200])


@every_signed
@settings(max_examples=60)
@given(at=st.integers(0, 20), value=_values)
def test_any_bytes_in_a_header_of_a_signed_request(name: str, at: int, value: bytes) -> None:
    headers = list(request_of(name).headers)
    at %= len(headers)
    headers[at] = (headers[at][0], value)
    refused(source_of(name), replace(request_of(name), headers=tuple(headers)))


@every_signed
@settings(max_examples=60)
@given(values=st.lists(_values, max_size=8), body=st.binary(max_size=200), kind=st.sampled_from(KINDS), url=_text)
@example(values=[b"9" * 12], body=b'{"signature": {"timestamp": NaN}}', kind=KINDS[0], url="/")
@example(values=[], body=b'{"signature": 7}', kind=KINDS[0], url="")
@example(values=[], body=b"[[[]]]", kind=KINDS[0], url="")
def test_any_bytes_everywhere(name: str, values: list[bytes], body: bytes, kind: str, url: str) -> None:
    names = [key for key, _ in request_of(name).headers if key != b"content-type"]
    headers = [*zip(names, values, strict=False), (b"content-type", kind.encode("latin-1"))]
    request = SignedRequest("POST", url, tuple(headers), body, url)
    if not refused(source_of(name), request):
        assert not source_of(name).scheme.signs_body
    if source_of(name).needs is not None:
        _only(InvalidSignature, lambda: source_of(name).needs(request))  # type: ignore[misc]  # it is not None here


@every_signed
@settings(max_examples=40)
@given(body=st.binary(max_size=200), url=_text)
def test_any_body_and_address_under_a_good_signature(name: str, body: bytes, url: str) -> None:
    good = request_of(name)
    for request in (replace(good, body=body), replace(good, url=url, public_url=url), replace(good, public_url=url)):
        refused(source_of(name), request)


_NAMES = (
    "id event_id type event challenge payload data notificationItems plainToken entry mandrill_events event-data token"
    " signature eventId subscriptionType timestamp meta verification_token resource events object changes webhook body"
)
_keys = st.sampled_from(_NAMES.split())
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=8,
)


@every_scheme
@settings(max_examples=60)
@given(body=_json, values=st.lists(_values, max_size=4))
def test_what_reads_a_body_raises_nothing_but_malformed_event(name: str, body: object, values: list[bytes]) -> None:
    source = source_of(name)
    names = [key for key, _ in request_of(name).headers]
    request = replace(request_of(name), headers=tuple(zip(names, values, strict=False)))
    for given_body in (
        body,
        {**source.scheme.sample, "type": body} if isinstance(source.scheme.sample, dict) else body,
    ):
        _identify(name, request, given_body)
        if source.scheme.greeting is not None:
            greeting = source.scheme.greeting(request, given_body)
            assert greeting is None or isinstance(greeting, Handshake)
        _only(MalformedEvent, lambda value=given_body: source.handshake(request, value, secret=b"s", now_s=NOW_S))


def _identify(name: str, request: SignedRequest, body: object) -> None:
    source = source_of(name)
    try:
        items = source.items(body)
        if items is None:
            found = [source.scheme.identify(request, body)]
        else:
            found = [source.scheme.identify_item(request, item) for item in items]
    except MalformedEvent:
        return
    for identity in found:
        for text in (identity.event_id, identity.event_type):
            assert text is None or (isinstance(text, str) and 0 < len(text) <= ID_CHARS_MAX and text.encode())


@pytest.mark.parametrize("name", [name for name in SIGNED if load_scheme(name).challenge() is not None])
@settings(max_examples=60)
@given(
    url=_text | st.from_regex(r"/webhook/x\?(hub\.(mode|challenge|verify_token)|challenge)=[^#]{0,40}", fullmatch=True)
)
def test_a_challenge_is_echoed_as_plain_text_or_refused(name: str, url: str) -> None:
    request = SignedRequest("GET", url, (), b"")
    try:
        answer = source_of(name).challenge(request, now_s=NOW_S)
    except InvalidSignature:
        return
    assert answer.content_type.startswith("text/plain")
    assert answer.body.decode("ascii").isprintable()


def _only(allowed: type[Exception], call: object) -> None:
    try:
        call()  # type: ignore[operator]  # a callable
    except allowed:
        return
