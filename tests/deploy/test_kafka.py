"""Kafka as docker-compose.yml describes it: its variables, made into settings by the image's own program.

Apache's image runs ``kafka.docker.KafkaDockerWrapper``, which is in Kafka's jar; only addresses and paths differ here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from deploy.check import compose
from headrace.java import find_java
from headrace.kafka_jars import default_cache_dir, ensure_jars
from tests.deploy.container import ROOT, Container, placed, service
from tests.harness import free_ports, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


class Brokers:
    """The brokers of some services, each on ports of its own."""

    def __init__(self, directory: Path, names: list[str]) -> None:
        self.directory, self.names = directory, names
        first = free_ports(2 * len(names))
        self.ports = {name: (first + 2 * n, first + 2 * n + 1) for n, name in enumerate(names)}
        self.containers: list[Container] = []

    @property
    def places(self) -> dict[str, str]:
        addresses = {f"{n}:9092": f"127.0.0.1:{port}" for n, (port, _) in self.ports.items()}
        return addresses | {f"{n}:9093": f"127.0.0.1:{port}" for n, (_, port) in self.ports.items()}

    def start(self) -> None:
        for name in self.names:
            self.containers.append(self._start(name))
        for name, container in zip(self.names, self.containers, strict=True):
            check = placed(service(name)["healthcheck"]["test"], {"/9092": f"/{self.ports[name][0]}"})
            wait_until(partial(container.healthy, check), 120, 0.5)

    def _start(self, name: str) -> Container:
        here = self.directory / name
        defaults, final = here / "defaults", here / "config"
        for folder in (defaults, final, here / "data"):
            folder.mkdir(parents=True)
        for file in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
            (defaults / file).touch()
        port, controller = self.ports[name]
        own = {"://:9092": f"://127.0.0.1:{port}", "://:9093": f"://127.0.0.1:{controller}"}
        own["/var/lib/kafka/data"] = str(here / "data")
        environ = placed(service(name)["environment"], {**own, **self.places})
        heap = environ["KAFKA_HEAP_OPTS"].split()
        java = [str(find_java(os.environ)), *heap, "-cp", ensure_jars(default_cache_dir(os.environ))]
        folders = {"--default-configs-dir": defaults, "--mounted-configs-dir": ROOT / "deploy" / "kafka"}
        folders["--final-configs-dir"] = final
        options = [str(word) for pair in folders.items() for word in pair]
        made = subprocess.run(
            [*java, "kafka.docker.KafkaDockerWrapper", "setup", *options],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        logging = f"-Dlog4j2.configurationFile={final / 'log4j2.yaml'}"
        return Container(
            [*java[:-2], logging, *java[-2:], "kafka.Kafka", str(final / "server.properties")], environ, here, name
        )

    def headrace(self, *arguments: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command on these brokers with the compose file's routing table."""
        command = [sys.executable, "-m", "headrace", "--config", str(ROOT / "deploy" / "table" / "headrace.yaml")]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HEADRACE_", "KAFKA_"))}
        secrets = {"GITHUB_WEBHOOK_SECRET": "a secret", "ORDERS_SECRET": "a secret"}
        environ = {**inherited, **secrets, **environ}
        return subprocess.run(
            [*command, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False
        )

    def stop(self) -> None:
        for container in self.containers:
            container.process.terminate()
        for container in self.containers:
            container.end()


@pytest.fixture
def brokers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Brokers]:
    brokers = Brokers(tmp_path, request.param)
    try:
        brokers.start()
        yield brokers
    finally:
        brokers.stop()


def _variables(brokers: Brokers, environ: dict[str, str]) -> dict[str, str]:
    """Return what compose gives ingest and workers about Kafka."""
    given = placed(service("ingest", environ)["environment"], brokers.places)
    about = ("KAFKA_", "HEADRACE_PARTITIONS", "HEADRACE_MIN", "HEADRACE_REPL")
    return {key: value for key, value in given.items() if key.startswith(about)}


def _doctor(brokers: Brokers, environ: dict[str, str]) -> dict[str, str]:
    done = brokers.headrace("doctor", "--json", environ=environ)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {one["check"]: one["level"] for one in found if one["check"] not in ("port", "admin_port")}


@pytest.mark.parametrize("brokers", [["kafka"]], indirect=True, ids=["one"])
def test_one_broker(brokers: Brokers) -> None:
    environ = _variables(brokers, {})
    made = brokers.headrace("topics", environ=environ)
    assert made.returncode == 0, made.stderr
    found = _doctor(brokers, environ)
    assert found["topics"] == "ok"
    assert found["min_insync"] == "warning"


@pytest.mark.parametrize("brokers", [["kafka-1", "kafka-2", "kafka-3"]], indirect=True, ids=["ha"])
def test_three_brokers_keep_two_in_sync_replicas(brokers: Brokers) -> None:
    environ = _variables(brokers, compose.read_env(ROOT / "deploy" / "ha.env"))
    assert environ["KAFKA_BOOTSTRAP_SERVERS"].count("127.0.0.1") == 3
    made = brokers.headrace("topics", environ=environ)
    assert made.returncode == 0, made.stderr
    found = _doctor(brokers, environ)
    assert {name: found[name] for name in ("kafka", "topics", "min_insync")} == dict.fromkeys(
        ("kafka", "topics", "min_insync"), "ok"
    )
    brokers.containers[0].process.kill()  # one is lost, and events are still accepted

    def noticed() -> bool:
        return _doctor(brokers, environ).get("replicas") == "warning"

    wait_until(noticed, 90, 1)
