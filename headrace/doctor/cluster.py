"""Findings about Kafka: whether every broker is reached, what it is, its clock, and the topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from headrace.broker import BrokerError
from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.doctor.finding import Finding, error, ok, warning
from headrace.java import find_java
from headrace.mistakes import count
from headrace.topics import differences_of, required_insync, topic_specs
from streams.kafka import KafkaRefused, KafkaUnavailable
from streams.quorum import clock_ahead_s
from streams.topic_configs import TopicError
from streams.topic_difference import Difference

BROKERS_WANTED = 3
SKEW_S_WARNING, SKEW_S_ERROR = 2.0, 60.0
_READY_S = 5.0
# The newest request that a release brought: number and version of the API.
_RELEASES = ((74, 1, "4.1"), (68, 1, "4.0"), (75, 0, "3.8"), (55, 0, "3.3"))
_TESTED = "4.1"


async def cluster_findings(settings: Settings, table: RoutingTable | None, *, embedded: bool) -> AsyncIterator[Finding]:
    """Yield what is found about Kafka, and nothing about what cannot be asked; it changes nothing."""
    try:
        async with settings.kafka(table).admin() as admin:
            described = await admin.describe_cluster()
            yield ok("kafka", f"{count(len(described['brokers']), 'broker')} at {settings.bootstrap_servers}")
            async for finding in _brokers(admin, settings, described):
                yield finding
            yield _release(admin)
            yield await _clock(admin)
            if table is not None:
                for finding in await _topics(admin, settings, table):
                    yield finding
    except KafkaRefused as failure:
        advice = "correct user, password, certificate or ACL (docs/how-to/use-your-own-kafka.md)"
        yield error("kafka", str(failure), advice)
    except (KafkaUnavailable, KafkaError, TimeoutError, OSError) as failure:
        if embedded:
            yield _embedded(settings)
            return
        advice = "start Kafka, or correct KAFKA_BOOTSTRAP_SERVERS; a firewall may stand between"
        yield error("kafka", str(failure) or "Kafka does not answer", advice)


def _embedded(settings: Settings) -> Finding:
    try:
        java = find_java(settings.environ)
    except BrokerError as failure:
        return error("kafka", str(failure), "or set KAFKA_BOOTSTRAP_SERVERS to a Kafka that is there")
    return ok("kafka", f"the embedded one is not running: headrace run starts it, with {java}")


async def _brokers(admin: AIOKafkaAdminClient, settings: Settings, described: dict[str, Any]) -> AsyncIterator[Finding]:
    brokers, insync = described["brokers"], required_insync(settings)
    for broker in brokers:
        where = f"broker {broker['node_id']} at {broker['host']}:{broker['port']}"
        try:
            async with asyncio.timeout(_READY_S):
                reached = await admin._client.ready(broker["node_id"])
        except (KafkaError, TimeoutError, OSError):
            reached = False
        if not reached:
            yield error(
                "brokers",
                f"{where} is not reached from here",
                "its advertised.listeners must name an address that this machine can open",
            )
    if len(brokers) < insync:
        yield error(
            "min_insync",
            f"{count(len(brokers), 'broker')}, and {insync} must have an event before it is accepted",
            "add brokers, or accept that an event is lost with a disk: HEADRACE_MIN_INSYNC_REPLICAS=1",
        )
    elif insync == 1:
        message = "one replica is enough for an accepted event: it is lost with the disk of its broker"
        yield warning("min_insync", message, f"for production {BROKERS_WANTED} brokers and two in-sync replicas")
    else:
        yield ok("min_insync", f"{insync} replicas have an event before it is accepted")
        if len(brokers) <= insync:
            message = f"{count(len(brokers), 'broker')}: nothing is accepted while one is away"
            yield warning("min_insync", message, f"{BROKERS_WANTED} brokers survive the loss of one")


def _release(admin: AIOKafkaAdminClient) -> Finding:
    versions = next(iter(admin._client._conns.values()))._versions
    release = next((name for api, version, name in _RELEASES if versions.get(api, (0, -1))[1] >= version), "")
    if release == _TESTED:
        return ok("kafka_version", f"Kafka {release} or newer")
    found = f"Kafka {release}" if release else "a Kafka before 3.3, or one with ZooKeeper"
    return warning("kafka_version", found, f"Headrace is tested with {_TESTED}: upgrade the brokers")


async def _clock(admin: AIOKafkaAdminClient) -> Finding:
    try:
        ahead_s = await clock_ahead_s(admin)
    except KafkaError as failure:
        return ok("clock_skew", f"the brokers do not tell their time: {failure}")
    if ahead_s is None:
        return ok("clock_skew", "the brokers do not tell their time")
    found = f"Kafka's clock is {abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} this one"
    if abs(ahead_s) < SKEW_S_WARNING:
        return ok("clock_skew", found)
    level = warning if abs(ahead_s) < SKEW_S_ERROR else error
    why = "retries come early or late, and signatures that carry a time may be refused"
    return level("clock_skew", f"{found}: {why}", "synchronise both with NTP (chronyc tracking, timedatectl)")


async def _topics(admin: AIOKafkaAdminClient, settings: Settings, table: RoutingTable) -> list[Finding]:
    specs = topic_specs(settings, table)
    try:
        differences = await differences_of(admin, settings, specs)
    except TopicError as failure:
        return [error("topics", str(failure), "see headrace topics --dry-run")]
    missing = [one for one in differences if one.missing]
    findings = [_difference(one) for one in differences if not one.missing]
    if missing:
        message = f"{count(len(missing), 'topic')} missing, such as {missing[0].topic}"
        findings.append(warning("topics", message, "every part makes them at its start; headrace topics does it now"))
    there = {spec.name for spec in specs} - {one.topic for one in missing}
    findings += _in_sync(await admin.describe_topics(sorted(there)) if there else [], required_insync(settings))
    if not findings:
        findings.append(ok("topics", f"{count(len(specs), 'topic')}, all as they must be"))
    return findings


def _difference(difference: Difference) -> Finding:
    level = error if difference.fatal else warning
    advice = "headrace topics --apply" if difference.alterable else "docs/how-to/use-your-own-kafka.md says how"
    return level("topics", str(difference), advice)


def _in_sync(topics: list[dict[str, Any]], insync: int) -> Iterator[Finding]:
    parts = [part for topic in topics for part in topic["partitions"]]
    behind = [part for part in parts if len(part["isr"]) < len(part["replicas"])]
    refusing = [part for part in behind if len(part["isr"]) < insync]
    headless = [part for part in parts if part["leader"] < 0]
    advice = "start the broker that is away, and wait until its replicas have caught up"
    if headless or refusing:
        stuck = max(len(headless), len(refusing))
        yield error("replicas", f"{count(stuck, 'partition')} accept nothing: too few replicas are in sync", advice)
    elif behind:
        yield warning(
            "replicas", f"{count(len(behind), 'partition')} have fewer replicas in sync than they should", advice
        )
