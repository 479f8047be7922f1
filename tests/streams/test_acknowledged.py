"""Many records are published together, and each is reported when it is acknowledged, and not before."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from streams.acknowledged import IN_FLIGHT_MAX, publish_each
from streams.record import Record


class Batching:
    """A producer that acknowledges what was sent when the sends stop, and refuses the record ``refused``."""

    def __init__(self, refused: int = -1) -> None:
        self.refused = refused
        self.sent: list[asyncio.Future[Any]] = []
        self.batches: list[int] = []
        self._open: list[asyncio.Future[Any]] = []

    async def send(self, topic: str, value: bytes | None, *, key: bytes, headers: list[Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        if not self._open:
            loop.call_later(0.02, self._acknowledge)
        future: asyncio.Future[Any] = loop.create_future()
        self.sent.append(future)
        self._open.append(future)
        return future

    def _acknowledge(self) -> None:
        batch, self._open = self._open, []
        self.batches.append(len(batch))
        for future in batch:
            if self.sent.index(future) == self.refused:
                future.set_exception(MessageSizeTooLargeError())
            else:
                future.set_result(None)


def records(count: int) -> list[Record]:
    return [Record("t", str(number).encode(), b"{}") for number in range(count)]


def as_producer(batching: Batching) -> AIOKafkaProducer:
    return cast(AIOKafkaProducer, batching)


async def test_many_share_an_acknowledgement_and_no_more_than_the_bound_are_in_flight() -> None:
    producer = Batching()
    wanted = records(3 * IN_FLIGHT_MAX)
    reported: list[Record] = []
    async for record in publish_each(as_producer(producer), wanted):
        reported.append(record)
        assert producer.sent[len(reported) - 1].done()
        assert len(producer.sent) - len(reported) <= IN_FLIGHT_MAX
    assert reported == wanted
    assert len(producer.batches) <= 6
    assert max(producer.batches) <= IN_FLIGHT_MAX


async def test_the_first_that_is_refused_ends_it_after_all_before_it() -> None:
    producer = Batching(refused=7)
    publishing = publish_each(as_producer(producer), records(20))
    assert [await anext(publishing) for _ in range(7)] == records(7)
    with pytest.raises(KafkaError):
        await anext(publishing)


async def test_nothing_is_nothing() -> None:
    assert [record async for record in publish_each(as_producer(Batching()), [])] == []


async def test_a_broker_that_stops_acknowledging_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.acknowledged.ACKNOWLEDGED_S_MAX", 0.05)
    producer = Batching()
    producer._acknowledge = lambda: None  # type: ignore[method-assign]  # it is frozen
    with pytest.raises(TimeoutError):
        await anext(publish_each(as_producer(producer), records(3)))
