"""The routing table that a worker goes by now, with what follows from it: routes, schedules, topics and groups."""

from __future__ import annotations

from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.topics import topic_specs
from streams.depths import queue_groups
from streams.routing import Routes


class WorkerTable:
    """One table at a time, which a reload replaces as a whole."""

    def __init__(self, settings: Settings) -> None:
        """Read the table.

        Raises:
            ConfigError: it is not valid.
        """
        self._settings = settings
        self._names = settings.topic_names
        table = settings.table()
        self.body_bytes_max = table.body_bytes_max  # what the producer was made for
        self.take(table, table.compiled_routes())

    def take(self, table: RoutingTable, routes: Routes) -> None:
        """Go by ``table`` from now on."""
        self.table, self.routes, self.schedules = table, routes, table.compiled_schedules()

    def queue_groups(self) -> dict[str, str]:
        """Return the consumer group of each queue."""
        return queue_groups(
            self._names,
            sources=self.table.dedup_ttl_s,
            destinations=self.table.destinations,
            delays_s=self.table.delays_s,
        )

    def topics(self) -> list[str]:
        """Return every topic that there must be."""
        return [spec.name for spec in topic_specs(self._settings, self.table)]

    def trimmed_topics(self) -> list[str]:
        """Return the queues whose settled records are deleted by those who deliver."""
        queues = [self._names.deliveries(name) for name in self.table.destinations]
        queues += [self._names.deliveries(name, high=True) for name in self.table.destinations]
        return queues + [self._names.retries(delay_s) for delay_s in self.table.delays_s]
