"""Awaiting every acknowledgement: what may be tried again, and what ends the process."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, RequestTimedOutError

from streams.fan_out import Unpublished
from streams.record import Record
from streams.sending import Sender

RECORDS = [Record("t", key, b"v") for key in (b"a", b"b", b"c")]


class Producer:
    """``refusals`` are what the next sends end with: raised at once, or by the future; ``None`` is an ack."""

    def __init__(self, *refusals: tuple[str, Exception] | None) -> None:
        self.refusals = list(refusals)
        self.sent: list[bytes] = []

    async def send(self, topic: str, value: bytes, key: bytes, **_: Any) -> asyncio.Future[Any]:
        refusal = self.refusals.pop(0) if self.refusals else None
        self.sent.append(key)
        if refusal is not None and refusal[0] == "at once":
            raise refusal[1]
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if refusal is None:
            future.set_result(SimpleNamespace(offset=len(self.sent)))
        else:
            future.set_exception(refusal[1])
        return future


def sender(producer: Any) -> Sender:
    return Sender(producer, sleep=lambda _: asyncio.sleep(0))


async def test_what_was_not_acknowledged_is_named() -> None:
    producer = Producer(("at once", KafkaTimeoutError()), None, ("later", RequestTimedOutError()))
    with pytest.raises(Unpublished) as raised:
        await sender(producer).send(RECORDS)
    assert raised.value.records == [RECORDS[0], RECORDS[2]]
    assert producer.sent == [b"a", b"b", b"c"]


async def test_all_acknowledged() -> None:
    await sender(Producer()).send(RECORDS)


async def test_a_refusal_for_good_is_passed_on() -> None:
    with pytest.raises(MessageSizeTooLargeError):
        await sender(Producer(("later", KafkaTimeoutError()), ("at once", MessageSizeTooLargeError()))).send(RECORDS)
    with pytest.raises(MessageSizeTooLargeError):
        await sender(Producer(("later", MessageSizeTooLargeError()))).append("t", 0, b"k", b"v")


async def test_a_row_is_appended_until_it_is_acknowledged() -> None:
    producer = Producer(("at once", KafkaTimeoutError()), ("later", RequestTimedOutError()))
    assert await sender(producer).append("t", 0, b"k", b"v") == 3
