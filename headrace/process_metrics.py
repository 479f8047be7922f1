"""The usual ``process_*`` metrics: of one process, or of a parent and its children as if they were one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# How the values of several processes become one. The newest start, so that a child that was started again shows; the
# fullest table of open files, because that one fails first.
_TOGETHER: dict[str, Callable[[Iterable[float]], float]] = {
    "process_resident_memory_bytes": sum,
    "process_virtual_memory_bytes": sum,
    "process_cpu_seconds": sum,
    "process_start_time_seconds": max,
    "process_open_fds": max,
    "process_max_fds": min,
}


class ProcessMetrics(Collector):
    """Collects ``process_*`` of the processes that ``pids`` names.

    Weakness: what a process used between the last look and its end is not counted.
    """

    def __init__(self, pids: Callable[[], Sequence[int]] = lambda: [os.getpid()]) -> None:
        self._pids = pids
        self._cpu_s: dict[int, float] = {}  # of every process that was ever seen: the sum may not fall

    def collect(self) -> Iterable[Metric]:
        """Return every metric once."""
        values: dict[str, list[float]] = {}
        texts: dict[str, str] = {}
        for pid in self._pids():
            for metric in _collector(pid).collect():
                texts[metric.name] = metric.documentation
                if metric.name == "process_cpu_seconds":
                    self._cpu_s[pid] = metric.samples[0].value
                values.setdefault(metric.name, []).append(metric.samples[0].value)
        values["process_cpu_seconds"] = list(self._cpu_s.values())
        for name, documentation in texts.items():
            family = CounterMetricFamily if name == "process_cpu_seconds" else GaugeMetricFamily
            yield family(name, documentation, value=_TOGETHER[name](values[name]))

    def open_files_ratio(self) -> float:
        """Return the used share of the open files that a process may have, of the one that has most of it open."""
        values = {metric.name: metric.samples[0].value for metric in self.collect()}
        return values.get("process_open_fds", 0.0) / values.get("process_max_fds", math.inf)


def _collector(pid: int) -> ProcessCollector:
    return ProcessCollector(pid=lambda: pid, registry=None)
