"""Yesterday's log and tables: recorded from a system at work, and put back for today's code to go on with.

    .venv/bin/python -m tests.yesterday tests/fixtures/yesterday-N

records a new one, to be used a minute later. Do so when a record's or a table's form changes, and keep the old: each is
an upgrade that is tested.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from headrace.broker import EmbeddedKafka
from streams.kafka import producing, read_topic
from tests.harness import Answer, HeadraceProcess, KafkaForTests, Receiver, eventually
from tests.ledger import Ledger, System

DESTINATIONS: dict[str, dict[str, Any]] = {
    "a": {"retry": {"attempts": 1}, "delays_s": [60]},
    "b": {"retry": {"attempts": 1}, "delays_s": []},
}
DEDUP_TTL = "7300d"  # the ids must still be known when the recording is old
BODY = b'{"n": 7, "text": "as it was posted"}'


def prepare(system: System) -> None:
    """Give a system what the recording was made with."""
    system.table["sources"]["github"]["dedup_ttl"] = DEDUP_TTL
    system.write_table()


def _groups(system: System) -> list[str]:
    names = system.names
    return [names.fan_out_group, names.retries_group, *map(names.deliver_group, DESTINATIONS)]


async def make(system: System) -> dict[str, str]:
    """Leave in the log: settled, dead and waiting on ``a``; all three in the queue of ``b``, which is paused."""
    prepare(system)
    system.receiver.answers |= {"/a/dead": Answer(422), "/a/waiting": Answer(503)}
    ledger = Ledger(system)
    await system.command("topics")
    await system.command("pause", "b")
    ingest, worker = await system.start_ingest(), await system.worker()
    async with ledger.session() as session:
        for event_id in ("settled", "dead", "waiting"):
            await ledger.post(session, event_id, body=BODY)
    await eventually(lambda: len(system.receiver.calls("/a")) == 3, 60)
    await eventually(system.letters, 60)
    assert (await ingest.terminate(60), await worker.terminate(60)) == (0, 0)
    return {event_id: receipt for event_id, receipt in ledger.accepted.items() if receipt}


async def record(system: System, directory: Path, receipts: dict[str, str]) -> None:
    """Write every record, every commit and the worker's tables into ``directory``."""
    directory.mkdir(parents=True)
    prefix = system.settings.topic_prefix
    async with system.settings.admin() as admin:
        topics = sorted(topic for topic in await admin.list_topics() if topic.startswith(prefix))
        commits: list[list[Any]] = []
        for group in _groups(system):
            for part, found in (await admin.list_consumer_group_offsets(group)).items():
                topic = part.topic.removeprefix(prefix)
                commits.append([group.removeprefix(prefix), topic, part.partition, found.offset, found.metadata])
    lines = []
    for topic in topics:
        async for one in read_topic(system.settings, topic):
            row = {
                "topic": topic.removeprefix(prefix),
                "partition": one.partition,
                "offset": one.offset,
                "timestamp_ms": one.timestamp,
                "key": _text(one.key),
                "value": _text(one.value),
                "headers": [[name, _text(value)] for name, value in one.headers],
            }
            lines.append(json.dumps(row))
    (directory / "records.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (directory / "commits.json").write_text(json.dumps({"receipts": receipts, "commits": commits}, indent=1) + "\n")
    # Without what RocksDB says of the machine, in its log; all that a database needs is in the rest.
    tables = system.directory / "w1" / "v1"
    shutil.copytree(tables, directory / "tables" / "v1", ignore=shutil.ignore_patterns("LOG", "LOG.old*", "LOCK"))


async def restore(system: System, directory: Path, *, tables: bool) -> dict[str, str]:
    """Put a recording into a system's topics, groups and, with ``tables``, its data directory; return the receipts."""
    prepare(system)
    await system.command("topics")
    prefix = system.settings.topic_prefix
    rows = [json.loads(line) for line in (directory / "records.jsonl").read_text().splitlines()]
    told = json.loads((directory / "commits.json").read_text())
    async with producing(system.settings) as producer:
        for row in rows:
            # As if it had been a moment ago, for what goes by its age; what waits for its time has waited long enough.
            timestamp_ms = row["timestamp_ms"] if row["topic"].startswith("retries.") else None
            sent = await producer.send_and_wait(
                prefix + row["topic"],
                _bytes(row["value"]),
                key=_bytes(row["key"]),
                headers=[(name, _bytes(value) or b"") for name, value in row["headers"]],
                partition=row["partition"],
                timestamp_ms=timestamp_ms,
            )
            assert sent.offset == row["offset"], row
    for group in {one[0] for one in told["commits"]}:
        consumer = system.settings.consumer(group_id=prefix + group)
        await consumer.start()
        offsets = {
            TopicPartition(prefix + topic, partition): OffsetAndMetadata(offset, metadata)
            for name, topic, partition, offset, metadata in told["commits"]
            if name == group
        }
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
        await consumer.stop()
    if tables:
        shutil.copytree(directory / "tables", system.directory / "w1")
    receipts: dict[str, str] = told["receipts"]
    return receipts


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


async def main(directory: Path) -> None:
    """Record a new yesterday."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        broker = EmbeddedKafka(work / "kafka")
        await broker.start()
        receiver = Receiver().start()

        def start(*args: str, **options: Any) -> HeadraceProcess:
            return HeadraceProcess(args, **{"cwd": work, **options})

        system = System(KafkaForTests(broker), work, receiver, start, destinations=DESTINATIONS, partitions=1)
        await record(system, directory, await make(system))
        receiver.stop()
        await broker.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
