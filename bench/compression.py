"""What each HEADRACE_COMPRESSION costs and saves: throughput, CPU of producer and broker, bytes on the broker's disk.

    bench/compression [--events 20000] [--senders 64] [--rounds 3]

Every codec has a turn in each round, in another order each time, on one broker; a figure is the median of the rounds.
The producer is the one that ingest uses, with as many sends in flight as ``--senders``; bodies are of about 1.3 KB,
JSON in the manner of a payment provider, with ids, names and amounts that differ.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from bench import stand as stands
from headrace.broker import EmbeddedKafka
from headrace.kafka_environment import COMPRESSIONS
from streams.event import Event
from streams.kafka import KafkaSettings
from streams.topic_difference import create_missing
from streams.topics import TopicNames, required_topics

SOURCE = "payments"
WORDS = ("invoice", "order", "shipped", "refund", "card", "bank", "monthly", "yearly", "plan", "seat", "net", "gross")


def bodies(count: int) -> list[bytes]:
    """Return bodies that differ as those of a provider do; the same in every run."""
    chance = random.Random(7)

    def one() -> bytes:
        lines = [
            {
                "id": f"il_{chance.randrange(16**14):014x}",
                "amount": chance.randrange(100_000),
                "currency": chance.choice(["eur", "usd", "gbp"]),
                "description": " ".join(chance.choices(WORDS, k=5)),
                "metadata": {},
                "proration": False,
            }
            for _ in range(5)
        ]
        customer = {"id": f"cus_{chance.randrange(16**14):014x}", "email": f"{chance.choice(WORDS)}@example.com"}
        invoice = {"object": "invoice", "customer": customer, "lines": {"object": "list", "data": lines}}
        event_id = f"evt_{chance.randrange(16**24):024x}"
        return json.dumps(
            {"id": event_id, "type": "invoice.paid", "livemode": True, "data": {"object": invoice}}
        ).encode()

    return [one() for _ in range(count)]


async def measure(kafka: EmbeddedKafka, codec: str, prefix: str, events: list[Event], senders: int) -> dict[str, float]:
    """Return the figures of one codec's turn, on topics of its own."""
    settings = KafkaSettings(kafka.bootstrap_servers, prefix, compression=None if codec == "none" else codec)
    names = TopicNames(prefix)
    specs = required_topics(names, sources={SOURCE: 2**20}, destinations=(), delays_s=(), dedup_ttl_s_max=3600)
    async with settings.admin() as admin:
        await create_missing(admin, [spec for spec in specs if spec.name == names.events(SOURCE)])
    producer = settings.producer()
    await producer.start()
    left = iter(events)

    async def sending() -> None:
        for event in left:
            await producer.send_and_wait(
                names.events(SOURCE), event.body, key=event.key, headers=event.to_headers(), timestamp_ms=event.time_ms
            )

    assert kafka.pid is not None
    broker_s, cpu_s, started_s = stands.usage(kafka.pid).cpu_s, time.process_time(), time.monotonic()
    await asyncio.gather(*(sending() for _ in range(senders)))
    seconds, cpu_s = time.monotonic() - started_s, time.process_time() - cpu_s
    broker_s = stands.usage(kafka.pid).cpu_s - broker_s
    await producer.stop()
    per_thousand = 1000 / len(events)
    on_disk = sum(path.stat().st_size for path in kafka.directory.log_dir.glob(f"{names.events(SOURCE)}-*/*.log"))
    return {
        "events a second": len(events) / seconds,
        "producer CPU s per 1,000": cpu_s * per_thousand,
        "broker CPU s per 1,000": broker_s * per_thousand,
        "bytes on disk an event": on_disk / len(events),
    }


async def main(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    now_ms = int(time.time() * 1000)
    events = [
        Event(SOURCE, f"e-{n}", f"e-{n}", "invoice.paid", now_ms, body, f"e-{n}".encode(), "application/json")
        for n, body in enumerate(bodies(arguments.events))
    ]
    turns: dict[str, list[dict[str, float]]] = {codec: [] for codec in COMPRESSIONS}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        kafka = EmbeddedKafka(Path(name))
        await kafka.start()
        try:
            await measure(kafka, "none", "warm-", events, arguments.senders)
            order = list(COMPRESSIONS)
            for number in range(arguments.rounds):
                order = order[1:] + order[:1]
                for codec in order:
                    turns[codec].append(await measure(kafka, codec, f"r{number}-{codec}-", events, arguments.senders))
        finally:
            await kafka.stop()
    raw = sum(len(event.body) for event in events) / len(events)
    for codec, found in turns.items():
        medians = {key: float(statistics.median(turn[key] for turn in found)) for key in found[0]}
        stands.report(f"compression {codec}", {"events": len(events), "bytes of a body": raw, **medians})


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--senders", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(parse()))
