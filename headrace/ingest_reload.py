"""Taking over a changed routing table and secrets on SIGHUP while events are accepted: all or nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import KafkaError

from headrace.config import ConfigError, RoutingTable
from headrace.context import SecretError, Settings
from headrace.hangup import take_hangups
from headrace.live_sources import SourceError, live_sources
from headrace.reload import ReloadRefused
from headrace.topics import ensure_topics
from ingest.sources import Source
from streams.kafka import KafkaRefused, KafkaUnavailable
from streams.topic_configs import TopicError

log = structlog.get_logger("ingest")


class Hangup:
    """SIGHUP, from `listen` on. Each leads to one more call of what `serve` is given, one call at a time."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def listen(self) -> None:
        """Take the signal, which would end the process. Do it before the routing table is read for the first time."""
        take_hangups(self._asked.set)

    async def serve(self, reload: Callable[[], Awaitable[object]]) -> None:
        """Call ``reload`` after each signal, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await reload()


async def read_anew(
    settings: Settings, old: RoutingTable, *, body_bytes_max: int, processes: int
) -> tuple[RoutingTable, dict[str, Source]]:
    """Return the routing table as it is now with its sources, secrets and their files read anew.

    Raises:
        ReloadRefused: it is not valid, a secret is missing, or it holds what takes a restart.
    """
    fresh = dataclasses.replace(settings)  # the old ones remember the secrets file

    def read() -> tuple[RoutingTable, dict[str, Source]]:
        table = fresh.table()
        return table, live_sources(fresh, table, processes=processes)

    try:
        table, sources = await asyncio.to_thread(read)  # requests are answered meanwhile
    except ConfigError as error:
        raise ReloadRefused("; ".join(error.report())) from error
    except (SecretError, SourceError) as error:
        raise ReloadRefused(str(error)) from error
    if table.body_bytes_max > body_bytes_max:  # the producer and the topics hold no more
        raise ReloadRefused("a larger body_bytes_max needs a restart of ingest")
    if table.ingest.spool != old.ingest.spool:
        raise ReloadRefused("another ingest.spool needs a restart of ingest")
    return table, sources


async def ensure_new_topics(settings: Settings, old: RoutingTable, new: RoutingTable) -> None:
    """Return when each source that ``new`` adds has its topic.

    Raises:
        ReloadRefused: one has none, and cannot get it now.
    """
    if set(new.sources) <= set(old.sources):
        return
    try:
        await ensure_topics(settings, new)
    except (TopicError, KafkaRefused, KafkaUnavailable, KafkaError) as error:
        raise ReloadRefused(f"the topic of a new source: {error or type(error).__name__}") from error
