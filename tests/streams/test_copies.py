"""Which records of a queue are copies of one another."""

from __future__ import annotations

from dataclasses import replace

from streams.copies import COPIES_MAX, RecentCopies, copy_of
from streams.delivery import Delivery
from streams.event import Event, Receipt

EVENT = Event("orders", "1", "1", "t", 1_700_000_000_000, b"{}", b"1", "application/json")
DELIVERY = Delivery(EVENT, Receipt("orders", 0, 1), "to-crm", "crm")


def copy(delivery: Delivery) -> tuple[bytes | None, ...] | None:
    return copy_of(dict(delivery.to_headers()))


def test_a_delivery_that_was_written_twice_is_a_copy() -> None:
    copies = RecentCopies()
    assert copies.add(copy(DELIVERY))
    assert not copies.add(copy(replace(DELIVERY)))


def test_what_comes_back_or_comes_anew_is_no_copy() -> None:
    copies = RecentCopies()
    assert copies.add(copy(DELIVERY))
    assert copies.add(copy(replace(DELIVERY, round=1)))
    assert copies.add(copy(replace(DELIVERY, replay=1)))
    assert copies.add(copy(replace(DELIVERY, route="another")))
    assert copies.add(copy(replace(DELIVERY, receipt=Receipt("orders", 0, 2))))  # a provider's repeat after the TTL


def test_what_was_handed_on_may_be_handed_back() -> None:
    copies = RecentCopies()
    copies.add(copy(DELIVERY))
    copies.forget(copy(DELIVERY))
    assert copies.add(copy(DELIVERY))


def test_records_that_are_no_deliveries_are_never_copies() -> None:
    copies = RecentCopies()
    assert copy_of({"odd": b"1"}) is None
    assert copies.add(None)
    assert copies.add(None)


def test_memory_is_bounded() -> None:
    copies = RecentCopies()
    for n in range(COPIES_MAX + 1):
        copies.add((b"%d" % n,))
    assert copies.add((b"0",))
    assert not copies.add((b"%d" % COPIES_MAX,))
