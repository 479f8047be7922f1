"""Events survive their way through Kafka byte for byte, and bodies are read as their content type says."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.event import (
    BodyTooLarge,
    Event,
    MalformedBody,
    Receipt,
    UnreadableRecord,
    UnsupportedBody,
    dedup_id,
    format_time,
    inflate,
    parse_body,
    parse_time,
)

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
events = st.builds(
    Event,
    source=names,
    id=texts,
    dedup_id=texts,
    type=texts,
    time_ms=st.integers(0, 4_000_000_000_000),
    body=st.binary(max_size=200),
    key=st.binary(max_size=40),
    content_type=texts,
    content_encoding=texts,
    headers=st.dictionaries(names, texts, max_size=3),
)


def parse(body: bytes, content_type: str = "application/json", encoding: str = "", limit: int = 100_000) -> object:
    return parse_body(body, content_type, encoding, body_bytes_max=limit)


@given(events)
def test_an_event_survives_its_record(event: Event) -> None:
    assert Event.from_record(event.key, event.body, event.to_headers()) == event


@given(events, st.lists(st.tuples(texts, st.binary(max_size=20)), max_size=4))
def test_headers_of_other_kinds_are_passed_over(event: Event, others: list[tuple[str, bytes]]) -> None:
    known = {name for name, _ in event.to_headers()} | {"content-encoding"}
    others = [(name, b"x") for name, _ in others if name not in known and not name.startswith("header.")]
    assert Event.from_record(event.key, event.body, [*others, *event.to_headers()]) == event


@given(st.none() | st.binary(), st.none() | st.binary(), st.lists(st.tuples(texts, st.binary(max_size=40)), max_size=8))
def test_any_other_record_is_unreadable(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    with pytest.raises(UnreadableRecord):
        Event.from_record(key, value, headers)


def test_a_record_of_a_later_version_is_unreadable() -> None:
    event = Event("github", "1", "1", "push", 0, b"{}", b"1")
    headers = [(name, b"2" if name == "headrace-version" else value) for name, value in event.to_headers()]
    with pytest.raises(UnreadableRecord, match="version"):
        Event.from_record(b"1", b"{}", headers)


@given(names, st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))
def test_a_receipt_is_read_back(source: str, partition: int, offset: int) -> None:
    receipt = Receipt(source, partition, offset)
    assert Receipt.parse(str(receipt)) == receipt


@given(st.text())
def test_any_text_is_a_receipt_or_a_value_error(text: str) -> None:
    try:
        receipt = Receipt.parse(text)
    except ValueError:
        return
    assert Receipt.parse(str(receipt)) == receipt


@pytest.mark.parametrize(
    "text", ["", "github/1", "github/1/2/3", "github/٣/1", "github/-1/1", "GitHub/1/1", "github/1/1\n"]
)
def test_what_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a receipt"):
        Receipt.parse(text)


@given(st.integers(0, 250_000_000_000_000))
def test_times_are_read_back(time_ms: int) -> None:
    assert parse_time(format_time(time_ms)) == time_ms


def test_a_time_looks_like_rfc_3339() -> None:
    assert format_time(1_767_323_045_678) == "2026-01-02T03:04:05.678Z"


def test_a_signed_id_is_the_dedup_id_and_an_unsigned_one_is_bound_to_its_body() -> None:
    assert dedup_id("e1", b"body", id_signed=True) == "e1"
    assert dedup_id(None, b"body", id_signed=True) == hashlib.sha256(b"body").hexdigest()
    unsigned = {dedup_id("e1", b"body", id_signed=False), dedup_id("e1", b"other", id_signed=False)}
    assert len(unsigned) == 2
    assert "e1" not in unsigned


@given(texts, st.binary(), texts, st.binary())
def test_unsigned_ids_collide_only_if_id_and_body_are_the_same(id1: str, body1: bytes, id2: str, body2: bytes) -> None:
    same = dedup_id(id1, body1, id_signed=False) == dedup_id(id2, body2, id_signed=False)
    assert same == ((id1, body1) == (id2, body2))


@given(
    st.binary(),
    st.sampled_from(["", "application/json", "text/plain", "application/x-www-form-urlencoded"]) | texts,
    texts,
)
def test_any_body_is_read_or_refused_in_one_of_three_ways(body: bytes, content_type: str, encoding: str) -> None:
    for coding in ("", encoding, "gzip"):
        try:
            parse(body, content_type, coding)
        except (MalformedBody, UnsupportedBody, BodyTooLarge):
            continue


@given(st.dictionaries(texts, st.integers(-(2**53), 2**53) | texts | st.none(), max_size=5))
def test_json_is_read(value: dict[str, object]) -> None:
    encoded = orjson.dumps(value)
    for content_type in ("application/json", "", "application/vnd.api+json; charset=utf-8", "Application/JSON"):
        assert parse(encoded, content_type) == value


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"{} {}", b"NaN", b'{"a":1,}'])
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse(body)


@given(st.dictionaries(texts, texts, max_size=5))
def test_a_form_is_read(form: dict[str, str]) -> None:
    assert parse(urlencode(form).encode(), "application/x-www-form-urlencoded") == form


def test_a_repeated_field_of_a_form_is_a_list() -> None:
    assert parse(b"a=1&b=&a=2&a=3", "application/x-www-form-urlencoded") == {"a": ["1", "2", "3"], "b": ""}


@pytest.mark.parametrize("body", [b"a", b"=&=&x", b"&".join(b"a=1" for _ in range(20_000)), b"a=%ff\xff"])
def test_what_is_no_form_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse(body, "application/x-www-form-urlencoded")


def test_text_and_xml_are_text() -> None:
    assert parse("café".encode("latin-1"), "text/plain; charset=iso-8859-1") == "café"
    assert parse(b"<a/>", "application/soap+xml") == "<a/>"


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "image/png", "multipart/form-data", "text/plain; charset=nope"]
)
def test_other_types_are_not_supported(content_type: str) -> None:
    with pytest.raises(UnsupportedBody):
        parse(b"x", content_type)


@given(st.binary(max_size=2000))
def test_compressed_bodies_are_inflated(body: bytes) -> None:
    assert inflate(gzip.compress(body), "gzip", body_bytes_max=2000) == body
    assert inflate(zlib.compress(body), " Deflate ", body_bytes_max=2000) == body
    assert inflate(body, "identity", body_bytes_max=0) == body


def test_inflation_stops_at_the_limit() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    with pytest.raises(BodyTooLarge):
        inflate(bomb, "gzip", body_bytes_max=1000)


@pytest.mark.parametrize(
    "broken", [b"", b"x", gzip.compress(b"abc", mtime=0)[:-3], gzip.compress(b"abc", mtime=0) + b"tail"]
)
def test_broken_compression_is_malformed(broken: bytes) -> None:
    with pytest.raises(MalformedBody):
        inflate(broken, "gzip", body_bytes_max=1000)


def test_the_scope_of_expressions() -> None:
    event = Event("orders", "1", "1", "created", 0, b'{"a": 1}', b"1", headers={"x": "y"})
    assert event.scope(Receipt("orders", 2, 3), body_bytes_max=100) == {
        "body": {"a": 1},
        "event": {
            "id": "1",
            "source": "orders",
            "type": "created",
            "time": "1970-01-01T00:00:00.000Z",
            "receipt": "orders/2/3",
        },
        "headers": {"x": "y"},
    }
