"""The destinations of one worker, each with its queue: opened, changed on reload, and stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from connectors.connector import DestinationSettings
from connectors.destination import Destination
from connectors.metrics import ConnectorMetrics
from connectors.registry import load_connector
from headrace.context import Settings
from streams.deliver import DestinationQueue
from streams.shared import Shared


class DestinationUnusable(Exception):
    """A destination cannot work as it is configured; the text says why."""


@dataclass(frozen=True)
class Surroundings:
    """What all queues of a worker share, and what opens their destinations and watches them."""

    shared: Shared
    settings: Settings
    connector_metrics: ConnectorMetrics
    watch: Callable[[asyncio.Future[None], str], None]


class DestinationQueues:
    """Every destination of the routing table at work in this process."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._queues: dict[str, DestinationQueue] = {}

    @property
    def all(self) -> Mapping[str, DestinationQueue]:
        """The queues at work, by destination."""
        return self._queues

    async def change(
        self,
        wanted: Mapping[str, DestinationSettings],
        *,
        prioritized: Collection[str] = frozenset(),
        secrets: Collection[str] = (),
    ) -> None:
        """Bring the queues in line with ``wanted``: all of it, or nothing.

        ``prioritized`` are the destinations that a route of high priority leads to, and ``secrets`` all that the
        routing table names.

        A destination whose settings are the same goes on undisturbed.

        Raises:
            DestinationUnusable: one cannot work; everything is as before.
            SecretError: a secret is missing; everything is as before.
        """
        news = {name: settings for name, settings in wanted.items() if self._differs(name, settings, prioritized)}
        gone = self._queues.keys() - wanted.keys()
        opened: dict[str, Destination] = {}
        around = self._around
        try:
            for name, settings in news.items():
                opened[name] = await self._open(name, settings, secrets)
        except Exception:
            await _together(destination.close() for destination in opened.values())
            raise
        await _together(self._stop(name) for name in list(self._queues) if name in news or name not in wanted)
        for name in gone:
            around.shared.metrics.paused.remove(name)
            around.connector_metrics.circuit_open.remove(name)
        await _together(self._start(one, prioritized=one.name in prioritized) for one in opened.values())

    async def stop(self) -> None:
        """Drain and stop every queue."""
        await _together(self._stop(name) for name in list(self._queues))

    def paused(self, destination: str, paused: bool) -> None:
        """Note that a destination was paused or resumed."""
        if destination in self._queues:
            self._around.shared.metrics.paused.labels(destination).set(paused)
            self._queues[destination].wake()

    def not_joined(self) -> list[str]:
        """Return the destinations whose consumers have not joined their groups yet."""
        return sorted(name for name, queue in self._queues.items() if not queue.joined())

    def _differs(self, name: str, settings: DestinationSettings, prioritized: Collection[str]) -> bool:
        queue = self._queues.get(name)
        if queue is None or queue.destination.settings != settings:
            return True
        return name in prioritized and not queue.prioritized

    async def _open(self, name: str, settings: DestinationSettings, secrets: Collection[str]) -> Destination:
        around = self._around
        try:
            destination = Destination(
                name,
                settings,
                load_connector(settings.connector),
                secrets=around.settings.destination_secrets(settings),
                masked=secrets,
                metrics=around.connector_metrics,
                tracing=around.shared.tracing,
                on_circuit_opened=lambda reason: around.shared.herald.circuit_opened(
                    name, reason=reason, open_s=settings.circuit.open_s
                ),
            )
            await destination.start()
        except ValueError as error:
            raise DestinationUnusable(f"destination {name}: {error}") from error
        return destination

    async def _start(self, destination: Destination, *, prioritized: bool) -> None:
        around, name = self._around, destination.name
        queue = DestinationQueue(destination, around.shared, prioritized=prioritized)
        for limit in queue.used_ratios():
            capacity = around.shared.metrics.capacity_used_ratio.labels(f"{limit}:{name}")
            capacity.set_function(partial(_used_ratio, queue, limit))
        around.shared.metrics.paused.labels(name).set(around.shared.pauses.get(name) is not None)
        around.watch(queue.failed, f"deliveries.{name}")
        await queue.start()
        self._queues[name] = queue

    async def _stop(self, name: str) -> None:
        queue = self._queues.pop(name)
        for limit in queue.used_ratios():
            self._around.shared.metrics.capacity_used_ratio.remove(f"{limit}:{name}")
        await queue.stop()
        await queue.destination.close()


def _used_ratio(queue: DestinationQueue, limit: str) -> float:
    return queue.used_ratios()[limit]


async def _together(work: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*work)
