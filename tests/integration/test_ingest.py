"""Ingest against a real broker: nothing accepted is lost, whatever is frozen or killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from streams.event import Event
from streams.kafka import read_topic
from streams.topics import TopicNames
from tests.conftest import StartHeadrace
from tests.harness import HeadraceProcess, KafkaForTests, eventually, free_ports, github_headers

SECRET = "s3cret"
TABLE = """
version: 1
sources:
  github: {scheme: github, secret_env: GITHUB_WEBHOOK_SECRET}
  small: {scheme: hmac, secret_env: GITHUB_WEBHOOK_SECRET, event_id: "{{ body.id }}", body_bytes_max: 1000}
destinations:
  out: {connector: log}
routes:
  - {name: all, source: "*", to: out, action: write, with: {message: hello}}
"""


@dataclass
class Ingest:
    """A running ``headrace ingest`` and what it answered."""

    kafka: KafkaForTests
    process: HeadraceProcess
    port: int
    prefix: str
    directory: Path
    accepted: dict[str, str] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    slowest_s: float = 0.0
    unanswered: int = 0

    async def post(self, session: aiohttp.ClientSession, delivery: str, body: bytes = b'{"a": 1}') -> int:
        started_s = time.monotonic()
        url = f"http://127.0.0.1:{self.port}/webhook/github"
        try:
            async with session.post(url, data=body, headers=github_headers(body, SECRET, delivery)) as response:
                status, answer = response.status, await response.json()
        except (aiohttp.ClientError, TimeoutError):
            self.unanswered += 1
            await asyncio.sleep(0.02)
            return 0
        self.slowest_s = max(self.slowest_s, time.monotonic() - started_s)
        self.answers[status] += 1
        if status == 200:
            self.accepted[delivery] = answer["receipt"]
        elif status == 503:
            assert int(response.headers["Retry-After"]) >= 1
        return status

    async def load(self, ended: asyncio.Event, *, connections: int = 16) -> None:
        """Post new events until told to stop; what is refused is not tried again."""

        async def posting() -> None:
            while not ended.is_set():
                await self.post(session, uuid.uuid4().hex)

        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(posting() for _ in range(connections)))

    async def stored(self) -> dict[str, set[str]]:
        """Return each event id in the log with its receipts."""
        names = TopicNames(self.prefix)
        found: dict[str, set[str]] = {}
        async for record in read_topic(self.kafka.settings(self.prefix), names.events("github")):
            event = Event.from_record(record.key, record.value, record.headers)
            found.setdefault(event.id, set()).add(f"github/{record.partition}/{record.offset}")
        return found

    async def assert_nothing_accepted_is_lost(self) -> None:
        stored = await self.stored()
        assert self.accepted
        assert [one for one, receipt in self.accepted.items() if receipt not in stored.get(one, set())] == []

    async def admin(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port + 1}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()

    async def ready(self) -> bool:
        try:
            return (await self.admin("/readyz"))[0] == 200
        except aiohttp.ClientError:
            return False


async def start(
    kafka: KafkaForTests,
    launch: StartHeadrace,
    directory: Path,
    *arguments: str,
    environment: dict[str, str] | None = None,
) -> Ingest:
    (directory / "headrace.yaml").write_text(TABLE)
    prefix, port = f"i{uuid.uuid4().hex[:8]}-", free_ports(2)
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "HEADRACE_TOPIC_PREFIX": prefix,
        "GITHUB_WEBHOOK_SECRET": SECRET,
        **(environment or {}),
    }
    ports = ("--host", "127.0.0.1", "--port", str(port), "--admin-port", str(port + 1))
    process = launch("ingest", *ports, *arguments, env=environment, cwd=directory)
    ingest = Ingest(kafka, process, port, prefix, directory)
    await eventually(ingest.ready, 60)
    return ingest


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_accepted_events_are_in_the_log_and_a_clean_stop_ends_with_0(
    kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path
) -> None:
    ingest = await start(kafka, headrace_process, tmp_path)
    ended = asyncio.Event()
    load = asyncio.create_task(ingest.load(ended))
    await eventually(lambda: len(ingest.accepted) > 200)
    assert await ingest.process.terminate() == 0  # in the middle of the load
    ended.set()
    await load
    assert set(ingest.answers) == {200}
    await ingest.assert_nothing_accepted_is_lost()


async def test_many_small_events_of_a_source_with_a_small_limit(
    kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path
) -> None:
    # A batch counts against the topic's limit as a whole.
    ingest = await start(kafka, headrace_process, tmp_path)
    arguments = ("send", "small", "--count", "3000", "--url", f"http://127.0.0.1:{ingest.port}")
    sender = headrace_process(*arguments, env={"GITHUB_WEBHOOK_SECRET": SECRET}, cwd=tmp_path)
    assert await sender.wait(60) == 0
    assert len(set(sender.stdout.split())) == 3000


async def test_a_frozen_broker_gives_503_in_time_and_ingest_goes_on_by_itself(
    own_kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path
) -> None:
    ingest = await start(own_kafka, headrace_process, tmp_path)
    ended = asyncio.Event()
    load = asyncio.create_task(ingest.load(ended))
    await eventually(lambda: len(ingest.accepted) > 100)
    own_kafka.pause()
    await eventually(lambda: ingest.answers[503] >= 16)
    await eventually(lambda: _unready(ingest))
    await asyncio.sleep(12)  # beyond every timeout of the producer
    own_kafka.resume()
    before = len(ingest.accepted)
    await eventually(lambda: len(ingest.accepted) > before + 100)
    await eventually(ingest.ready)
    ended.set()
    await load
    assert ingest.slowest_s < 7
    assert set(ingest.answers) == {200, 503}
    assert ingest.unanswered == 0
    await ingest.assert_nothing_accepted_is_lost()


async def _unready(ingest: Ingest) -> bool:
    return not await ingest.ready()


async def test_a_killed_broker_gives_503_and_ingest_goes_on_by_itself(
    own_kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path
) -> None:
    ingest = await start(own_kafka, headrace_process, tmp_path)
    ended = asyncio.Event()
    load = asyncio.create_task(ingest.load(ended))
    for _ in range(2):
        before, refused = len(ingest.accepted), ingest.answers[503]
        await eventually(lambda before=before: len(ingest.accepted) > before + 100)  # type: ignore[misc]
        own_kafka.kill()
        await eventually(lambda refused=refused: ingest.answers[503] > refused)  # type: ignore[misc]
        await own_kafka.restart()
    before = len(ingest.accepted)
    await eventually(lambda: len(ingest.accepted) > before + 100)
    ended.set()
    await load
    assert set(ingest.answers) == {200, 503}
    assert ingest.slowest_s < 7
    assert ingest.process.running
    await ingest.assert_nothing_accepted_is_lost()


async def test_a_killed_child_is_replaced_and_no_connection_is_refused(
    kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path
) -> None:
    ingest = await start(kafka, headrace_process, tmp_path, "--ingest-processes", "2")
    assert len(children(ingest.process.pid)) == 2
    ended = asyncio.Event()
    load = asyncio.create_task(ingest.load(ended))
    for _ in range(3):
        before = len(ingest.accepted)
        await eventually(lambda before=before: len(ingest.accepted) > before + 200)  # type: ignore[misc]
        os.kill(children(ingest.process.pid)[0], signal.SIGKILL)
        await eventually(lambda: _unready(ingest))
        await eventually(ingest.ready, 60)
    ended.set()
    await load
    assert set(ingest.answers) == {200}
    assert 0 < ingest.unanswered <= 3 * 16  # the connections that the killed ones had
    await ingest.assert_nothing_accepted_is_lost()
    _, metrics = await ingest.admin("/metrics")
    counted = [line for line in metrics.splitlines() if line.startswith("headrace_ingest_requests_total")]
    assert sum(float(line.split()[-1]) for line in counted) >= len(ingest.accepted)
    assert metrics.count("headrace_build_info{") == 1
    assert await ingest.process.terminate() == 0
    assert ingest.process.logs("ingest_process_died")


async def test_children_die_with_their_parent(
    kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path
) -> None:
    ingest = await start(kafka, headrace_process, tmp_path, "--ingest-processes", "2")
    pids = children(ingest.process.pid)
    ingest.process.kill()
    await eventually(lambda: not any(_alive(pid) for pid in pids), 5)


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_taken_port_is_one_clear_line(
    kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path, processes: str
) -> None:
    first = await start(kafka, headrace_process, tmp_path, "--ingest-processes", processes)
    environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "GITHUB_WEBHOOK_SECRET": SECRET}
    arguments = ("ingest", "--host", "127.0.0.1", "--port", str(first.port), "--admin-port", "0")
    second = headrace_process(*arguments, "--ingest-processes", processes, env=environment, cwd=tmp_path)
    assert await second.wait() == 1
    (line,) = second.stderr.splitlines()
    assert f"port {first.port} on 127.0.0.1" in line


async def test_a_reload_takes_a_new_secret_and_refuses_a_broken_table(
    kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path
) -> None:
    ingest = await start(kafka, headrace_process, tmp_path)
    table = tmp_path / "headrace.yaml"
    async with aiohttp.ClientSession() as session:
        assert await ingest.post(session, "1", json.dumps("x" * 5000).encode()) == 200
        table.write_text("nonsense: [")
        ingest.process.signal(signal.SIGHUP)
        await ingest.process.wait_for("reload_refused")
        assert await ingest.post(session, "2", json.dumps("x" * 5000).encode()) == 200
        table.write_text(TABLE.replace("scheme: github,", "scheme: github, body_bytes_max: 1000,"))
        ingest.process.signal(signal.SIGHUP)
        await ingest.process.wait_for('"reloaded"')
        assert await ingest.post(session, "3", json.dumps("x" * 5000).encode()) == 413


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_stop_is_announced_while_events_are_still_accepted(
    kafka: KafkaForTests, headrace_process: StartHeadrace, tmp_path: Path, processes: str
) -> None:
    # Longer than a busy machine takes to show it and to answer twenty posts: after it the port is closed.
    arguments = ("--ingest-processes", processes, "--drain-notice-s", "20")
    ingest = await start(kafka, headrace_process, tmp_path, *arguments)
    ingest.process.signal(signal.SIGTERM)
    await eventually(lambda: _unready(ingest), 10)
    async with aiohttp.ClientSession() as session:
        for number in range(20):
            assert await ingest.post(session, str(number)) == 200
    assert await ingest.process.wait(60) == 0
    await ingest.assert_nothing_accepted_is_lost()
