"""How fast one worker fans events out and delivers them to a receiver that takes 20 ms.

    bench/deliver [--events 20000] [--routes 1] [--delay-ms 20] [--concurrency 200] [--rate 200]

Compared to: the same calls made by aiohttp's client alone, in one process, with as many in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable

import aiohttp
import uvloop

from bench import stand as stands
from streams.event import Event, parse_time
from streams.kafka import producing, read_topic
from streams.outcome import Outcome
from tests.harness import free_port

BODY = {"action": "opened", "number": 7, "text": "x" * 1100}


def routing_table(receiver: str, *, routes: int, concurrency: int) -> dict[str, object]:
    """One source, ``routes`` routes, one destination."""
    mapping = {"method": "POST", "path": "/hook", "json": {"id": "{{ event.id }}", "number": "{{ body.number }}"}}
    return {
        "version": 1,
        "sources": {"github": {"scheme": "github", "secret_env": "GITHUB_WEBHOOK_SECRET"}},
        "destinations": {"receiver": {"connector": "http", "base_url": receiver, "concurrency": concurrency}},
        "routes": [
            {"name": f"route-{n}", "source": "github", "to": "receiver", "action": "request", "with": mapping}
            for n in range(routes)
        ],
    }


async def put_events(stand: stands.Stand, numbers: range, *, pause_s: float = 0.0) -> dict[str, int]:
    """Put events into the log as ingest does; return when each was accepted, in Unix milliseconds, by its id."""
    kafka, topic = stand.settings.kafka(), stand.settings.topic_names.events("github")
    body = json.dumps(BODY).encode()
    accepted_ms: dict[str, int] = {}
    async with producing(kafka) as producer:
        sends: list[Awaitable[object]] = []
        for n in numbers:
            event = Event("github", str(n), f"{n:064}", "push", now_ms(), body, f"{n:064}".encode(), "application/json")
            accepted_ms[event.id] = event.time_ms
            sends.append(await producer.send(topic, event.body, key=event.key, headers=event.to_headers()))
            if pause_s or len(sends) == 1000:
                await asyncio.sleep(pause_s)
                await asyncio.gather(*sends)
                sends.clear()
        await asyncio.gather(*sends)
    return accepted_ms


async def ages_ms(stand: stands.Stand, accepted_ms: dict[str, int]) -> list[int]:
    """Return, sorted, how long each delivery took from accepting its event to writing that it is settled."""
    kafka, topic = stand.settings.kafka(), stand.settings.topic_names.outcomes
    ages = []
    async for record in read_topic(kafka, topic):
        outcome = Outcome.from_record(record.value)
        if outcome.event_id in accepted_ms:
            ages.append(parse_time(outcome.time) - accepted_ms[outcome.event_id])
    return sorted(ages)


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


async def calls_alone(url: str, count: int, concurrency: int) -> float:
    """Return the calls a second that aiohttp's client makes, with nothing else to do."""
    remaining = iter(range(count))
    body = json.dumps({"id": "1", "number": 7}).encode()

    async def caller(session: aiohttp.ClientSession) -> None:
        for _ in remaining:
            async with session.post(f"{url}/alone", data=body) as answer:
                await answer.read()

    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        started_s = stands.monotonic_s()
        await asyncio.gather(*(caller(session) for _ in range(concurrency)))
        return count / (stands.monotonic_s() - started_s)


async def count_of(url: str) -> int:
    """Return how many calls the receiver has answered."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/count") as answer:
        return int(await answer.text())


async def main(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    async with stands.receiver(arguments.delay_ms / 1000) as url:
        alone = await calls_alone(url, arguments.events // 2, arguments.concurrency)
        before = await count_of(url)
        table = routing_table(url, routes=arguments.routes, concurrency=arguments.concurrency)
        async with stands.stand(table) as stand:
            await put_events(stand, range(arguments.events))
            admin_port = free_port()
            worker = stand.start("worker", "--admin-port", str(admin_port), "--data-dir", str(stand.directory / "w"))
            while await count_of(url) == before:
                await asyncio.sleep(0.02)
            backlog = await measure_backlog(stand, worker, url, arguments.events * arguments.routes + before)
            samples = await stands.metrics(admin_port)
            commit = "headrace_commit_seconds"
            rows = {
                "events": arguments.events,
                "deliveries": arguments.events * arguments.routes,
                **backlog,
                "aiohttp client alone, calls a second": alone,
                "commit p50 ms": 1000 * stands.quantile(samples, commit, "receiver", 0.5),
                "commit p99 ms": 1000 * stands.quantile(samples, commit, "receiver", 0.99),
            }
            stands.report("deliver: a backlog", rows)
            stands.report(f"deliver: {arguments.rate} events a second", await measure_ages(stand, arguments))
            worker.terminate()
            worker.wait()


async def measure_backlog(
    stand: stands.Stand, worker: subprocess.Popen[bytes], url: str, total: int
) -> dict[str, float]:
    """Return what the worker makes of events that wait for it, until the receiver has answered ``total`` calls."""
    started_s, first = stands.monotonic_s(), await count_of(url)
    before, broker_before = stands.usage(worker.pid), stands.usage(stand.broker_pid)
    while await count_of(url) < total:
        await asyncio.sleep(0.05)
        if worker.poll() is not None:
            raise SystemExit((stand.directory / "worker.log").read_text()[-3000:])
    seconds, count = stands.monotonic_s() - started_s, total - first
    used, broker = stands.usage(worker.pid), stands.usage(stand.broker_pid)
    return {
        "delivered a second": count / seconds,
        "worker CPU seconds per 1,000 deliveries": (used.cpu_s - before.cpu_s) / count * 1000,
        "broker CPU seconds per 1,000 deliveries": (broker.cpu_s - broker_before.cpu_s) / count * 1000,
        "worker peak MiB": used.peak_mib,
    }


async def measure_ages(stand: stands.Stand, arguments: argparse.Namespace) -> dict[str, float]:
    """Return how long deliveries take, accepted to settled, at a steady rate."""
    numbers = range(10**6, 10**6 + arguments.rate * arguments.seconds)
    accepted_ms = await put_events(stand, numbers, pause_s=1 / arguments.rate)
    wanted = len(accepted_ms) * arguments.routes
    async with asyncio.timeout(60):
        while len(ages := await ages_ms(stand, accepted_ms)) < wanted:
            await asyncio.sleep(0.5)
    return {
        "deliveries": wanted,
        "accepted to settled p50 ms": ages[wanted // 2],
        "accepted to settled p99 ms": ages[int(wanted * 0.99)],
    }


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--routes", type=int, default=1)
    parser.add_argument("--delay-ms", type=float, default=20)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--rate", type=int, default=200, help="events a second, for the ages")
    parser.add_argument("--seconds", type=int, default=10, help="how long at that rate")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(parse()))
