"""A Kafka with users, TLS and ACLs: the whole system on it, and one clear line for each way to be refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartHeadrace
from tests.harness import Answer, HeadraceProcess, KafkaForTests, Receiver, eventually, free_port
from tests.integration.scenario import Scenario
from tests.secure_kafka import PASSWORD, SCRAM_PASSWORD, STRANGER, SecureKafka

AT_ONCE_S = 25.0  # a process that starts on a busy machine, and one look at the broker

pytestmark = pytest.mark.xdist_group("secure-kafka")  # its costly fixture is made once


class SecureScenario(Scenario):
    """Its processes come with credentials; the test itself looks at the log on the plain listener."""

    def __init__(self, broker: SecureKafka, directory: Path, start: StartHeadrace, url: str) -> None:
        self.credentials = broker.environment()
        super().__init__(KafkaForTests(broker), directory, table(url), start, partitions=2)

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.credentials}


def table(url: str) -> dict[str, Any]:
    request = {"method": "POST", "path": "/{{ event.id }}", "json": {"id": "{{ event.id }}"}}
    route = {"source": "github", "action": "request", "with": request}
    return {
        "version": 1,
        "sources": {"github": {"scheme": "github", "secret_env": "GITHUB_WEBHOOK_SECRET"}},
        "destinations": {"crm": {"connector": "http", "base_url": url, "delays_s": []}},
        "routes": [{"name": "to-crm", "to": "crm", **route}],
    }


@pytest.fixture
def scenario(
    secure: SecureKafka, tmp_path: Path, receiver: Receiver, headrace_process: StartHeadrace
) -> SecureScenario:
    return SecureScenario(secure, tmp_path, headrace_process, receiver.url)


def ingest(scenario: SecureScenario, *options: str) -> tuple[HeadraceProcess, str]:
    """Start ingest and return it with its URL."""
    port = free_port()
    ports = ["--host", "127.0.0.1", "--port", str(port), "--admin-port", str(free_port())]
    return scenario.run("ingest", *ports, *options), f"http://127.0.0.1:{port}"


async def ready(process: HeadraceProcess) -> None:
    """Return when ``/readyz`` of the process says so."""
    url = f"http://127.0.0.1:{process.args[process.args.index('--admin-port') + 1]}/readyz"

    async def answers() -> bool:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status == 200

    async def is_ready() -> bool:
        try:
            return await answers()
        except aiohttp.ClientError:
            return False

    await eventually(is_ready, 60)


async def done(scenario: SecureScenario, *args: str) -> str:
    """Run a command that must succeed and return its stdout."""
    process = await scenario.command(*args)
    assert process.process.returncode == 0, process.tail()
    assert_no_secret(process)
    return process.stdout


def assert_no_secret(process: HeadraceProcess) -> None:
    for secret in (PASSWORD, SCRAM_PASSWORD, "key secret", "wrong-password"):
        assert secret not in process.stdout + process.stderr


async def test_the_whole_system_with_no_more_rights_than_it_needs(
    scenario: SecureScenario, secure: SecureKafka, receiver: Receiver
) -> None:
    await secure.allow(scenario.names.prefix)
    assert "8 topics: 8 created" in (created := await done(scenario, "topics")), created
    accepting, url = ingest(scenario, "--ingest-processes", "2")
    fan_out, deliver = scenario.worker("fan-out", "--only", "fan-out"), scenario.worker("deliver", "--only", "deliver")
    await fan_out.ready()
    await deliver.ready()
    await accepting.wait_for('"kafka_connected"')
    receipt = (await done(scenario, "send", "github", "--url", url, "--id", "one")).split()[-1]
    await eventually(lambda: receiver.calls("/one"))

    receiver.answers["/two"] = Answer(400)
    await done(scenario, "send", "github", "--url", url, "--id", "two")
    await eventually(lambda: receiver.calls("/two"))
    await eventually(scenario.letters)
    assert json.loads(await done(scenario, "dlq", "list", "--json"))["event_id"] == "two"
    receiver.answers.clear()
    await done(scenario, "dlq", "replay", "--yes")
    await eventually(lambda: len(receiver.calls("/two")) == 2)
    await scenario.drained()

    assert "settled" in await done(scenario, "event", receipt)
    await done(scenario, "pause", "crm")
    await deliver.process.wait_for('"destination_paused"')
    await done(scenario, "resume", "crm")
    for process in (accepting, fan_out.process, deliver.process):
        assert await process.terminate() == 0
        assert_no_secret(process)
        assert not [line for line in process.logs() if "AuthorizationFailed" in str(line)]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "a client certificate"])
async def test_a_worker_with_each_way_to_prove_itself(
    mechanism: str, scenario: SecureScenario, secure: SecureKafka, receiver: Receiver
) -> None:
    await secure.allow(scenario.names.prefix)
    certificates = secure.certificates
    if mechanism == "a client certificate":
        scenario.credentials = {
            **secure.environment(listener="SSL"),
            "KAFKA_SSL_CERT_FILE": str(certificates.client_cert),
            "KAFKA_SSL_KEY_FILE": str(certificates.client_key_encrypted),
            "KAFKA_SSL_KEY_PASSWORD": certificates.client_key_password,
        }
    else:
        scenario.credentials = secure.environment(mechanism)
        # The password from a file; several servers, one of them down.
        password_file = scenario.directory / "password"
        password_file.write_text(scenario.credentials.pop("KAFKA_SASL_PASSWORD") + "\n")
        scenario.credentials["KAFKA_SASL_PASSWORD_FILE"] = str(password_file)
        scenario.credentials["KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{free_port()}, {secure.servers()}"
    worker = await scenario.worker().ready()
    await scenario.publish("github", [b"{}"])
    await eventually(lambda: receiver.calls("/0"))
    assert await worker.process.terminate() == 0
    assert_no_secret(worker.process)


def wrong_password(secure: SecureKafka) -> tuple[dict[str, str], str]:
    return {"KAFKA_SASL_PASSWORD": "wrong-password"}, "refuses the credentials of the user 'headrace' (SCRAM-SHA-512)"


def unknown_user(secure: SecureKafka) -> tuple[dict[str, str], str]:
    return {"KAFKA_SASL_USERNAME": "nobody"}, "refuses the credentials of the user 'nobody'"


def other_authority(secure: SecureKafka) -> tuple[dict[str, str], str]:
    change = {"KAFKA_SSL_CA_FILE": str(secure.certificates.other_ca)}
    return change, "is not trusted (unable to get local issuer certificate): check KAFKA_SSL_CA_FILE"


def system_authority(secure: SecureKafka) -> tuple[dict[str, str], str]:
    return {"KAFKA_SSL_CA_FILE": ""}, "is not trusted ("


def other_name(secure: SecureKafka) -> tuple[dict[str, str], str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": secure.servers(host="localhost")}, "is for another name than localhost"


def no_client_certificate(secure: SecureKafka) -> tuple[dict[str, str], str]:
    unset = dict.fromkeys(("KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"), "")
    return {**unset, **secure.environment(listener="SSL")}, "refuses this client's certificate, or its absence ("


def strange_client_certificate(secure: SecureKafka) -> tuple[dict[str, str], str]:
    change, line = no_client_certificate(secure)
    return {**change, "KAFKA_SSL_CERT_FILE": str(secure.certificates.stranger)}, line


def credentials_on_a_listener_without(secure: SecureKafka) -> tuple[dict[str, str], str]:
    change = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA_FILE": ""}
    return {**change, "KAFKA_BOOTSTRAP_SERVERS": secure.bootstrap_servers}, "takes no credentials there"


def tls_on_a_listener_without(secure: SecureKafka) -> tuple[dict[str, str], str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": secure.bootstrap_servers}, "does it expect SASL_SSL (KAFKA_SECURITY_PROTOCOL)"


def no_tls_on_a_listener_with(secure: SecureKafka) -> tuple[dict[str, str], str]:
    change = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA_FILE": ""}
    return change, "does it expect SASL_PLAINTEXT (KAFKA_SECURITY_PROTOCOL)"


def no_rights(secure: SecureKafka) -> tuple[dict[str, str], str]:
    change = {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": STRANGER, "KAFKA_SASL_PASSWORD": "s"}
    return change, "does not let this user see the topic"


REFUSALS = [
    wrong_password, unknown_user, other_authority, system_authority, other_name, no_client_certificate,
    strange_client_certificate, credentials_on_a_listener_without, tls_on_a_listener_without,
    no_tls_on_a_listener_with, no_rights,
]  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_is_one_clear_line_at_once(
    refusal: Callable[[SecureKafka], tuple[dict[str, str], str]], scenario: SecureScenario, secure: SecureKafka
) -> None:
    change, line = refusal(secure)
    scenario.credentials.update(change)
    began_s = time.monotonic()
    process = await scenario.command("topics")
    assert time.monotonic() - began_s < AT_ONCE_S
    assert process.process.returncode == 1
    (error,) = process.stderr.splitlines()
    assert line in error
    assert_no_secret(process)


@pytest.mark.parametrize("part", ["ingest", "ingest of several processes", "worker", "run"])
async def test_a_service_that_is_refused_ends_and_says_why(
    part: str, scenario: SecureScenario, secure: SecureKafka
) -> None:
    scenario.credentials["KAFKA_SASL_PASSWORD"] = "wrong-password"
    if part == "run":
        ports = ["--port", str(free_port()), "--admin-port", str(free_port()), "--kafka-port", str(free_port())]
        process = scenario.run("run", *ports)
    elif part == "worker":
        process = scenario.worker().process
    else:
        process, _ = ingest(scenario, *(["--ingest-processes", "2"] if "several" in part else []))
    assert await process.wait(60) == 1
    assert "error: Kafka at" in process.stderr
    assert "refuses the credentials of the user 'headrace'" in process.stderr
    assert "Traceback" not in process.stderr
    assert_no_secret(process)


async def test_a_certificate_that_is_changed_under_a_service_is_said_and_survived(
    tmp_path: Path, headrace_process: StartHeadrace, receiver: Receiver
) -> None:
    """The broker comes back with a certificate that nobody trusts, and then with its own again."""
    broker = SecureKafka(tmp_path / "kafka")
    await broker.start()
    try:
        scenario = SecureScenario(broker, tmp_path, headrace_process, receiver.url)
        await broker.allow(scenario.names.prefix)
        await done(scenario, "topics")
        accepting, url = ingest(scenario)
        await ready(accepting)  # while it starts, a Kafka that nobody trusts ends it
        broker.kill()
        right = broker.certificates.broker.read_bytes()
        broker.certificates.broker.write_bytes(broker.certificates.stranger.read_bytes())
        await broker.start()
        await accepting.wait_for("is not trusted", 60)
        assert accepting.running
        process = await scenario.command("send", "github", "--url", url, "--id", "early")
        assert "503" in process.stderr + process.stdout
        broker.kill()
        broker.certificates.broker.write_bytes(right)
        await broker.start()

        async def accepted() -> bool:
            sent = await scenario.command("send", "github", "--url", url, "--id", "late")
            return sent.process.returncode == 0

        await eventually(accepted, 60)
        assert accepting.running
    finally:
        await broker.stop()
