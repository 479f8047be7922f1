"""What the metrics cost per event: all that is counted for one event with one delivery, beside the same loop without.

    bench/metrics [--events 200000]

It times the counting alone, in one process: what ingest, fan-out and a delivery count from the post to the settlement.
``shared files`` is how several ingest processes count (prometheus_client's multiprocess mode).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from bench import stand
from connectors.metrics import ConnectorMetrics
from ingest.metrics import IngestMetrics
from streams.metrics import StreamsMetrics


def ingest_counts() -> Callable[[], None]:
    """Return what ingest counts for one accepted post."""
    answered = IngestMetrics(CollectorRegistry()).answers.of("shop", "accepted")
    return lambda: answered(0.01)


def worker_counts() -> Callable[[], None]:
    """Return what a worker counts for one event, one attempt and its settled delivery, looked up as it does."""
    registry = CollectorRegistry()
    metrics, attempts = StreamsMetrics(registry), ConnectorMetrics(registry).of("crm")

    def count() -> None:
        metrics.fan_out_s.observe(0.01)
        metrics.events.labels("shop", "fanned_out").inc()
        attempts.rate_limit_wait_s.observe(0.0)
        attempts.attempted(None, 0.02)
        metrics.deliveries.labels("crm", "to-crm", "settled").inc()
        metrics.delivery_age_s.labels("crm").observe(0.03)

    return count


def cost_us(count: Callable[[], None], events: int) -> float:
    """Return the microseconds of CPU that one call of ``count`` takes beyond a call that does nothing."""

    def nothing() -> None:
        return None

    def run(work: Callable[[], None]) -> float:
        started_s = time.process_time()
        for _ in range(events):
            work()
        return time.process_time() - started_s

    run(count)
    return (min(run(count) for _ in range(3)) - min(run(nothing) for _ in range(3))) / events * 1e6


def main(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    if arguments.shared:
        print(cost_us(ingest_counts(), arguments.events))
        return
    with tempfile.TemporaryDirectory() as directory:
        shared = subprocess.run(
            [sys.executable, "-m", "bench.metrics", "--shared", "--events", str(arguments.events)],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": directory},
            capture_output=True,
            text=True,
            check=True,
        )
    rows = {
        "events": arguments.events,
        "ingest, µs an event": cost_us(ingest_counts(), arguments.events),
        "ingest with shared files, µs an event": float(shared.stdout),
        "worker, µs an event with one delivery": cost_us(worker_counts(), arguments.events),
    }
    stand.report("metrics", rows)


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--shared", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main(parse())
