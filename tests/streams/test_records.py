"""Deliveries, dead letters and outcomes survive their way through Kafka; anything else is refused in one way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.dead_letter import Claim, DeadLetter, Failure, failed_delivery, replayed_letter, unreadable_record
from streams.delivery import Delivery, delivery_id
from streams.event import Event, Receipt, UnreadableRecord
from streams.outcome import Outcome, outcome_of

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
record_headers = st.lists(st.tuples(texts, st.binary(max_size=40)), max_size=8)
numbers = st.integers(0, 10**9)

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
deliveries = st.builds(
    Delivery,
    event=events,
    receipt=st.builds(Receipt, names, st.integers(0, 999), st.integers(0, 10**15)),
    route=names,
    destination=names,
    round=numbers,
    attempts=numbers,
    replay=numbers,
    key_replay=numbers,
    not_before_ms=numbers,
    first_failure_ms=numbers,
)
failures = st.builds(
    Failure,
    stage=st.sampled_from(["match", "route", "render", "call", "retry"]),
    topic=names,
    partition=st.integers(0, 999),
    offset=numbers,
    error_class=names,
    message=texts,
    status=st.none() | st.integers(100, 599),
    last_failure_ms=st.integers(1, 4_000_000_000_000),
)


@given(deliveries)
def test_a_delivery_survives_its_record(delivery: Delivery) -> None:
    record = delivery.to_record("deliveries.x")
    assert Delivery.from_record(record.key, record.value, record.headers) == delivery


@given(deliveries, failures, st.none() | st.builds(Claim, names, numbers, names))
def test_a_dead_letter_survives_its_record_and_gives_the_delivery_back(
    delivery: Delivery, failure: Failure, claim: Claim | None
) -> None:
    letter = replace(failed_delivery(delivery, failure), claim=claim)
    record = letter.to_record("dead-letter")
    read = DeadLetter.from_record(record.key, record.value, record.headers)
    assert read == letter
    assert read.delivery() == delivery
    assert read.id == delivery.id


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=20), record_headers)
def test_a_foreign_record_is_unreadable_and_nothing_else(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    for read in (Event.from_record, Delivery.from_record, DeadLetter.from_record):
        with pytest.raises(UnreadableRecord):
            read(key, value, headers)


@given(st.binary(max_size=60))
def test_a_foreign_outcome_is_unreadable_and_nothing_else(value: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        Outcome.from_record(value)


@given(deliveries, texts)
def test_an_outcome_survives_its_record(delivery: Delivery, detail: str) -> None:
    outcome = outcome_of(delivery, "settled", attempts=2, status=200, duration_s=0.5, now_ms=1, detail=detail)
    record = outcome.to_record("outcomes")
    assert record.value is not None
    assert Outcome.from_record(record.value) == outcome
    assert record.key == delivery.id.encode()


@given(names, texts, names, names, texts, names)
def test_delivery_ids_tell_their_parts_apart(a: str, b: str, c: str, d: str, e: str, f: str) -> None:
    same = (a, b, c) == (d, e, f)
    if "\0" not in b and "\0" not in e:
        assert (delivery_id(a, b, c) == delivery_id(d, e, f)) is same


def test_an_unreadable_record_is_kept_whole_and_its_replay_names_its_letter() -> None:
    failure = Failure("decode", "events.x", 3, 7, "UnreadableRecord", "why")
    letter = unreadable_record(b"k", b"v", [("a", b"1")], failure)
    assert letter.id == "events.x/3/7"
    again = letter.original()
    assert (again.topic, again.key, again.value) == ("events.x", b"k", b"v")
    assert replayed_letter(dict(again.headers)) == letter.id
    second = unreadable_record(again.key, again.value, again.headers, replace(failure, offset=9))
    assert second.id == letter.id  # the same letter, with a newer failure
    assert dict(second.original().headers)["a"] == b"1"
