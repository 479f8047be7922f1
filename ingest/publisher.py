"""Publishing an event: returns only when every in-sync replica has it, and within a bound."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from ingest.accept import Unavailable
from ingest.partitioner import partition_of
from streams.event import Event, Receipt
from streams.kafka import FAILURES, KafkaSettings, records_waiting
from streams.topics import TopicNames
from streams.tracing import Tracing, traceparent_header

ACK_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 5.0
PROBE_S = 2.0
PROBE_TIMEOUT_S = 3.0

log = structlog.get_logger("ingest")


class Publisher:
    """One producer, kept connected: it starts when Kafka is there, and again if it breaks for good.

    Weakness: an event whose publishing timed out may still be written later, and is then sent again by its provider.
    Fan-out drops the second one by its dedup id.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        names: TopicNames,
        *,
        ack_timeout_s: float = ACK_TIMEOUT_S,
        producer: Callable[[], Any] | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._kafka = kafka
        self._new_producer = producer or functools.partial(kafka.producer, partitioner=partition_of)
        self._names = names
        self._tracing = tracing or Tracing()
        self._ack_timeout_s = ack_timeout_s
        self._producer: Any = None
        self._keeper: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether Kafka answered the last probe."""
        return self._ready

    @property
    def records_waiting(self) -> int:
        """How many records Kafka has not acknowledged yet."""
        return records_waiting(self._producer)

    async def start(self) -> None:
        """Begin to connect, and return at once; until Kafka answers, `publish` raises `Unavailable`."""
        self._keeper = asyncio.create_task(self._keep(), name="publisher")

    async def connected(self, timeout_s: float) -> bool:
        """Return once Kafka answers, and whether it did within ``timeout_s``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), timeout_s)
        return self._connected.is_set()

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End within ``timeout_s``. Publish nothing after it."""
        self._ready = False
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._drop(timeout_s)

    async def publish(self, event: Event, *, timeout_s: float | None = None) -> Receipt:
        """Return the event's address once every in-sync replica has it.

        ``timeout_s`` is the bound of this one, if not the publisher's own.

        Raises:
            Unavailable: the acknowledgement did not come within the bound. The event may still be written.
        """
        if not self._tracing.on:
            return await self._publish(event, event.to_headers(), timeout_s=timeout_s)
        with self._tracing.span(f"publish {event.source}", "producer", event_id=event.id) as span:
            trace = traceparent_header(self._tracing.traceparent())
            receipt = await self._publish(event, [*event.to_headers(), *trace], timeout_s=timeout_s)
            span.note(receipt=str(receipt))
            return receipt

    async def _publish(self, event: Event, headers: list[tuple[str, bytes]], *, timeout_s: float | None) -> Receipt:
        producer = self._producer
        if producer is None:
            raise Unavailable
        try:
            async with asyncio.timeout(self._ack_timeout_s if timeout_s is None else timeout_s):
                acknowledged = await producer.send(
                    self._names.events(event.source),
                    value=event.body,
                    key=event.key,
                    headers=headers,
                    timestamp_ms=event.time_ms,
                )
                record = await acknowledged
        except TimeoutError as error:
            raise Unavailable from error
        except (KafkaError, OSError) as error:
            self._failed(producer, event, error)
            raise Unavailable from error
        if record.offset < 0:  # Kafka has the event, but no longer knows where: a receipt that finds nothing is none
            raise Unavailable
        receipt = Receipt(event.source, record.partition, record.offset)
        log.debug("event_accepted", source=event.source, event_id=event.id, receipt=str(receipt))
        return receipt

    def _failed(self, producer: Any, event: Event, error: Exception) -> None:
        log.warning("publish_failed", source=event.source, event_id=event.id, error=type(error).__name__)
        # A refusal for good may leave the producer refusing everything, as after a gap in its sequence numbers.
        if producer is self._producer and not getattr(error, "retriable", False):
            self._broken.set()

    async def _keep(self) -> None:
        pause_s = 0.2
        while True:
            try:
                await self._connect()
                pause_s = 0.2
                await self._watch()
            except FAILURES as error:
                why = await self._kafka.unavailable(error)
                log.warning("kafka_unavailable", error=str(why), retry_in_s=pause_s)
            await self._drop(STOP_TIMEOUT_S)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)

    async def _connect(self) -> None:
        producer = self._new_producer()
        try:
            async with asyncio.timeout(10):
                await producer.start()
        except BaseException:
            await _stop_quietly(producer, 1.0)
            raise
        self._broken.clear()
        self._producer, self._ready = producer, True
        self._connected.set()
        log.info("kafka_connected")

    async def _watch(self) -> None:
        """Return when the producer is of no more use; until then keep ``ready`` true to what Kafka answers."""
        while not self._broken.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._broken.wait(), PROBE_S)
            ready, was_ready = await self._probe(), self._ready
            self._ready = ready
            if ready and not was_ready:
                log.warning("kafka_answers")
            elif was_ready and not ready:
                log.warning("kafka_silent", error=str(await self._kafka.unavailable(TimeoutError())))

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                # The producer's own connection, so that a probe says what a publish would meet.
                return bool(await self._producer.client.force_metadata_update())
        except (KafkaError, TimeoutError, OSError):
            return False

    async def _drop(self, timeout_s: float) -> None:
        producer, self._producer, self._ready = self._producer, None, False
        self._connected.clear()
        if producer is not None:
            await _stop_quietly(producer, timeout_s)


async def _stop_quietly(producer: Any, timeout_s: float) -> None:
    # Without a bound this waits for batches that a broker that is away never takes (aiokafka #1101).
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(timeout_s):
            await producer.stop()
            return
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(1.0):
            await producer.client.close()
