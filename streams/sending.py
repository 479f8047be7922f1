"""Sending records and awaiting the acknowledgement of every one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from streams.fan_out import Unpublished
from streams.record import Record

RETRY_S = 1.0

log = structlog.get_logger("fan_out")


class Sender:
    """Sends with a started producer that is idempotent and waits for all in-sync replicas."""

    def __init__(
        self, producer: AIOKafkaProducer, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._producer = producer
        self._sleep = sleep

    async def send(self, records: Sequence[Record]) -> None:
        """Return when all records are acknowledged.

        Raises:
            Unpublished: some were not, and may be by trying again.
            KafkaError: the broker refused one for good; an idempotent producer is of no use after that
                (docs/adr/0005): the process ends, and a new one begins at the committed offset.
        """
        sent = [await self._begin(record) for record in records]
        failed: list[tuple[Record, KafkaError]] = []
        for record, pending in zip(records, sent, strict=True):  # they arrive together: no need to gather()
            try:
                if isinstance(pending, KafkaError):
                    raise pending
                await pending
            except KafkaError as error:
                failed.append((record, error))
        for _, refusal in failed:
            if not _transient(refusal):
                raise refusal
        if failed:
            raise Unpublished([record for record, _ in failed], repr(failed[0][1]))

    async def _begin(self, record: Record) -> Awaitable[Any] | KafkaError:
        try:
            pending: Awaitable[Any] = await self._producer.send(
                record.topic, record.value, record.key, headers=record.headers
            )
        except KafkaError as error:
            return error
        return pending

    async def append(self, topic: str, partition: int, key: bytes, value: bytes) -> int:
        """Return the offset of a record in this very partition; while the broker is away, wait as long as it takes.

        Raises:
            KafkaError: as `send`.
        """
        while True:
            try:
                pending = await self._producer.send(topic, value, key, partition=partition)
                return int((await pending).offset)
            except KafkaError as error:
                if not _transient(error):
                    raise
                log.warning("publish_failed", topic=topic, reason=repr(error))
                await self._sleep(RETRY_S)


def _transient(error: KafkaError) -> bool:
    # A timeout counts as final with aiokafka; here it is a broker that is away.
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError | KafkaConnectionError)
