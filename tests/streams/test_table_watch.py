"""The metrics of the table: a recovery from its assignment to its end, and sizes now and then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from streams.table_watch import BYTES, ROWS, SIZES_EVERY_S, TableMetrics, TableWatch


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Database:
    """What RocksDB says of itself; ``None`` where it says nothing."""

    def __init__(self, properties: dict[str, int | None]) -> None:
        self.properties = properties

    def property_int_value(self, name: str) -> int | None:
        return self.properties[name]


def tables(remaining: dict[str, int], *, ready: bool) -> Any:
    """Return Faust's tables as they are while ``remaining`` is left of each partition."""
    return SimpleNamespace(actives_ready=ready, recovery=SimpleNamespace(active_remaining=lambda: dict(remaining)))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(registry: CollectorRegistry, clock: Clock) -> TableWatch:
    return TableWatch(TableMetrics(registry), monotonic_s=clock)


def value(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value(f"headrace_table_{name}")


async def test_a_recovery_is_seen_from_the_assignment_to_its_end(
    registry: CollectorRegistry, watch: TableWatch, clock: Clock
) -> None:
    watch.assigned()
    assert value(registry, "recovering") == 1
    watch.look(tables({"0": 700, "1": -1, "2": 50}, ready=False), {})
    assert value(registry, "recovery_remaining_records") == 750, "-1 is a partition of which nothing is known yet"
    for _ in range(3):
        await watch.recovered(None)
    assert value(registry, "recovered_records_total") == 3
    assert value(registry, "recovering") == 1
    clock.now_s += 12.5
    watch.look(tables({"0": 7}, ready=True), {})
    assert value(registry, "recovering") == 0
    assert value(registry, "recovery_remaining_records") == 0, "Faust's own number may lag behind its word"
    assert value(registry, "recovery_seconds") == 12.5


def test_the_duration_of_a_recovery_stays_until_the_next(
    registry: CollectorRegistry, watch: TableWatch, clock: Clock
) -> None:
    watch.assigned()
    clock.now_s += 2
    watch.look(tables({}, ready=True), {})
    clock.now_s += 1000
    watch.look(tables({}, ready=True), {})
    assert value(registry, "recovery_seconds") == 2
    watch.assigned()
    assert value(registry, "recovering") == 1
    assert value(registry, "recovery_seconds") == 2


def test_sizes_are_added_up_over_the_databases_and_asked_for_now_and_then(
    registry: CollectorRegistry, watch: TableWatch, clock: Clock
) -> None:
    first = Database({ROWS: 10, BYTES[0]: 1000, BYTES[1]: 200})
    new = Database({ROWS: None, BYTES[0]: None, BYTES[1]: 30})
    watch.look(tables({}, ready=True), {0: first, 1: new})
    assert (value(registry, "rows"), value(registry, "bytes")) == (10, 1230)
    first.properties[ROWS] = 11
    clock.now_s += SIZES_EVERY_S / 2
    watch.look(tables({}, ready=True), {0: first})
    assert value(registry, "rows") == 10
    clock.now_s += SIZES_EVERY_S / 2
    watch.look(tables({}, ready=True), {0: first})
    assert (value(registry, "rows"), value(registry, "bytes")) == (11, 1200)
