"""How many events a second one ingest process accepts into its spool while Kafka does not answer, and then publishes.

    bench/spool [--events 20000] [--connections 64]

Compared to: the same requests to the same process while Kafka answers, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import os
import signal
import time
from typing import Any

import uvloop

from bench import stand as stands
from bench.ingest import TABLE, load
from tests.harness import free_port


async def main(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    table: dict[str, Any] = {**copy.deepcopy(TABLE), "ingest": {"spool": True}}
    async with stands.stand(table) as stand:
        port, admin_port = free_port(), free_port()
        ingest = stand.start("ingest", "--port", str(port), "--admin-port", str(admin_port))
        await stands.ready(admin_port)
        await load(port, arguments.events // 4, arguments.connections)  # the broker's JIT compiler warms up
        there = await load(port, arguments.events, arguments.connections)
        os.kill(stand.broker_pid, signal.SIGSTOP)
        try:
            await load(port, arguments.connections, arguments.connections)  # notices it, after a second
            away = await load(port, arguments.events, arguments.connections)
            spooled = (await stands.metrics(admin_port))["headrace_ingest_spool_events"]
        finally:
            os.kill(stand.broker_pid, signal.SIGCONT)
        began_s = time.monotonic()
        while (await stands.metrics(admin_port))["headrace_ingest_spool_events"]:
            await asyncio.sleep(0.1)
        drain_s = time.monotonic() - began_s
        ingest.terminate()
        ingest.wait()
    rows: dict[str, Any] = {"events": arguments.events}
    for name, figures in (("Kafka answers", there), ("Kafka is frozen", away)):
        rows[f"{name}: accepted a second"] = figures["per_s"]
        rows[f"{name}: p50 ms"], rows[f"{name}: p99 ms"] = figures["p50_ms"], figures["p99_ms"]
        rows[f"{name}: answers other than 200"] = sum(n for one, n in figures["statuses"].items() if one != "200")
    rows["in the spool"] = int(spooled)
    rows["published a second, from Kafka's return to the empty spool"] = spooled / drain_s
    stands.report("spool", rows)


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(parse()))
