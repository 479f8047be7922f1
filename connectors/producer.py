"""A producer to a Kafka cluster that is not necessarily Headrace's own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.errors import (
    CallError,
    CredentialsRefused,
    PermanentError,
    TimeoutExceeded,
    TransientError,
    Unreachable,
)
from connectors.kafka_connections import Connections, use

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

STOP_S_MAX = 2.0
PART_OF_CALL = 0.8  # of a call's time: what takes longer is given up before the call is over, so that it says why
START_PART = 0.9  # of that time, for the producer to find the cluster


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where a cluster is, and who we are to it."""

    bootstrap_servers: str
    context: ssl.SSLContext | None = field(default=None, repr=False)
    mechanism: str = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    record_bytes_max: int = 1_000_000
    timeout_s: float = 10.0
    allow_private: bool = False

    def options(self) -> dict[str, Any]:
        """Return what each connection needs."""
        sasl = self.password is not None
        protocol = ("SASL_" if sasl else "") + ("PLAINTEXT" if self.context is None else "SSL")
        options: dict[str, Any] = {"security_protocol": protocol}
        if self.context is not None:
            options["ssl_context"] = self.context
        if sasl:
            options |= {"sasl_mechanism": self.mechanism, "sasl_plain_username": self.username}
            options["sasl_plain_password"] = self.password
        return options

    @property
    def servers(self) -> list[str]:
        """The addresses to begin with."""
        return [server.strip() for server in self.bootstrap_servers.split(",") if server.strip()]

    def hosts(self) -> list[str]:
        """Return the hosts of these addresses.

        Raises:
            ValueError: one is none.
        """
        from aiokafka.conn import collect_hosts

        try:
            return [host for host, _, _ in collect_hosts(self.servers, randomize=False)]
        except (ValueError, IndexError):
            raise ValueError("bootstrap_servers is not host:port, host:port …") from None


class Producer:
    """Publishes records with acks of all in-sync replicas, through one idempotent producer.

    An idempotent producer never gives a batch up: one that could not be written in time would be written whenever the
    cluster is back, again for each attempt. So a producer that a call was cancelled in is given up for a new one.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._started: AIOKafkaProducer | None = None
        self._starting: asyncio.Task[AIOKafkaProducer] | None = None
        self._waiting = 0
        self._leaving: set[asyncio.Task[None]] = set()
        self._hosts = cluster.hosts()
        self._connections = Connections(self._hosts, allow_private=cluster.allow_private)

    async def publish(
        self, topic: str, value: bytes | None, *, key: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> str:
        """Return the record's place when all in-sync replicas have it.

        Raises:
            CallError: as `error_of` says; the record may have been written.
        """
        from aiokafka.errors import KafkaError, KafkaTimeoutError

        try:
            producer = await self._producer()
            try:
                written = await producer.send_and_wait(topic, value, key=key, headers=list(headers))
            except (asyncio.CancelledError, KafkaTimeoutError):
                self._give_up(producer)
                raise
        except (KafkaError, OSError, AssertionError) as error:
            raise self._explain(error_of(error)) from None
        return f"{written.topic}/{written.partition}/{written.offset}"

    def _explain(self, found: CallError) -> CallError:
        """Return what a failure comes from, if a broker could not be worked with, and the record is not to blame."""
        if not isinstance(found, TransientError):
            return found
        refusal, producer = self._connections.refusal(), self._started
        if producer is not None and (refusal is not None or producer._sender.sender_task.done()):
            self._give_up(producer)  # it would not find its way back by itself
        return refusal or found

    async def close(self) -> None:
        """Stop the producer; a record that is not written within two seconds is left."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        if self._started is not None:
            self._give_up(self._started)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _producer(self) -> AIOKafkaProducer:
        if self._started is not None:
            return self._started
        if self._starting is None:
            self._waiting = 0
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())  # seen, if by nobody
        starting = self._starting
        self._waiting += 1
        try:
            return await asyncio.shield(starting)  # whoever comes meanwhile waits for the same, and learns the same
        except asyncio.CancelledError:
            if self._waiting == 1 and self._starting is starting:  # nobody else waits: the next begins anew
                self._starting = None
                starting.cancel()
            raise
        finally:
            self._waiting -= 1

    async def _start(self) -> AIOKafkaProducer:
        from aiokafka import AIOKafkaProducer

        cluster = self._cluster
        within_s = cluster.timeout_s * PART_OF_CALL
        producer = AIOKafkaProducer(
            bootstrap_servers=cluster.servers,
            client_id="headrace",
            acks="all",
            enable_idempotence=True,
            max_request_size=cluster.record_bytes_max,
            request_timeout_ms=int(within_s * 1000),
            **cluster.options(),
        )
        self._connections = Connections(self._hosts, allow_private=cluster.allow_private)
        use(producer.client, self._connections.connect)
        try:
            # It waits for its id however long no broker can be worked with; and of a request that has no answer it says
            # only that no broker could be reached, so that the end of this comes first.
            async with asyncio.timeout(within_s * START_PART):
                await producer.start()
        except BaseException:
            self._leave(producer)
            raise
        finally:
            if self._starting is asyncio.current_task():
                self._starting = None
        self._started = producer
        return producer

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        if self._started is producer:
            self._started = None
            self._leave(producer)

    def _leave(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(_stop(producer))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), STOP_S_MAX)


def error_of(error: BaseException) -> CallError:
    """Return what a failure of Kafka means: as its protocol says what can be retried."""
    from aiokafka import errors as kafka

    # Kafka's own name of the error, such as TOPIC_AUTHORIZATION_FAILED; what aiokafka makes up itself has none.
    code = getattr(error, "message", "") or f"unexpected {type(error).__name__}"
    if isinstance(error, kafka.TopicAuthorizationFailedError | kafka.ClusterAuthorizationFailedError):
        return CredentialsRefused(f"the Kafka cluster refuses the user: {code}")
    if isinstance(error, kafka.UnknownTopicOrPartitionError):
        return TransientError("the Kafka cluster has no such topic (yet), or the user may not see it")
    if isinstance(error, kafka.MessageSizeTooLargeError | kafka.RecordTooLargeError):
        return PermanentError("the record is larger than record_bytes_max, or than the topic allows")
    if isinstance(error, TimeoutError):
        return TimeoutExceeded("the Kafka cluster does not answer in time")
    if isinstance(error, kafka.KafkaConnectionError | OSError):
        return Unreachable("the Kafka cluster could not be reached")
    if isinstance(error, kafka.InvalidTopicError | kafka.CorruptRecordException | AssertionError):
        return PermanentError(f"Kafka refuses the record: {code}")
    return TransientError(f"Kafka did not take the record: {code}")
