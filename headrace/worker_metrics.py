"""Everything that one worker process measures, on one registry."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Info, generate_latest

from connectors.metrics import ConnectorMetrics
from headrace import __version__
from headrace.cluster import ClusterMetrics
from headrace.process_metrics import ProcessMetrics
from headrace.reload_metrics import ReloadMetrics
from headrace.worker_table import WorkerTable
from streams.event import OWN_TYPES
from streams.metrics import ScheduleMetrics, StreamsMetrics


class WorkerMetrics:
    """The metrics of a worker, by what they are about."""

    def __init__(self, *, ready: Callable[[], bool]) -> None:
        self._registry = CollectorRegistry()
        self.streams = StreamsMetrics(self._registry)
        self.connectors = ConnectorMetrics(self._registry)
        self.schedules = ScheduleMetrics(self._registry)
        self.reloads = ReloadMetrics(self._registry, "worker")
        self.cluster = ClusterMetrics(self._registry)
        Info("headrace_build", "Version of this process.", registry=self._registry).info({"version": __version__})
        self.streams.ready.set_function(lambda: float(ready()))
        process = ProcessMetrics()
        self._registry.register(process)
        self.streams.capacity_used_ratio.labels("open_files").set_function(process.open_files_ratio)

    def page(self) -> bytes:
        """Return what ``/metrics`` shows."""
        return generate_latest(self._registry)

    def announce(self, current: WorkerTable, *, fans_out: bool) -> None:
        """Show every series that this table can lead to, at 0 until it does."""
        pairs = [(route.name, route.destination) for route in current.routes]
        sources = current.table.dedup_ttl_s if fans_out else ()
        self.streams.announce(sources=sources, routes=pairs, own_events=OWN_TYPES)
        if fans_out:
            self.schedules.announce(schedule.name for schedule in current.schedules)
