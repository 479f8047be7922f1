"""``headrace doctor``: each finding is caused for real, and the whole command is run as a process."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from click.testing import CliRunner

from headrace.cli import main
from headrace.context import Settings
from headrace.doctor.finding import Finding
from headrace.doctor.interpreter import interpreter_findings
from headrace.doctor.machine import clock_finding, disk_findings, port_findings
from headrace.doctor.table import secret_findings
from streams.topics import TopicNames
from tests.harness import KafkaForTests, eventually, free_port, free_ports
from tests.tools import find_tool

TABLE = """\
version: 1
sources:
  orders: {scheme: hmac, secret_env: ORDERS_SECRET, event_id: "{{ body.id }}"}
destinations:
  console: {connector: log}
routes:
  - {name: all, source: orders, to: console, action: write, with: {message: "order {{ body.id }}"}}
"""
LIMIT = 10_000  # of open files: what the tests' own machine allows is not the subject


def levels(findings: Iterator[Finding] | list[Finding], check: str) -> list[str]:
    return [one.level for one in findings if one.check == check]


class Doctor:
    """``headrace doctor`` in a directory of its own: as a process where that matters, else here, which is quicker."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.table = directory / "headrace.yaml"
        self.table.write_text(TABLE)
        self.env = {"ORDERS_SECRET": "a secret"}
        self.prefix: list[str] = []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HEADRACE_", "KAFKA_"))}
        ports = ["--port", str(free_port()), "--admin-port", str(free_port())]
        return subprocess.run(
            [*self.prefix, sys.executable, "-m", "headrace", "doctor", *ports, *arguments],
            cwd=self.directory,
            env={**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), **self.env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def findings(self, *arguments: str, code: int) -> dict[str, list[dict[str, Any]]]:
        if self.prefix:
            done = self.run("--json", *arguments)
            assert (done.returncode, done.stderr) == (code, ""), done.stdout + done.stderr
            return self._grouped(done.stdout)
        shared = ["--config", str(self.table), "--data-dir", str(self.directory / "data")]
        ports = ["--port", str(free_port()), "--admin-port", str(free_port())]
        here = CliRunner().invoke(main, ["doctor", *shared, *ports, "--json", *arguments], env=self.env)
        assert (here.exit_code, here.stderr) == (code, ""), here.output
        return self._grouped(here.stdout)

    def _grouped(self, stdout: str) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for line in stdout.splitlines():
            finding = json.loads(line)
            assert set(finding) == {"check", "level", "message", "advice"}
            assert bool(finding["advice"]) == (finding["level"] != "ok"), finding
            found.setdefault(finding["check"], []).append(finding)
        return found


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    return Doctor(tmp_path)


# -- without Kafka -----------------------------------------------------------------------------------------------------


def test_a_first_try_has_no_error_and_says_in_words_what_is_not_yet_there(doctor: Doctor) -> None:
    del doctor.env["ORDERS_SECRET"]
    done = doctor.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok       kafka: the embedded one is not running: headrace run starts it" in done.stdout
    assert "warning  secrets: sources.orders.secret_env: ORDERS_SECRET is not set\n         → " in done.stdout
    assert not list(doctor.directory.glob(".headrace*")), "it changes nothing"


def test_a_table_that_is_not_valid_and_a_kafka_that_is_not_there(doctor: Doctor) -> None:
    doctor.table.write_text(TABLE.replace("to: console", "to: consul"))
    doctor.env["KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{free_port()}"
    found = doctor.findings(code=1)
    assert [one["level"] for one in found["table"]] == ["error"]
    assert "headrace.yaml:7: routes[0].to" in found["table"][0]["message"]
    assert found["kafka"][0]["level"] == "error"
    assert "KAFKA_BOOTSTRAP_SERVERS" in found["kafka"][0]["advice"]


def test_settings_that_cannot_be_used(doctor: Doctor) -> None:
    doctor.env |= {"HEADRACE_PARTITIONS": "many", "KAFKA_SECURITY_PROTOCOL": "TLS"}
    found = doctor.findings(code=1)
    assert [one["level"] for one in found["settings"]] == ["error"] * len(found["settings"])
    assert len(found["settings"]) >= 2
    assert "kafka" not in found


def test_retention_that_is_hardly_meant(doctor: Doctor) -> None:
    doctor.env["HEADRACE_RETENTION_EVENTS"] = "1d"
    assert [one["level"] for one in doctor.findings(code=0)["settings"]] == ["warning"]


def test_secrets(tmp_path: Path) -> None:
    (tmp_path / "headrace.yaml").write_text(TABLE)
    unreadable = tmp_path / "folder"
    unreadable.mkdir()

    def found(**environ: str) -> list[str]:
        settings = Settings(tmp_path / "headrace.yaml", tmp_path, environ=environ)
        return levels(secret_findings(settings, settings.table(), embedded=False), "secrets")

    assert found(ORDERS_SECRET="right") == ["ok"]
    assert found() == ["error", "ok"]
    assert found(ORDERS_SECRET_FILE=str(tmp_path / "nowhere")) == ["error", "ok"]
    assert found(ORDERS_SECRET_FILE=str(unreadable)) == ["error", "ok"]
    (tmp_path / "secret").write_text("right\n\n")
    assert found(ORDERS_SECRET_FILE=str(tmp_path / "secret")) == ["warning", "ok"]
    (tmp_path / "secrets.env").write_text("ORDERS_SECRET=right\n")
    (tmp_path / "secrets.env").chmod(0o644)
    assert found() == ["ok", "warning"]
    (tmp_path / "secrets.env").chmod(0o600)
    assert found() == ["ok"]


def test_no_finding_shows_a_secret(doctor: Doctor) -> None:
    doctor.env["ORDERS_SECRET"] = " n0b0dy-shows-this \n"
    found = doctor.findings(code=0)
    assert "white space" in found["secrets"][0]["message"]
    assert "n0b0dy" not in str(found)


def test_limits_of_open_files(doctor: Doctor) -> None:
    def found(hard: int) -> list[dict[str, Any]]:
        doctor.prefix = ["bash", "-c", f'ulimit -n {hard} && exec "$@"', "limited"]
        return doctor.findings(code=1 if hard < 4096 else 0)["open_files"]

    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert allowed == resource.RLIM_INFINITY or allowed >= LIMIT
    assert [one["level"] for one in found(1024)] == ["error"]
    assert [one["level"] for one in found(LIMIT)] == ["warning"]
    plenty = interpreter_findings((), embedded=False, open_files=lambda: (1024, resource.RLIM_INFINITY))
    assert levels(plenty, "open_files") == ["ok"]


def test_another_python_and_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(interpreter_findings((), embedded=True), "libraries") == []
    assert levels(interpreter_findings((), embedded=False, python=(3, 99)), "python") == ["warning"]
    # A library that is there and does not load, and one of an extra that is not there.
    monkeypatch.setitem(sys.modules, "rocksdict", None)
    monkeypatch.setattr("headrace.doctor.interpreter.requires", lambda _: ["no-such-library>=1; extra == 's3'"])
    found = list(interpreter_findings({"s3"}, embedded=False))
    assert levels(found, "libraries") == ["error"]
    assert levels(found, "extras") == ["error", "ok"]
    assert levels(interpreter_findings((), embedded=False), "extras") == ["ok"]


def test_the_data_directory_and_its_disk(tmp_path: Path) -> None:
    assert levels(disk_findings(tmp_path / "not" / "yet"), "data_dir") == ["ok"]
    assert not (tmp_path / "not").exists()
    (tmp_path / "file").touch()
    assert levels(disk_findings(tmp_path / "file"), "data_dir") == ["error"]
    assert levels(disk_findings(Path("/proc/headrace")), "data_dir") == ["error"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and be another user")
def test_a_disk_that_is_full_and_a_folder_of_somebody_else(doctor: Doctor) -> None:
    full = doctor.directory / "full"
    full.mkdir()
    mount = (
        f"mount -t tmpfs -o size=1m tmpfs {full} 2>/dev/null || exit 77; dd if=/dev/zero of={full}/all bs=64k || true; "
    )
    doctor.prefix = ["unshare", "--mount", "bash", "-c", f'{{ {mount} }} 2>/dev/null >&2; exec "$@"', "full"]
    done = doctor.run("--json", "--data-dir", str(full))
    if done.returncode == 77:
        pytest.skip("mounting is not allowed here")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    (data_dir,) = [one for one in found if one["check"] == "data_dir"]
    assert (data_dir["level"], "full" in data_dir["advice"]) == ("error", True)
    theirs = doctor.directory / "theirs"
    theirs.mkdir(mode=0o700)
    script = "import os, sys, pathlib; from headrace.doctor.machine import disk_findings as f; os.setuid(65534)\n"
    script += "print([one.level for one in f(pathlib.Path(sys.argv[1]))])"
    command = [sys.executable, "-c", script, str(theirs)]
    assert subprocess.check_output(command, cwd=Path(__file__).parents[2], text=True).strip() == "['error']"


def test_the_clock_of_this_machine() -> None:
    assert clock_finding(lambda: True).level == "ok"
    assert clock_finding(lambda: None).level == "ok"
    assert clock_finding(lambda: False).level == "warning"
    assert clock_finding().check == "clock"  # the kernel is asked, whatever it says


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_port_that_another_program_has() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as other, socket.create_server(("", 0)) as deaf:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        taken, silent = other.server_address[1], deaf.getsockname()[1]
        free = free_ports(2)
        try:
            assert levels(port_findings(taken, [taken]), "port") == ["error"]
            assert levels(port_findings(taken, [taken]), "admin_port") == ["error"]
            assert levels(port_findings(silent, []), "port") == ["error"]
            assert [one.level for one in port_findings(free, [free + 1])] == ["ok", "ok"]
        finally:
            other.shutdown()


# -- with Kafka --------------------------------------------------------------------------------------------------------


def on_kafka(doctor: Doctor, kafka: KafkaForTests) -> KafkaForTests:
    settings = kafka.settings()
    doctor.env |= {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "HEADRACE_TOPIC_PREFIX": settings.topic_prefix}
    return kafka


@pytest.mark.integration
def test_topics_that_are_missing_and_then_as_they_must_be(doctor: Doctor, kafka: KafkaForTests) -> None:
    on_kafka(doctor, kafka)
    found = doctor.findings(code=0)
    assert "missing" in found["topics"][0]["message"]
    assert found["topics"][0]["level"] == "warning"
    assert [one["level"] for one in found["min_insync"]] == ["warning"]  # one broker
    for check in ("kafka", "kafka_version", "clock_skew"):
        assert [one["level"] for one in found[check]] == ["ok"], found[check]
    environ = {**os.environ, **doctor.env}
    subprocess.run(
        [sys.executable, "-m", "headrace", "topics"], cwd=doctor.directory, env=environ, check=True, timeout=60
    )
    assert [one["level"] for one in doctor.findings(code=0)["topics"]] == ["ok"]


@pytest.mark.integration
def test_topics_that_differ(doctor: Doctor, kafka: KafkaForTests) -> None:
    on_kafka(doctor, kafka)
    names = TopicNames(doctor.env["HEADRACE_TOPIC_PREFIX"])

    async def create() -> None:
        async with kafka.settings().admin() as admin:
            await admin.create_topics([NewTopic(names.events("orders"), 3, 1)])

            async def visible() -> bool:
                return names.events("orders") in await admin.list_topics()

            await eventually(visible)

    asyncio.run(create())
    found = doctor.findings(code=1)["topics"]
    assert any(one["level"] == "error" and "partitions" in one["message"] for one in found), found


@pytest.mark.integration
def test_too_few_brokers_for_what_is_asked(doctor: Doctor, kafka: KafkaForTests) -> None:
    on_kafka(doctor, kafka)
    doctor.env["HEADRACE_MIN_INSYNC_REPLICAS"] = "2"
    assert [one["level"] for one in doctor.findings(code=1)["min_insync"]] == ["error"]


@pytest.mark.integration
@pytest.mark.parametrize(("offset", "level", "code"), [("+10s", "warning", 0), ("-10m", "error", 1)])
def test_a_clock_that_is_not_that_of_kafka(
    doctor: Doctor, kafka: KafkaForTests, offset: str, level: str, code: int
) -> None:
    on_kafka(doctor, kafka)
    doctor.prefix = [str(find_tool("faketime")), "-f", offset]
    (skew,) = doctor.findings(code=code)["clock_skew"]
    assert skew["level"] == level, skew
    assert ("behind" if offset.startswith("+") else "ahead") in skew["message"]
