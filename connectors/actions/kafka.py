"""Kafka: records in a topic, of this cluster or another.

Example::

    destinations:
      other-cluster:
        connector: kafka
        bootstrap_servers: kafka-1.example.com:9093, kafka-2.example.com:9093
        tls: true
        username: headrace
        password_env: OTHER_KAFKA_PASSWORD
    routes:
      - name: order-to-kafka
        source: orders
        to: other-cluster
        action: publish
        with: {topic: shop.orders, key: "{{ body.id }}", value: "{{ body }}"}

Source: kafka.apache.org/documentation, "Producer configs" (acks, enable.idempotence); aiokafka.readthedocs.io.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, ValidationInfo, field_validator

from connectors.connector import Call, Connector, DestinationSettings, EnvName
from connectors.content import is_base64, read_base64
from connectors.errors import PermanentError
from connectors.producer import Cluster, Producer
from connectors.rules import at_most_one
from connectors.tls import Tls
from connectors.web_settings import TableFile

DELIVERY_HEADER = "headrace-delivery"

Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class KafkaSettings(DestinationSettings):
    """A destination of connector ``kafka``: one cluster."""

    bootstrap_servers: str = Field(pattern=r"^[A-Za-z0-9._:\[\], -]{1,1000}$", description="host:port, host:port …")
    tls: bool = False
    allow_private: bool = Field(
        False,
        description="Let a broker's host be a name that leads to a private, loopback or link-local address, or such an "
        "address itself that the cluster names for its brokers. A number in `bootstrap_servers` needs no leave.",
    )
    ca_file: TableFile | None = Field(None, description="A PEM file with the only authorities to trust.")
    client_cert_env: EnvName | None = Field(None, description="Mutual TLS: the certificate (and chain), as PEM.")
    client_key_env: EnvName | None = Field(None, description="Mutual TLS: the certificate's key, as PEM.")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password_env: EnvName | None = Field(None, description="With username: SASL.")
    record_bytes_max: int = Field(1_000_000, ge=1000, le=100_000_000, description="As the topic's max.message.bytes.")

    @field_validator("password_env")
    @classmethod
    def _with_username(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and info.data.get("username") is None:
            raise ValueError("needs username too")
        return name


async def _open(settings: KafkaSettings, secrets: Mapping[str, str]) -> Producer:
    context = None
    if settings.tls:
        context = Tls(settings.ca_file, secrets.get("client_cert_env"), secrets.get("client_key_env")).context()
    cluster = Cluster(
        settings.bootstrap_servers,
        context=context,
        mechanism=settings.sasl_mechanism,
        username=settings.username,
        password=secrets.get("password_env"),
        record_bytes_max=settings.record_bytes_max,
        timeout_s=settings.timeout_s,
        allow_private=settings.allow_private,
    )
    return Producer(cluster)


kafka = Connector("kafka", KafkaSettings, prepare=_open)


@kafka.action_with(at_most_one("value", "value_base64"), is_base64("value_base64"))
async def publish(
    call: Call,
    *,
    topic: Topic,
    value: Any = None,
    value_base64: str | None = None,
    key: str | None = None,
    headers: dict[str, str] | None = None,
) -> str:
    """Publish one record, at least once: a retry after a lost answer publishes it again, with the same delivery id.

    The producer waits for all in-sync replicas, and is idempotent: a repeat by the producer itself is dropped by the
    broker. One by Headrace is not, and shows by the header ``headrace-delivery``. ``value`` is written as it is if
    it is text, else as JSON; ``value_base64`` as raw bytes; without both the record is a tombstone.

    Returns:
        The record's topic, partition and offset.

    Raises:
        PermanentError: the record is too large, or cannot be encoded.
        TransientError: the cluster could not be reached, is failing, or has no such topic (yet).
        CredentialsRefused: the cluster refuses the user, or the user may not write to the topic.
    """
    try:
        raw = None if value is None else value.encode() if isinstance(value, str) else orjson.dumps(value)
        raw = raw if value_base64 is None else read_base64(value_base64, "value_base64")
        pairs = [(DELIVERY_HEADER, call.idempotency_key.encode())]
        pairs += [(name, text.encode()) for name, text in (headers or {}).items() if name != DELIVERY_HEADER]
        raw_key = None if key is None else key.encode()
    except (TypeError, ValueError):
        raise PermanentError("the record cannot be encoded") from None
    producer: Producer = call.prepared
    place = await producer.publish(topic, raw, key=raw_key, headers=pairs)
    return f"record {place}"
