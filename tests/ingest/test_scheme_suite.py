"""What every scheme must do, found by its file: a new scheme is tested by being there."""

from __future__ import annotations

import hmac
import importlib
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import ValidationError

from ingest.scheme import CannotSign, Identity, MalformedEvent, SchemeOptions, UnknownScheme, load_scheme, scheme_names
from ingest.signature import InvalidSignature, SignedRequest
from ingest.signing import sample_body
from ingest.sources import Source
from streams.body import parse_body
from tests.ingest.conftest import NOW_S, document_of, keys_of, make_source, secret_of, signed_request

SIGNED = [name for name in scheme_names() if load_scheme(name).signed]
every_scheme = pytest.mark.parametrize("name", scheme_names())
every_signed = pytest.mark.parametrize("name", SIGNED)


def with_secret(names: list[str]) -> list[str]:
    return [name for name in names if load_scheme(name).needs_secret]


def sample_request(source: Source, *, event_id: str = "evt-1", now_s: float = NOW_S) -> SignedRequest:
    scheme = source.scheme
    path = scheme.id_field.split(".") if scheme.id_field else ["id"]
    body = sample_body(scheme, path, event_id)
    return signed_request(source, body, event_id=event_id, now_s=now_s, content_type=scheme.content_type)


def refused(source: Source, request: SignedRequest, *, now_s: float = NOW_S) -> bool:
    try:
        source.verify(request, now_s=now_s, document=document_of(source.scheme.name))
    except InvalidSignature:
        return True
    return False


def identity_of(source: Source, request: SignedRequest) -> Identity:
    types = request.values(b"content-type")
    body = parse_body(request.body, types[0].decode() if types else "", "", body_bytes_max=2**20)
    items = source.items(body)
    return source.identify(request, body) if items is None else source.scheme.identify_item(request, items[0])


def proof_headers(source: Source, request: SignedRequest) -> list[int]:
    """Return the places of the headers without which the request is refused."""
    places = range(len(request.headers))
    return [at for at in places if refused(source, replace(request, headers=_without(request.headers, at)))]


def _without(headers: tuple[tuple[bytes, bytes], ...], at: int) -> tuple[tuple[bytes, bytes], ...]:
    return headers[:at] + headers[at + 1 :]


def _changed(request: SignedRequest, at: int, value: bytes) -> SignedRequest:
    name = request.headers[at][0]
    return replace(request, headers=(*_without(request.headers, at), (name, value)))


def flips(body: bytes) -> Iterator[bytes]:
    for index in range(len(body)):
        yield body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :]


def test_the_known_schemes_are_found() -> None:
    assert {"github", "stripe", "shopify", "slack", "standard", "hmac", "none"} <= set(scheme_names())
    with pytest.raises(UnknownScheme, match=r"known: .*github"):
        load_scheme("../server")


@every_scheme
def test_the_contract_is_kept(name: str) -> None:
    scheme = load_scheme(name)
    module = importlib.import_module(f"ingest.schemes.{name}")
    assert scheme.doc.partition("\n\n")[0].strip()[-1] in ".`)", "the docstring's first paragraph is a sentence"
    assert "Source:" in scheme.doc
    for function in ("verify", "identify", "sign", "handshake", "challenge", "greeting", "split", "needs"):
        assert not hasattr(module, function) or getattr(module, function).__doc__, function
    assert all(header == header.lower() for header in scheme.kept_headers)
    assert not {"authorization", "cookie"} & set(scheme.kept_headers)
    assert scheme.retry_window_s >= 0
    assert scheme.answer_within_s is None or scheme.answer_within_s > 0
    assert scheme.timestamp_tolerance_s is None or scheme.timestamp_tolerance_s > 0
    assert scheme.options_model.model_config.get("extra") == "forbid"
    further = [key for key in scheme.options_model.model_fields if key.endswith("_env")]
    assert not further or issubclass(scheme.options_model, SchemeOptions)
    assert hasattr(module, "needs") == bool(scheme.document_hosts)
    assert not hasattr(module, "identify_item") or scheme.split is not None


@every_scheme
def test_what_sign_signs_is_accepted(name: str) -> None:
    source = make_source(name)
    request = sample_request(source)
    assert not refused(source, request)
    identity = identity_of(source, request)
    assert identity.event_id is None or "evt-1" in identity.event_id
    assert identity.event_id is None or identity.id_signed == source.scheme.signed_id
    assert (identity.event_id is None) == (source.scheme.id_at == "")
    assert identity.event_type is None or source.scheme.type_at


@every_scheme
def test_another_id_is_refused_where_the_id_is_signed(name: str) -> None:
    source = make_source(name)
    request = sample_request(source)
    if not source.scheme.signed_id:
        return
    assert source.scheme.signed
    headers = tuple((key, value.replace(b"evt-1", b"evt-2")) for key, value in request.headers)
    body = request.body.replace(b"evt-1", b"evt-2")
    assert (headers, body) != (request.headers, request.body)
    assert refused(source, replace(request, headers=headers, body=body))


@pytest.mark.parametrize("name", with_secret(SIGNED))
def test_another_secret_is_refused(name: str) -> None:
    request = sample_request(make_source(name))
    assert refused(make_source(name, secrets=[secret_of(name, other=True)]), request)


@every_signed
def test_every_flipped_bit_of_the_body_is_refused(name: str) -> None:
    source = make_source(name)
    request = sample_request(source)
    if not source.scheme.signs_body:
        return
    for body in (*flips(request.body), b"", request.body[:-1], request.body + b"x", request.body + b"\0"):
        assert refused(source, replace(request, body=body)), body


@every_signed
def test_each_header_of_the_signature_is_needed_once_and_whole(name: str) -> None:
    source = make_source(name)
    request = sample_request(source)
    for at in proof_headers(source, request):
        key, value = request.headers[at]
        variants = [b"", b"\xff\xfe\x80", b"\xd9\xa1", value + b"x", value[:-1], value + b"\xff", b"0" * 5000, b"nan"]
        for variant in variants:
            assert refused(source, _changed(request, at, variant)), (key, variant)
        for twice in ((key, value), (key, b"other")):
            assert refused(source, replace(request, headers=(*request.headers, twice)))
            assert refused(source, replace(request, headers=(twice, *request.headers)))


@every_signed
def test_the_proof_is_somewhere(name: str) -> None:
    source = make_source(name)
    request = sample_request(source)
    bare = replace(request, headers=tuple(pair for pair in request.headers if pair[0] == b"content-type"))
    plain = sample_body(source.scheme, (source.scheme.id_field or "id").split("."), "evt-1")
    assert refused(
        source, replace(bare, body=plain, url="/webhook/x", public_url="https://hooks.example.com/webhook/x")
    )


@every_signed
def test_the_prefix_of_another_algorithm_is_refused(name: str) -> None:
    source = make_source(name)
    request = sample_request(source)
    for at in proof_headers(source, request):
        key, value = request.headers[at]
        if key == b"content-type":
            continue
        rest = re.sub(rb"^[A-Za-z0-9-]{1,12}[=,]", b"", value)
        versions = (b"v9,", b"v1a,") if re.match(rb"v[0-9]+,", value) else ()  # elsewhere , parts a list
        for prefix in (b"sha256=", b"sha1=", b"sha512=", b"md5=", b"none=", b"v9=", *versions, b""):
            variants = {prefix + value, prefix + rest} - {value}
            assert all(refused(source, _changed(request, at, variant)) for variant in variants), (key, prefix)


@every_signed
def test_old_and_future_requests_are_refused_where_a_timestamp_is_signed(name: str) -> None:
    source = make_source(name)
    request = sample_request(source)
    tolerance_s = source.scheme.timestamp_tolerance_s
    if tolerance_s is None:
        return
    for way in (1, -1):
        assert not refused(source, request, now_s=NOW_S + way * (tolerance_s - 1))
        assert refused(source, request, now_s=NOW_S + way * (tolerance_s + 1))


@pytest.mark.parametrize("name", [name for name in SIGNED if load_scheme(name).signs_url])
def test_another_address_is_refused_where_it_is_signed(name: str) -> None:
    source = make_source(name)
    request = sample_request(source)
    for address in ("", "https://other.example.com/webhook/x", request.public_url + "x", request.public_url + "?a=1"):
        assert refused(source, replace(request, public_url=address)), address


@pytest.mark.parametrize("name", with_secret(SIGNED))
def test_any_live_secret_may_match_and_is_told(name: str) -> None:
    old, new = secret_of(name), secret_of(name, other=True)
    request, document = sample_request(make_source(name)), document_of(name)
    for secrets, position in (([old, new], 1), ([new, old], 2)):
        match = make_source(name, secrets=secrets).verify(request, now_s=NOW_S, document=document)
        assert (match.secret, match.position) == (old, position)
    with pytest.raises(InvalidSignature):
        make_source(name, secrets=[new, new]).verify(request, now_s=NOW_S, document=document)


@pytest.mark.parametrize("name", with_secret(SIGNED))
def test_an_empty_secret_cannot_be_configured(name: str) -> None:
    for secrets in ([], [b""], [secret_of(name), b""]):
        with pytest.raises(ValueError, match="secret"):
            make_source(name, secrets=secrets)


@pytest.mark.parametrize("name", [name for name in SIGNED if not load_scheme(name).needs_secret])
def test_a_scheme_without_a_secret_takes_none(name: str) -> None:
    with pytest.raises(ValidationError, match="remove secret_env"):
        make_source(name, secret_env="SECRET")


@pytest.mark.parametrize("name", [name for name in with_secret(SIGNED) if load_scheme(name).make_keys is None])
def test_a_shared_secret_is_compared_in_constant_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source(name)
    request = sample_request(source)
    compared: list[tuple[object, object]] = []
    real = hmac.compare_digest

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return real(left, right)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    source.verify(request, now_s=NOW_S, document=document_of(name))
    assert compared, "nothing went through hmac.compare_digest"
    compared.clear()
    assert refused(make_source(name, secrets=[secret_of(name, other=True)]), request)
    assert compared, "a wrong signature was refused before it was compared"


@pytest.mark.parametrize("name", [name for name in SIGNED if load_scheme(name).make_keys is not None])
def test_a_public_key_signs_nothing_and_says_so(name: str) -> None:
    source = make_source(name)
    signing_key, secret = keys_of(name)
    assert all(key.isascii() and b"\n" not in key for key in (signing_key, secret))
    with pytest.raises(CannotSign, match=r"key"):
        signed_request(source, b"{}", signing_key=secret or b"-")


@every_scheme
def test_an_id_of_the_wrong_kind_is_malformed(name: str) -> None:
    source = make_source(name)
    field = source.scheme.id_field
    if source.scheme.id_at and field is not None and "." not in field and source.scheme.split is None:
        for wrong in ("", "x" * 257, ["a"], True, {}):
            with pytest.raises(MalformedEvent):
                source.identify(sample_request(source), {field: wrong})
