"""The topics of a routing table on a broker: created where missing, and checked before any work starts."""

from __future__ import annotations

import asyncio

import structlog
from aiokafka.admin import AIOKafkaAdminClient

from headrace.config import RoutingTable
from headrace.context import Settings
from streams.topic_configs import TopicError
from streams.topic_difference import MIN_INSYNC as MIN_INSYNC_KEY
from streams.topic_difference import Difference, change, compare, create_missing
from streams.topics import RECORD_BYTES, TopicSpec, required_topics

REPLICAS = 3
MIN_INSYNC = 2
VISIBLE_S_MAX = 15.0
VISIBLE_POLL_S = 0.05
_LOOPBACK = ("127.", "localhost:", "[::1]:")

log = structlog.get_logger("topics")


def topic_specs(settings: Settings, table: RoutingTable) -> list[TopicSpec]:
    """Return what the topics of ``table`` must be."""
    return required_topics(
        settings.topic_names,
        sources={name: source.body_bytes_max for name, source in table.sources.items()},
        destinations=table.destinations,
        prioritized=table.prioritized,
        delays_s=table.delays_s,
        dedup_ttl_s_max=table.dedup_ttl_s_max,
        partitions=settings.partitions,
        events_retention_ms=settings.retention_events_s * 1000,
        outcomes_retention_ms=settings.retention_outcomes_s * 1000,
        schedules=bool(table.schedules),
        shadow=table.shadows,
    )


async def ensure_topics(settings: Settings, table: RoutingTable) -> list[str]:
    """Create the topics that are missing and return their names; what merely differs is logged.

    A topic that holds too small records for a ``body_bytes_max`` that was raised is altered: otherwise the broker
    would refuse such an event for ever.

    Raises:
        KafkaUnavailable: no broker answers.
        TopicError: a topic has another number of partitions, a topic may lose accepted events with one broker or
            can accept none, or the broker refused a topic.
    """
    specs = topic_specs(settings, table)
    async with settings.kafka(table).admin() as admin:
        created = await create(admin, settings, specs)
        differences = await differences_of(admin, settings, specs)
        small = [difference for difference in differences if difference.key == RECORD_BYTES]
        await change(admin, small)
    if created:
        log.info("topics_created", count=len(created))
    if small:
        log.info("topics_hold_larger_records", topics=[difference.topic for difference in small])
    for difference in differences:
        if not difference.fatal:
            log.warning("topic_differs", topic=difference.topic, difference=str(difference))
    refuse([difference for difference in differences if difference not in small])
    return created


async def create(admin: AIOKafkaAdminClient, settings: Settings, specs: list[TopicSpec]) -> list[str]:
    """Create what is missing, with as many replicas as the settings say or the cluster can hold, up to three.

    Raises:
        TopicError: the broker refused a topic, or the cluster is too small to keep what it accepts.
    """
    brokers = await _broker_count(admin)
    replicas = settings.replication_factor or min(REPLICAS, brokers)
    min_insync = settings.min_insync_replicas or (MIN_INSYNC if replicas > 1 else 1)
    if min_insync < required_insync(settings):
        raise TopicError(
            f"with {brokers} broker(s) at {settings.bootstrap_servers} an accepted event could be lost with a disk:"
            " use at least two, or accept it with HEADRACE_MIN_INSYNC_REPLICAS=1"
        )
    created = await create_missing(admin, specs, replication_factor=replicas, min_insync=min_insync)
    await _wait_visible(admin, specs)
    return created


async def _wait_visible(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> None:
    """Return when the broker shows every topic: it answers that they are created a little earlier than that."""
    try:
        async with asyncio.timeout(VISIBLE_S_MAX):
            while any(difference.missing for difference in await compare(admin, specs)):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(VISIBLE_POLL_S)
    except TimeoutError as error:
        raise TopicError(f"the broker does not show new topics within {VISIBLE_S_MAX:.0f} s") from error


async def differences_of(admin: AIOKafkaAdminClient, settings: Settings, specs: list[TopicSpec]) -> list[Difference]:
    """Return what differs on the broker, too few replicas included."""
    replicas = settings.replication_factor or max(required_insync(settings), min(REPLICAS, await _broker_count(admin)))
    return await compare(admin, specs, min_insync=required_insync(settings), replicas=replicas)


async def _broker_count(admin: AIOKafkaAdminClient) -> int:
    """Return how many brokers of the cluster are up now."""
    return len((await admin.describe_cluster())["brokers"])


def required_insync(settings: Settings) -> int:
    """Return how many replicas must have an event before it counts as accepted.

    Two, so that the loss of one disk loses nothing; one where the operator says so, and on this machine's loopback,
    where the embedded broker is.
    """
    if settings.min_insync_replicas is not None:
        return settings.min_insync_replicas
    servers = settings.bootstrap_servers.split(",")
    return 1 if all(server.strip().startswith(_LOOPBACK) for server in servers) else MIN_INSYNC


def refuse(differences: list[Difference]) -> None:
    """Return only if no difference would lose or misplace records.

    Raises:
        TopicError: one would; the text says what to do.
    """
    fatal = [difference for difference in differences if difference.fatal]
    if not fatal:
        return
    worst = fatal[0]
    more = f" (and {len(fatal) - 1} more: headrace topics --dry-run)" if len(fatal) > 1 else ""
    raise TopicError(f"topic {worst}; {_advice(worst)}{more}")


def _advice(difference: Difference) -> str:
    if difference.key == "partitions":
        return (
            f"the number is fixed for good: set HEADRACE_PARTITIONS={difference.found}, or use another --topic-prefix"
        )
    if difference.key == MIN_INSYNC_KEY:
        return "raise it with headrace topics --apply, or accept it with HEADRACE_MIN_INSYNC_REPLICAS=1"
    if difference.key == RECORD_BYTES:
        return "raise it with headrace topics --apply, or lower body_bytes_max"
    return "give it more with kafka-reassign-partitions.sh (docs/how-to/use-your-own-kafka.md)"
