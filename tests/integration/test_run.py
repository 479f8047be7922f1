"""`headrace run` as a user meets it: started, killed in part and in whole, and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import StartHeadrace
from tests.harness import (
    Answer,
    HeadraceProcess,
    KafkaForTests,
    Receiver,
    eventually,
    free_port,
    free_ports,
    github_headers,
    processes_with,
)

TABLE = """\
version: 1
sources:
  github: {{scheme: github, secret_env: GITHUB_WEBHOOK_SECRET}}
destinations:
  crm: {{connector: http, base_url: "{url}", timeout_s: 20, concurrency: 10}}
routes:
  - name: github-to-crm
    source: github
    to: crm
    action: request
    with: {{method: POST, path: /events, json: {{id: "{{{{ event.id }}}}"}}}}
"""


class Instance:
    """One data directory and its ports, to run `headrace run` on again and again."""

    def __init__(self, directory: Path, receiver: Receiver, start: StartHeadrace) -> None:
        self.directory, self.data_dir = directory, directory / ".headrace"
        self.port, self.admin_port, self.kafka_port = free_port(), free_ports(2), free_port()
        (directory / "headrace.yaml").write_text(TABLE.format(url=receiver.url))
        self._start = start

    def start(self, *more: str, env: dict[str, str] | None = None) -> HeadraceProcess:
        ports = ["--port", self.port, "--admin-port", self.admin_port, "--kafka-port", self.kafka_port]
        return self._start(
            "run", *map(str, ports), *more, env={"HEADRACE_PARTITIONS": "2", **(env or {})}, cwd=self.directory
        )

    async def ready(self, *more: str) -> HeadraceProcess:
        process = self.start(*more)
        await process.wait_for("headrace ready: ")
        return process

    @property
    def secret(self) -> str:
        lines = (self.data_dir / "secrets.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))["GITHUB_WEBHOOK_SECRET"]

    async def post(self) -> str | None:
        """Post one event and return its id, or ``None`` when it was not accepted."""
        event_id, body = str(uuid.uuid4()), b'{"zen":"Speak like a human."}'
        headers = github_headers(body, self.secret, event_id)
        url = f"http://127.0.0.1:{self.port}/webhook/github"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session,
                session.post(url, data=body, headers=headers) as answer,
            ):
                return event_id if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


@pytest.fixture
def instance(tmp_path: Path, receiver: Receiver, headrace_process: StartHeadrace) -> Iterator[Instance]:
    instance = Instance(tmp_path, receiver, headrace_process)
    yield instance
    for pid in processes_with(str(tmp_path)):
        os.kill(pid, signal.SIGKILL)


def _delivered(receiver: Receiver, event_id: str) -> Callable[[], bool]:
    return lambda: any(call.json["id"] == event_id for call in receiver.calls("/events"))


async def test_runs_delivers_stops_and_keeps_its_data(instance: Instance, receiver: Receiver) -> None:
    first = await instance.ready()
    (line,) = first.stdout.splitlines()
    assert line.startswith("headrace ready: ")
    assert "send github --url" in first.stderr
    assert "made up GITHUB_WEBHOOK_SECRET" in first.stderr
    assert instance.secret not in first.stderr
    assert stat.S_IMODE((instance.data_dir / "secrets.env").stat().st_mode) == 0o600
    event_id = await instance.post()
    assert event_id is not None
    await eventually(_delivered(receiver, event_id), 10)
    secret = instance.secret

    first.signal(signal.SIGINT)
    assert await first.wait(60) == 0
    assert not processes_with(str(instance.data_dir))

    receiver.answers["/"] = Answer(500)
    second = await instance.ready()
    assert instance.secret == secret
    assert "made up" not in second.stderr
    assert len(receiver.calls("/events")) == 1  # nothing is repeated after a clean stop
    assert await second.terminate(60) == 0


async def test_a_part_that_is_killed_is_started_again(instance: Instance, receiver: Receiver) -> None:
    process = await instance.ready()
    for word, said in (("worker", "worker 0"), ("ingest", "ingest"), ("kafka.Kafka", "Kafka")):
        pid = await eventually(lambda word=word: _part(instance, word))
        os.kill(pid, signal.SIGKILL)
        await process.wait_for(f"headrace: {said} was killed by SIGKILL; starting it again in ")
        event_id = await eventually(instance.post, 60)
        await eventually(_delivered(receiver, event_id), 60)
    assert await process.terminate(60) == 0


def _part(instance: Instance, word: str) -> int:
    # The JVM names its ports in a file alone.
    if word == "kafka.Kafka":
        (pid,) = [pid for pid in processes_with(str(instance.data_dir)) if word in _arguments(pid)]
        return pid
    servers = f"127.0.0.1:{instance.kafka_port}"
    (pid,) = [pid for pid in processes_with(servers) if {word, servers} <= set(_arguments(pid))]
    return pid


async def test_kill_9_leaves_nothing_and_the_next_start_has_every_event(instance: Instance, receiver: Receiver) -> None:
    receiver.answers["/"] = Answer(503)
    process = await instance.ready("--ingest-processes", "2")
    event_id = await instance.post()
    assert event_id is not None
    process.kill()
    await eventually(lambda: not processes_with(str(instance.data_dir)), 10)
    receiver.answers.clear()
    again = await instance.ready()
    await eventually(_delivered(receiver, event_id), 60)
    assert await again.terminate(60) == 0


async def test_a_second_signal_hurries(instance: Instance, receiver: Receiver) -> None:
    receiver.answers["/"] = Answer(hang=True)
    process = await instance.ready()
    assert await instance.post()
    await eventually(lambda: receiver.in_flight)
    process.signal(signal.SIGTERM)
    await process.wait_for("headrace: stopping: ")
    process.signal(signal.SIGTERM)
    began_s = time.monotonic()
    assert await process.wait(30) == 0
    assert time.monotonic() - began_s < 12
    assert not processes_with(str(instance.data_dir))


async def _refused(process: HeadraceProcess, code: int = 1) -> str:
    """Return the only line on stderr of a run that ends by itself."""
    assert await process.wait(60) == code, process.tail()
    assert process.stdout == ""
    errors = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, process.stderr
    assert "Traceback" not in process.stderr
    return errors[0]


async def test_taken_ports_are_one_line(instance: Instance) -> None:
    for option, port in (
        ("--port", instance.port),
        ("--admin-port", instance.admin_port + 1),
        ("--kafka-port", instance.kafka_port),
    ):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            line = await _refused(instance.start())
        assert f"port {port} " in line
        assert line.endswith(f"choose another with {option}")


async def test_a_second_run_on_the_same_data_is_refused(instance: Instance, receiver: Receiver) -> None:
    process = await instance.ready()
    line = await _refused(instance.start())
    assert line == "error: .headrace is in use by another headrace run: stop it first"
    assert await instance.post()
    assert await process.terminate(60) == 0


async def test_a_missing_secret_of_a_destination_is_one_line(instance: Instance) -> None:
    table = (instance.directory / "headrace.yaml").read_text()
    (instance.directory / "headrace.yaml").write_text(table.replace("timeout_s: 20", "token_env: CRM_TOKEN"))
    assert "CRM_TOKEN is not set" in await _refused(instance.start())


async def test_an_invalid_table_ends_with_2(instance: Instance) -> None:
    (instance.directory / "headrace.yaml").write_text("version: 7\n")
    process = instance.start()
    assert await process.wait(30) == 2
    assert "version" in process.stderr
    assert not (instance.data_dir / "kafka").exists()


async def test_another_kafka_is_used_and_no_secret_made_up(
    instance: Instance, receiver: Receiver, kafka: KafkaForTests
) -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "HEADRACE_TOPIC_PREFIX": f"t{uuid.uuid4().hex[:8]}-"}
    assert "GITHUB_WEBHOOK_SECRET is not set" in await _refused(instance.start(env=env))
    instance.data_dir.joinpath("secrets.env").write_text("GITHUB_WEBHOOK_SECRET=from-the-file\n")
    process = instance.start(env=env)
    await process.wait_for("headrace ready: ")
    event_id = await instance.post()
    assert event_id is not None
    await eventually(_delivered(receiver, event_id), 10)
    assert not (instance.data_dir / "kafka").exists()
    assert await process.terminate(60) == 0


@pytest.mark.timeout(180)
async def test_a_part_that_cannot_be_kept_up_ends_the_run(instance: Instance) -> None:
    instance.data_dir.mkdir()
    (instance.data_dir / "worker-0").write_text("a file where a directory must be")
    process = instance.start()
    assert await process.wait(120) == 1
    assert "worker 0 cannot be kept up, it died 5 times in a row: worker 0 ended with code " in process.stderr
    assert process.stdout == ""
    assert not processes_with(str(instance.data_dir))


async def test_a_reload_while_the_parts_start_ends_none_of_them(instance: Instance) -> None:
    process = instance.start()
    await process.wait_for("starting Kafka")
    while "headrace ready" not in process.stdout:
        assert process.running
        process.signal(signal.SIGHUP)
        await asyncio.sleep(0.05)  # so that some reach a part before it has read its first module
    await process.wait_for('"reloaded"')
    assert "killed by" not in process.stderr
    assert "ended with code" not in process.stderr
    assert await process.terminate(60) == 0


async def test_a_reload_reaches_the_parts(instance: Instance, receiver: Receiver) -> None:
    process = await instance.ready()
    path = instance.directory / "headrace.yaml"
    path.write_text(path.read_text().replace("path: /events", "path: /events/changed"))
    process.signal(signal.SIGHUP)
    await process.wait_for('"reloaded"')
    assert await instance.post()
    await eventually(lambda: receiver.calls("/events/changed"), 10)
    assert await process.terminate(60) == 0
    assert json.loads(receiver.calls("/events/changed")[0].body)
