"""How fast one ingest process accepts signed events, each answered after all in-sync replicas have it.

    bench/ingest [--events 40000] [--connections 64] [--processes 1 2] [--overload 2000] [--large-bytes 100000]

Each number of processes is measured in the same run: with ``--connections``; with ``--overload`` connections, where
what is beyond the capacity is answered 503 and the rest in time; and with gzipped bodies of ``--large-bytes`` of JSON.
With small bodies one process, this load and the broker fill two cores, so more processes accept no more there; large
ones cost ingest most, and show what another process brings.

Compared to: aiohttp alone, which answers the same requests with 200 and does nothing, in one process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

import uvloop

from bench import stand as stands
from tests.harness import free_port

TABLE: dict[str, Any] = {
    "version": 1,
    "sources": {"github": {"scheme": "github", "secret_env": "GITHUB_WEBHOOK_SECRET"}},
    "destinations": {"console": {"connector": "log", "delays_s": []}},
    "routes": [{"name": "all", "source": "github", "to": "console", "action": "write", "with": {"message": "m"}}],
}


SMALL_BYTES = 1200


async def load(port: int, events: int, connections: int, json_bytes: int = SMALL_BYTES) -> dict[str, Any]:
    """Return what `bench.load`, in a process of its own, measures."""
    arguments = [str(number) for number in (port, events, connections, json_bytes)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    figures: dict[str, Any] = json.loads(out)
    return figures


async def main(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    async with stands.receiver(0) as url:
        alone = await load(int(url.rpartition(":")[2]), arguments.events, arguments.connections)
    rows: dict[str, Any] = {
        "events": arguments.events,
        "aiohttp alone, requests a second": alone["per_s"],
        "aiohttp alone, p50 ms": alone["p50_ms"],
        "aiohttp alone, p99 ms": alone["p99_ms"],
    }
    async with stands.stand(TABLE) as stand:
        for processes in arguments.processes:
            rows.update(await measure(stand, processes, arguments))
    stands.report("ingest", rows)


async def measure(stand: stands.Stand, processes: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of so many ingest processes."""
    port, admin_port = free_port(), free_port()
    options = ["--port", str(port), "--admin-port", str(admin_port)]
    ingest = stand.start("ingest", *options, "--ingest-processes", str(processes))
    await stands.ready(admin_port)
    await load(port, arguments.events // 4, arguments.connections)  # the broker's JIT compiler warms up
    before = stands.usage(ingest.pid)
    figures = await load(port, arguments.events, arguments.connections)
    used = stands.usage(ingest.pid)
    late = await accepted_late(admin_port)
    over = await load(port, arguments.events, arguments.overload)
    late = await accepted_late(admin_port) - late
    large = await load(port, arguments.events // 10, arguments.connections, arguments.large_bytes)
    ingest.terminate()
    ingest.wait()
    name = f"{processes} process{'es' if processes > 1 else ''}"
    return {
        f"{name}, {arguments.connections} connections: accepted a second": figures["per_s"],
        f"{name}: p50 ms": figures["p50_ms"],
        f"{name}: p99 ms": figures["p99_ms"],
        f"{name}: answers other than 200": sum(n for status, n in figures["statuses"].items() if status != "200"),
        f"{name}: CPU seconds per 1,000 events": (used.cpu_s - before.cpu_s) / arguments.events * 1000,
        f"{name}: peak MiB": used.peak_mib,
        f"{name}, {arguments.overload} connections: accepted a second": over["per_s"],
        f"{name}, {arguments.overload} connections: p50 ms": over["p50_ms"],
        f"{name}, {arguments.overload} connections: p99 ms": over["p99_ms"],
        f"{name}, {arguments.overload} connections: 503": over["statuses"].get("503", 0),
        f"{name}, {arguments.overload} connections: accepted after more than 200 ms, by its own clock": late,
        f"{name}, {arguments.large_bytes} bytes of JSON: accepted a second": large["per_s"],
    }


async def accepted_late(admin_port: int) -> int:
    """Return how many events were accepted after more than 200 ms since their heads came."""
    samples = await stands.metrics(admin_port)
    accepted = 'headrace_ingest_requests_total{outcome="accepted",source="github"}'
    in_time = 'headrace_ingest_valid_posts_in_time_total{source="github"}'
    return int(samples[accepted] - samples[in_time])


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--overload", type=int, default=2000)
    parser.add_argument("--large-bytes", type=int, default=100_000)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(parse()))
