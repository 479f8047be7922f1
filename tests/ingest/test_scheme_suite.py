"""What every scheme must do, found by its file: a new scheme is tested by being there."""

from __future__ import annotations

import importlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.scheme import ID_CHARS_MAX, Identity, MalformedEvent, UnknownScheme, load_scheme, scheme_names
from ingest.signature import InvalidSignature, SignedRequest
from tests.ingest.conftest import NOW_S, make_source, request_of, secret_of, signed_request

BODY = json.dumps({"id": "evt-1", "event_id": "evt-1", "type": "sample"}).encode()
SIGNED = [name for name in scheme_names() if load_scheme(name).signed]
every_scheme = pytest.mark.parametrize("name", scheme_names())
every_signed = pytest.mark.parametrize("name", SIGNED)


def refused(name: str, request: SignedRequest, *, now_s: float = NOW_S, secret: bytes | None = None) -> bool:
    verify = load_scheme(name).verify()
    try:
        verify(request, secret=secret if secret is not None else secret_of(name), now_s=now_s)
    except InvalidSignature:
        return True
    return False


def test_the_known_schemes_are_found() -> None:
    assert {"github", "stripe", "shopify", "slack", "standard", "hmac", "none"} <= set(scheme_names())
    with pytest.raises(UnknownScheme, match=r"known: .*github"):
        load_scheme("../server")


@every_scheme
def test_the_contract_is_kept(name: str) -> None:
    scheme = load_scheme(name)
    module = importlib.import_module(f"ingest.schemes.{name}")
    assert scheme.doc.partition("\n")[0].endswith((".", "``", "body", "by"))
    assert "Source:" in scheme.doc
    assert module.verify.__doc__
    assert all(header == header.lower() for header in scheme.kept_headers)
    assert not {"authorization", "cookie"} & set(scheme.kept_headers)
    assert scheme.retry_window_s >= 0
    assert scheme.options_model.model_config.get("extra") == "forbid"


@every_scheme
def test_what_sign_signs_is_accepted(name: str) -> None:
    source = make_source(name)
    request = signed_request(source, BODY)
    source.verify(request, now_s=NOW_S)
    identity = source.identify(request, json.loads(BODY))
    assert identity.event_id in ("evt-1", None)
    assert isinstance(identity, Identity)


@every_signed
def test_another_secret_is_refused(name: str) -> None:
    source = make_source(name)
    request = signed_request(source, BODY)
    assert refused(name, request, secret=secret_of(name, other=True))


@every_signed
def test_every_flipped_bit_of_the_body_is_refused(name: str) -> None:
    source = make_source(name)
    request = signed_request(source, BODY)
    for index in range(len(BODY)):
        changed = bytearray(BODY)
        changed[index] ^= 1
        assert refused(name, SignedRequest(request.method, request.url, request.headers, bytes(changed)))
    for body in (b"", BODY[:-1], BODY + b" ", BODY + b"\0"):
        assert refused(name, SignedRequest(request.method, request.url, request.headers, body))


@every_signed
def test_each_header_of_the_signature_is_needed_once_and_whole(name: str) -> None:
    source = make_source(name)
    request = signed_request(source, BODY)
    needed = 0
    for index, (key, value) in enumerate(request.headers):
        others = request.headers[:index] + request.headers[index + 1 :]
        without = SignedRequest("POST", "/", others, BODY)
        if not refused(name, without):
            continue  # a header that proves nothing, as a delivery's number
        needed += 1
        variants = [b"", b"\xff\xfe\x80", b"\xd9\xa1", value + b"x", value[:-1], value + b"\xff", b"0" * 5000, b"nan"]
        for variant in variants:
            assert refused(name, SignedRequest("POST", "/", (*others, (key, variant)), BODY)), (key, variant)
        for twice in ((key, value), (key, b"other")):
            assert refused(name, SignedRequest("POST", "/", (*request.headers, twice), BODY))
            assert refused(name, SignedRequest("POST", "/", (twice, *request.headers), BODY))
    assert needed >= 1


@every_signed
def test_old_and_future_requests_are_refused_where_a_timestamp_is_signed(name: str) -> None:
    source = make_source(name)
    request = signed_request(source, BODY)
    later = signed_request(source, BODY, now_s=NOW_S + 1)
    if later.headers == request.headers:
        pytest.skip("this provider signs no timestamp")
    assert not refused(name, request, now_s=NOW_S + 299)
    assert not refused(name, request, now_s=NOW_S - 299)
    assert refused(name, request, now_s=NOW_S + 301)
    assert refused(name, request, now_s=NOW_S - 301)


@every_signed
def test_any_live_secret_may_match(name: str) -> None:
    old, new = secret_of(name), secret_of(name, other=True)
    for secrets in ([new, old], [old, new]):
        make_source(name, secrets=secrets).verify(signed_request(make_source(name), BODY), now_s=NOW_S)
    with pytest.raises(InvalidSignature):
        make_source(name, secrets=[new, new]).verify(signed_request(make_source(name), BODY), now_s=NOW_S)


@every_signed
def test_an_empty_secret_cannot_be_configured(name: str) -> None:
    for secrets in ([], [b""], [secret_of(name), b""]):
        with pytest.raises(ValueError, match="secret"):
            make_source(name, secrets=secrets)


_names = st.sampled_from(
    [
        b"x-hub-signature-256", b"stripe-signature", b"x-shopify-hmac-sha256", b"x-slack-signature",
        b"x-slack-request-timestamp", b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"svix-id",
        b"svix-timestamp", b"svix-signature", b"x-signature", b"x-github-delivery", b"x-shopify-webhook-id",
    ]
)  # fmt: skip
_values = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b"1700000000", b"t=1700000000,v1=00", b"v1,AAAA", b"v0=00", b"sha256=", b"t=,v1=", b"1_0", b"1e9"]
    ),
)


@given(name=st.sampled_from(SIGNED), headers=st.lists(st.tuples(_names, _values), max_size=8), body=st.binary())
@example(name="slack", headers=[(b"x-slack-request-timestamp", b"9" * 12), (b"x-slack-signature", b"")], body=b"")
def test_verify_raises_nothing_but_invalid_signature(
    name: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    assert refused(name, SignedRequest("POST", "/", tuple(headers), body))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "event_id", "type", "event", "challenge"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(name=st.sampled_from(scheme_names()), headers=st.lists(st.tuples(_names, _values), max_size=4), body=_json)
def test_identify_and_handshake_raise_nothing_but_malformed_event(
    name: str, headers: list[tuple[bytes, bytes]], body: object
) -> None:
    scheme = load_scheme(name)
    request = SignedRequest("POST", "/", tuple(headers), b"")
    try:
        identity = scheme.identify(request, body)
    except MalformedEvent:
        return
    for text in (identity.event_id, identity.event_type):
        assert text is None or (isinstance(text, str) and 0 < len(text) <= ID_CHARS_MAX and text.encode())
    handshake = scheme.handshake()
    if handshake is not None:
        try:
            handshake(request, body, secret=secret_of(name), now_s=NOW_S)
        except MalformedEvent:
            return


@every_scheme
def test_an_id_of_the_wrong_kind_is_malformed(name: str) -> None:
    source = make_source(name)
    identity = source.identify(signed_request(source, BODY), json.loads(BODY))
    if identity.event_id is None:
        pytest.skip("this provider gives no id")
    field = source.scheme.id_field
    if field is not None:
        for wrong in (7, "", "x" * 257, ["a"], True):
            with pytest.raises(MalformedEvent):
                source.identify(signed_request(source, BODY), {field: wrong})
    else:
        with pytest.raises(MalformedEvent):
            source.identify(
                request_of(BODY, dict(source.sign(BODY, secret=source.secrets[0], now_s=NOW_S, event_id="x" * 257))), {}
            )
