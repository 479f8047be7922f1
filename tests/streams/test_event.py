"""Events survive their way through Kafka byte for byte, and bodies are read as their content type says."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.event import Event, Receipt, UnreadableRecord, dedup_id, format_time, parse_time

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
