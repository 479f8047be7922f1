"""The embedded Kafka: kept data, and one clear line for each thing that can be wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from headrace.broker import BrokerError, EmbeddedKafka
from streams.kafka import KafkaSettings, read_topic
from tests.harness import KafkaForTests, eventually, processes_with

pytestmark = pytest.mark.xdist_group("broker")  # its costly fixture is made once


@pytest.fixture(scope="module")
def formatted(tmp_path_factory: pytest.TempPathFactory, kafka: KafkaForTests) -> Path:
    """A data directory that a Kafka used and left, to copy and damage."""
    data_dir = tmp_path_factory.mktemp("formatted")
    script = "import asyncio, pathlib, sys; from headrace.broker import EmbeddedKafka as E\n"
    script += (
        "async def main():\n k = E(pathlib.Path(sys.argv[1]))\n await k.start()\n await k.stop()\nasyncio.run(main())"
    )
    subprocess.run([sys.executable, "-c", script, str(data_dir)], check=True, timeout=60)
    return data_dir


@pytest.fixture
def used(formatted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(formatted, tmp_path / "used"))


async def test_answers_and_creates_no_topic_by_itself(kafka: KafkaForTests) -> None:
    async with kafka.settings().admin() as admin:
        assert "never-created" not in await admin.list_topics()
        described = await admin.describe_topics(["never-created"])
        assert described[0]["error_code"] != 0
        assert "never-created" not in await admin.list_topics()
    assert int(kafka.broker.directory.port_file.read_text()) == kafka.broker.port


async def test_keeps_data_between_runs_and_after_a_kill(used: Path) -> None:
    broker = EmbeddedKafka(used)
    await broker.start()
    settings = KafkaSettings(broker.bootstrap_servers)
    async with settings.admin() as admin:
        await admin.create_topics([NewTopic("kept", 1, 1)])
    for value in (b"one", b"two", b"three"):
        producer = settings.producer()
        await producer.start()
        await producer.send_and_wait("kept", value)
        await producer.stop()
        if value == b"one":
            await broker.stop()
        elif value == b"two":
            broker.kill()
            assert await broker.wait() == "Kafka was killed by SIGKILL"
        await broker.start()
    assert [record.value async for record in read_topic(settings, "kept")] == [b"one", b"two", b"three"]
    await broker.stop()
    assert not broker.running


async def test_a_taken_port(used: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            BrokerError, match=rf"port {port} of 127\.0\.0\.1 cannot be used \(another program has it\).*--kafka-port"
        ):
            await EmbeddedKafka(used, port).start()


async def test_two_on_one_directory(own_kafka: KafkaForTests) -> None:
    data_dir = own_kafka.broker.directory.path.parent
    with pytest.raises(BrokerError, match="is in use by another headrace run: stop it first"):
        await EmbeddedKafka(data_dir).start()
    assert own_kafka.broker.running


async def test_files_that_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "novel.txt").write_text("Call me Ishmael.")
    with pytest.raises(BrokerError, match="holds files that are not Headrace's"):
        await EmbeddedKafka(tmp_path).start()
    assert [entry.name for entry in (tmp_path / "kafka").iterdir()] == ["novel.txt"]


def _edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


async def test_the_log_of_another_cluster(used: Path) -> None:
    _edit(used / "kafka/log/meta.properties", "cluster.id=", "cluster.id=X")
    with pytest.raises(BrokerError, match="belongs to another Kafka cluster"):
        await EmbeddedKafka(used).start()


async def test_data_of_a_newer_kafka(used: Path) -> None:
    marker = used / "kafka/cluster.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "kafka_version": "99.0.0"}))
    with pytest.raises(BrokerError, match=r"was written by Kafka 99\.0\.0, newer than this one"):
        await EmbeddedKafka(used).start()


@pytest.mark.parametrize("content", [None, "", "\0\0\0", "version=1\n"])
async def test_damaged_properties(used: Path, content: str | None) -> None:
    path = used / "kafka/log/meta.properties"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(BrokerError, match=r"is damaged .*move it away"):
        await EmbeddedKafka(used).start()


async def test_damaged_log(used: Path) -> None:
    for segment in (used / "kafka/log/__cluster_metadata-0").iterdir():
        if segment.suffix in {".log", ".checkpoint"}:
            segment.write_bytes(os.urandom(4096))
    broker = EmbeddedKafka(used)
    with pytest.raises(BrokerError) as caught:
        await broker.start()
    assert "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not broker.running


async def test_a_crash_while_formatting_is_repaired(used: Path) -> None:
    marker = used / "kafka/cluster.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "formatted": False}))
    (used / "kafka/log/meta.properties").unlink()
    broker = EmbeddedKafka(used)
    await broker.start()
    await broker.stop()


async def test_too_little_room_at_the_start(used: Path) -> None:
    with pytest.raises(BrokerError, match=r"the disk of .* is full: .* MB are free"):
        await EmbeddedKafka(used, free_bytes_min=2**62).start()


async def test_a_disk_that_fills_up(used: Path) -> None:
    """A bound on the size of files stands for the full disk: a JVM that may write no more, without root or a mount."""
    broker = EmbeddedKafka(used)
    await broker.start()
    settings = KafkaSettings(broker.bootstrap_servers)
    async with settings.admin() as admin:
        await admin.create_topics([NewTopic("big", 1, 1)])
    assert broker.pid is not None
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
    producer = settings.producer(request_timeout_ms=2000, enable_idempotence=False, acks=1)
    await producer.start()
    with contextlib.suppress(KafkaError):
        for _ in range(6):
            await producer.send_and_wait("big", bytes(900_000))
    assert "is full: make room" in await eventually(lambda: not broker.running and broker.last_words())
    with contextlib.suppress(KafkaError, TimeoutError):
        await asyncio.wait_for(producer.stop(), 5)


async def test_a_frozen_broker_goes_on_once_thawed(own_kafka: KafkaForTests) -> None:
    settings = own_kafka.settings()
    async with settings.admin() as admin:
        await admin.create_topics([NewTopic("frozen", 1, 1)])
    producer = settings.producer()
    await producer.start()
    own_kafka.pause()
    sending = asyncio.ensure_future(producer.send_and_wait("frozen", b"one"))
    await asyncio.sleep(5)  # longer than the broker's own session
    assert not sending.done()
    own_kafka.resume()
    await asyncio.wait_for(sending, 15)
    await producer.stop()
    assert own_kafka.broker.running


async def test_a_frozen_jvm_stops(own_kafka: KafkaForTests) -> None:
    own_kafka.pause()
    await own_kafka.broker.stop()
    assert not own_kafka.broker.running


def _start_and_be_killed(data_dir: Path, *, orphan: bool) -> int:
    """Start a Kafka in a process that is then killed; ``orphan``: as where the system cannot end the JVM with it."""
    script = """
import asyncio, os, pathlib, signal, sys
import headrace.broker
if sys.argv[2] == "orphan":
    headrace.broker.die_with_parent = lambda: None
kafka = headrace.broker.EmbeddedKafka(pathlib.Path(sys.argv[1]))
asyncio.run(kafka.start())
print(kafka.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    mode = "orphan" if orphan else "bound"
    done = subprocess.run([sys.executable, "-c", script, str(data_dir), mode], stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == -signal.SIGKILL
    return int(done.stdout)


async def test_the_jvm_ends_with_a_killed_parent(used: Path) -> None:
    _start_and_be_killed(used, orphan=False)
    await eventually(lambda: not processes_with(str(used)), 5)
    broker = EmbeddedKafka(used)
    await broker.start()
    await broker.stop()


async def test_an_orphan_is_ended_by_the_next_start(used: Path) -> None:
    orphan = _start_and_be_killed(used, orphan=True)
    assert processes_with(str(used)) == [orphan]
    broker = EmbeddedKafka(used)
    await broker.start()
    assert processes_with(str(used)) == [broker.pid]
    await broker.stop()


async def test_a_foreign_process_with_the_old_pid_is_left_alone(used: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (used / "kafka/pid").write_text(str(stranger.pid))
        broker = EmbeddedKafka(used)
        await broker.start()
        await broker.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
