"""What can be seen of the table ``seen`` from outside: its recovery and its size."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

SIZES_EVERY_S = 5.0
ROWS, BYTES = "rocksdb.estimate-num-keys", ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")


class TableMetrics:
    """The metrics of one worker's part of the table."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.recovering = Gauge(
            "headrace_table_recovering", "1 while this worker reads its table from the changelog.", registry=registry
        )
        self.recovery_remaining = Gauge(
            "headrace_table_recovery_remaining_records", "Changelog records still to be read.", registry=registry
        )
        self.recovered = Counter(
            "headrace_table_recovered_records", "Changelog records read in recoveries.", registry=registry
        )
        self.recovery_s = Gauge(
            "headrace_table_recovery_seconds", "Duration of the last recovery, from the assignment.", registry=registry
        )
        self.size_bytes = Gauge("headrace_table_bytes", "Size of the table's databases.", registry=registry)
        self.rows = Gauge("headrace_table_rows", "Rows of the table, as RocksDB estimates.", registry=registry)


class TableWatch:
    """Keeps `TableMetrics` true: told of assignments and recovered records, and looking at Faust now and then."""

    def __init__(self, metrics: TableMetrics, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._metrics, self._monotonic_s = metrics, monotonic_s
        self._assigned_s: float | None = None
        self._sizes_s = float("-inf")

    def assigned(self) -> None:
        """Note that partitions were assigned: their recovery begins."""
        self._assigned_s = self._monotonic_s()
        self._metrics.recovering.set(1)

    async def recovered(self, _event: object) -> None:
        """Count one record of the changelog; Faust awaits this."""
        self._metrics.recovered.inc()

    def look(self, tables: Any, databases: Mapping[int, Any]) -> None:
        """Take over what Faust's tables and their RocksDB databases say."""
        now_s = self._monotonic_s()
        if self._assigned_s is not None:
            remaining = tables.recovery.active_remaining().values()
            self._metrics.recovery_remaining.set(0 if tables.actives_ready else sum(n for n in remaining if n > 0))
            if tables.actives_ready:
                self._metrics.recovering.set(0)
                self._metrics.recovery_s.set(now_s - self._assigned_s)
                self._assigned_s = None
        if now_s - self._sizes_s >= SIZES_EVERY_S:
            self._sizes_s = now_s
            opened = list(databases.values())
            self._metrics.rows.set(sum(_number(database, ROWS) for database in opened))
            self._metrics.size_bytes.set(sum(_number(database, name) for database in opened for name in BYTES))


def _number(database: Any, name: str) -> int:
    return int(database.property_int_value(name) or 0)
