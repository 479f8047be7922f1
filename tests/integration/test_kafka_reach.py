"""Where the cluster of a `kafka` destination may be, and how both sides prove who they are."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from connectors.errors import CallError, CredentialsRefused, Unreachable
from tests.harness import KafkaForTests, free_port
from tests.integration.kafka_destination import Open, make_topic, publish, read
from tests.secure_kafka import PASSWORD, SCRAM_PASSWORD, STRANGER, USER, SecureKafka

pytestmark = pytest.mark.xdist_group("secure-kafka")

TIMEOUT_S = 20.0


@contextlib.asynccontextmanager
async def door(broker: KafkaForTests, host: str) -> AsyncIterator[int]:
    """Yield a port on another address of this machine that leads to the broker, which names its own address."""
    to_host, _, to_port = broker.bootstrap_servers.rpartition(":")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(to_host, int(to_port))
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(pass_on(reader, to_writer), pass_on(to_reader, writer))

    server = await asyncio.start_server(serve, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_name_of_a_private_address_needs_leave(kafka: KafkaForTests, open_kafka: Open) -> None:
    topic = await make_topic(kafka)
    by_name = kafka.bootstrap_servers.replace("127.0.0.1", "localhost")
    with pytest.raises(Unreachable, match=r"localhost has the address .* allow_private: true"):
        await publish(await open_kafka(kafka, bootstrap_servers=by_name), topic=topic, value=1)
    allowed = await open_kafka(kafka, bootstrap_servers=by_name, allow_private=True)
    assert (await publish(allowed, topic=topic, value=1)).made == f"record {topic}/0/0"


async def test_a_private_address_that_the_cluster_names_needs_leave_too(kafka: KafkaForTests, open_kafka: Open) -> None:
    topic = await make_topic(kafka)
    async with door(kafka, "127.0.0.2") as port:
        through = f"127.0.0.2:{port}"
        refused = await open_kafka(kafka, bootstrap_servers=through, timeout_s=5)
        for _ in range(2):
            told = await asyncio.gather(
                *(publish(refused, topic=topic, value="refused") for _ in range(3)), return_exceptions=True
            )
            assert {type(error) for error in told} == {Unreachable}
            assert {str(error) for error in told} == {
                "a server names the address 127.0.0.1, which is not public: "
                "if that is meant, say allow_private: true at the destination"
            }
        await publish(
            await open_kafka(kafka, bootstrap_servers=through, allow_private=True), topic=topic, value="allowed"
        )
        # An address that the operator wrote himself is his decision, wherever the cluster names it.
        written = await open_kafka(kafka, bootstrap_servers=f"{through}, 127.1:{free_port()}")
        await publish(written, topic=topic, value="written")
    assert [record.value for record in await read(kafka, topic, 2)] == [b"allowed", b"written"]


class Account:
    """What a destination says about itself, by the way that it proves itself."""

    def __init__(self, secure: SecureKafka) -> None:
        self.secure = secure

    def keys(self, mechanism: str = "SCRAM-SHA-512", **keys: Any) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the settings and secrets of an account that is let in."""
        own: dict[str, Any] = {"tls": True, "ca_file": str(self.secure.certificates.ca), "timeout_s": TIMEOUT_S}
        if mechanism == "a client certificate":
            own |= {"bootstrap_servers": self.secure.servers("SSL"), "client_cert_env": "C", "client_key_env": "K"}
            certificates = self.secure.certificates
            secrets = {
                "client_cert_env": certificates.client_cert.read_text(),
                "client_key_env": certificates.client_key.read_text(),
            }
            return own | keys, secrets
        own |= {"bootstrap_servers": self.secure.servers(), "sasl_mechanism": mechanism}
        own |= {"username": USER, "password_env": "P"}
        return own | keys, {"password_env": PASSWORD if mechanism == "PLAIN" else SCRAM_PASSWORD}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "a client certificate"])
async def test_each_way_to_prove_oneself(mechanism: str, secure: SecureKafka, open_kafka: Open) -> None:
    plain = KafkaForTests(secure)
    topic = await make_topic(plain)
    await secure.allow(topic)
    keys, secrets = Account(secure).keys(mechanism)
    destination = await open_kafka(plain, secrets=secrets, **keys)
    assert (await publish(destination, topic=topic, value="x")).made == f"record {topic}/0/0"


REFUSALS: list[tuple[str, type[CallError], str, dict[str, Any], dict[str, str]]] = [
    ("wrong password", CredentialsRefused, "refuses the user or the password", {}, {"password_env": "planted"}),
    ("unknown user", CredentialsRefused, "refuses the user or the password", {"username": "nobody"}, {}),
    ("wrong password in plain", CredentialsRefused, "refuses the user", {"sasl_mechanism": "PLAIN"}, {}),
    ("other authority", Unreachable, r"not trusted \(.*local issuer", {"ca_file": "other_ca"}, {}),
    ("public authorities", Unreachable, r"not trusted \(", {"ca_file": None}, {}),
    ("other name", Unreachable, r"not trusted \(.*localhost", {"bootstrap_servers": "localhost"}, {}),
    ("no client certificate", CredentialsRefused, "refuses the client certificate", {"bootstrap_servers": "SSL"}, {}),
    ("tls where there is none", Unreachable, "does not speak TLS|is tls as it", {"bootstrap_servers": "plain"}, {}),
    ("no tls where there is", Unreachable, "is tls as it expects", {"tls": False}, {}),
    ("a user where there is none", CredentialsRefused, "takes no user there",
     {"tls": False, "bootstrap_servers": "plain"}, {}),
    ("no rights", CredentialsRefused, "CLUSTER_AUTHORIZATION_FAILED", {"sasl_mechanism": "PLAIN", "username": STRANGER},
     {"password_env": "s"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "says", "keys", "secrets"), [row[1:] for row in REFUSALS], ids=[r[0] for r in REFUSALS]
)
async def test_who_is_refused_learns_why(
    kind: type[CallError],
    says: str,
    keys: dict[str, Any],
    secrets: dict[str, str],
    secure: SecureKafka,
    open_kafka: Open,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = KafkaForTests(secure)
    topic = await make_topic(plain)
    names = {
        "localhost": secure.servers(host="localhost"),
        "SSL": secure.servers("SSL"),
        "plain": secure.bootstrap_servers,
        "other_ca": str(secure.certificates.other_ca),
    }
    own, known = Account(secure).keys(allow_private=True)
    if keys.get("bootstrap_servers") == "SSL":
        del own["username"], own["password_env"], known["password_env"]
    changed = {key: names.get(value, value) if isinstance(value, str) else value for key, value in keys.items()}
    destination = await open_kafka(plain, secrets={**known, **secrets}, **{**own, **changed})
    with pytest.raises(kind, match=says) as caught:
        await publish(destination, topic=topic, value="x")
    assert type(caught.value) is kind
    for secret in (PASSWORD, SCRAM_PASSWORD, "planted"):
        assert secret not in str(caught.value) + caplog.text


async def test_a_certificate_that_has_expired_is_not_trusted(
    kafka: KafkaForTests, open_kafka: Open, tmp_path: Path
) -> None:
    """The handshake is all that it comes to, so that a server of TLS alone will do."""
    authority, yesterday = trustme.CA(), datetime.now(UTC) - timedelta(days=1)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", not_before=yesterday, not_after=yesterday).configure_cert(context)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        keys = {"bootstrap_servers": address, "tls": True, "ca_file": str(tmp_path / "ca.pem")}
        with pytest.raises(Unreachable, match=r"not trusted \(certificate has expired\)"):
            await publish(await open_kafka(kafka, **keys), topic="orders", value="x")
