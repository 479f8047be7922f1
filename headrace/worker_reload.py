"""Taking over a changed routing table in a running worker, all or nothing, and what of it takes a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import KafkaError

from headrace.config import ConfigError, RoutingTable
from headrace.context import SecretError, Settings
from headrace.failure import sentence_of
from headrace.queues import DestinationUnusable
from headrace.reload import ReloadRefused
from headrace.topics import ensure_topics
from headrace.worker_metrics import WorkerMetrics
from headrace.worker_table import WorkerTable
from streams.kafka import KafkaUnavailable
from streams.topic_configs import TopicError

REFUSALS = (ConfigError, DestinationUnusable, SecretError, TopicError, KafkaError, KafkaUnavailable, ReloadRefused)

log = structlog.get_logger("worker")


class Reloads:
    """The reloads of one worker, one at a time.

    ``change_queues`` brings the queues in line with a table, or raises one of `REFUSALS`; ``on_defect`` gets whatever
    else a reload ends with.
    """

    def __init__(
        self,
        settings: Settings,
        current: WorkerTable,
        metrics: WorkerMetrics,
        *,
        fans_out: bool,
        change_queues: Callable[[RoutingTable], Awaitable[None]],
        on_defect: Callable[[BaseException], None],
    ) -> None:
        self._settings, self._current, self._metrics = settings, current, metrics
        self._fans_out = fans_out
        self._change_queues = change_queues
        self._on_defect = on_defect
        self._started = asyncio.Event()
        self._asked = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def begin(self) -> None:
        """Carry out what was asked for, from now on: everything has started."""
        self._started.set()

    def ask(self) -> None:
        """Reload soon: as SIGHUP does."""
        if self._asked:
            return  # the one that waits will read what is there now
        self._asked = True
        task = asyncio.create_task(self._reload(), name="reload")
        self._tasks.add(task)  # the loop alone would not keep it
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_defect(error)

    async def _reload(self) -> None:
        """Take over the routing table as it is now: an invalid one keeps the old."""
        async with self._turn:
            await self._started.wait()
            self._asked = False
            old = self._current.table
            try:
                table = self._settings.table()
                routes = table.compiled_routes()
                now_ms = int(time.time() * 1000)
                require_takeable(table, old, body_bytes_max=self._current.body_bytes_max, now_ms=now_ms)
                await ensure_topics(self._settings, table)
                await self._change_queues(table)
            except REFUSALS as error:
                log.error("reload_refused", error=sentence_of(error))
                self._metrics.reloads.count(taken=False)
                return
            if set(table.sources) != set(old.sources):
                log.warning("reload_needs_restart", reason="sources were added or removed")
            self._current.take(table, routes)
            self._metrics.announce(self._current, fans_out=self._fans_out)
            self._metrics.reloads.count(taken=True)
            log.info("reloaded", routes=len(routes), destinations=len(table.destinations))


def require_takeable(new: RoutingTable, old: RoutingTable, *, body_bytes_max: int, now_ms: int) -> None:
    """Return only if a worker that runs by ``old`` can go on by ``new``; its producer holds ``body_bytes_max``.

    Raises:
        ReloadRefused: it cannot.
    """
    if not set(new.delays_s) <= set(old.delays_s):
        raise ReloadRefused("a new delay in delays_s needs a restart of the workers")
    if new.body_bytes_max > body_bytes_max:
        raise ReloadRefused("a larger body_bytes_max needs a restart of the workers")
    if new.schedules and not old.schedules:
        raise ReloadRefused("the first schedule needs a restart of the workers")
    _refuse_changes_of_the_past(new, old, now_ms)


def _refuse_changes_of_the_past(new: RoutingTable, old: RoutingTable, now_ms: int) -> None:
    """Refuse steps that would send events another way than they went: some would be done twice, or not at all."""
    earlier = {route.name: route.share for route in old.routes}
    for route in new.routes:
        before = earlier.get(route.name)
        if before is not None and route.mode == "percent" and route.share.changed_in_the_past(before, now_ms=now_ms):
            raise ReloadRefused(
                f"route {route.name}: a step that has begun would change which events it carries out;"
                " keep those that have begun, and give new ones a time ahead"
            )
