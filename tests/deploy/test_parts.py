"""Ingest and worker as docker-compose.yml, the Dockerfile and the systemd units start them, asked by their checks."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from deploy.check import compose, dockerfile, systemd
from tests.deploy.container import IMAGE, ROOT, Container, image_environment, make_secrets, placed, service
from tests.harness import KafkaForTests, free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

BIN = Path(sys.executable).parent
Start = Callable[[list[str], dict[str, str], str], Container]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Container] = []

    def one(command: list[str], environ: dict[str, str], name: str) -> Container:
        started.append(Container(command, environ, tmp_path, name))
        return started[-1]

    yield one
    for container in started:
        container.process.kill()
        container.process.wait()


def test_the_containers_become_healthy_and_end_with_0(kafka: KafkaForTests, tmp_path: Path, start: Start) -> None:
    places = {
        "/run/secrets": str(make_secrets(tmp_path / "clone")),
        "/etc/headrace": str(ROOT / "deploy" / "table"),
        "/var/lib/headrace": str(tmp_path / "data"),
        "kafka:9092": kafka.bootstrap_servers,
    }
    prefix = kafka.settings().topic_prefix
    for name in ("ingest", "worker"):
        described = service(name)
        environ = {
            **placed({**image_environment(), **described["environment"]}, places),
            "PATH": f"{BIN}:/usr/bin:/bin",
            "HEADRACE_TOPIC_PREFIX": prefix,
            "HEADRACE_ADMIN_PORT": str(free_port()),
            "HEADRACE_PORT": str(free_port()),
        }
        entry = next(one for one in IMAGE if one.word == "ENTRYPOINT").arguments()
        container = start([str(BIN / entry[0]), *entry[1:], *described["command"]], environ, name)
        test = described.get("healthcheck", {}).get("test") or ["CMD", *dockerfile.healthcheck(IMAGE)]
        check = ["CMD", str(BIN / test[1]), *test[2:]]
        wait_until(partial(container.healthy, check), 120, 0.5)
    worker = container
    assert (tmp_path / "data" / "worker-0").is_dir(), "replicas share the volume by --claim-slot"
    assert worker.end(120) == 0, worker.log.read_text()[-3000:]


@pytest.mark.parametrize("unit", ["headrace-ingest.service", "headrace-worker@.service"])
def test_the_units_start_reload_and_stop(kafka: KafkaForTests, tmp_path: Path, start: Start, unit: str) -> None:
    secrets = tmp_path / "credentials"
    secrets.mkdir()
    for name in ("GITHUB_WEBHOOK_SECRET", "ORDERS_SECRET"):
        (secrets / name).write_text("a secret")
    table = tmp_path / "etc"
    table.mkdir()
    (table / "headrace.yaml").write_text((ROOT / "deploy" / "table" / "headrace.yaml").read_text())
    units = ROOT / "deploy" / "systemd"
    settings, drop_in = systemd.read(units / unit), systemd.read(units / f"{unit}.d" / "secrets.conf")
    environ = compose.read_env(units / "headrace.env")
    for line in (*settings["Environment"], *drop_in.get("Environment", ())):
        environ |= dict(word.split("=", 1) for word in line.split())
    state, port = tmp_path / "state", free_port()
    environ = placed(environ, {"%d": str(secrets), "%S": str(state), "%i": "0", "/etc/headrace": str(table)})
    environ |= {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "HEADRACE_TOPIC_PREFIX": kafka.settings().topic_prefix,
        "HEADRACE_ADMIN_PORT": str(port),
        "HEADRACE_PORT": str(free_port()),
    }
    (command,) = settings["ExecStart"]
    container = start(placed(command.split(), {"/opt/headrace/bin": str(BIN)}), environ, unit)
    check = ["CMD", str(BIN / "headrace"), "health"]
    wait_until(lambda: container.healthy(check), 120, 0.5)
    assert settings["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    container.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload" in container.log.read_text(), 60)
    assert container.healthy(check)
    assert container.end(120) == 0, container.log.read_text()[-3000:]
