"""How clients prove themselves to Kafka, and Kafka to them; and why a broker was not reached, in one sentence."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

LOOK_S_MAX = 3.0  # at one broker
_OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


@dataclass(frozen=True, slots=True)
class Security:
    """The security protocol of a connection and what it needs; secrets and keys are in no ``repr``."""

    protocol: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def uses_sasl(self) -> bool:
        """Whether a user name and a password are shown to the broker."""
        return self.protocol.startswith("SASL_")

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.protocol.endswith("SSL")

    def client_options(self) -> dict[str, Any]:
        """Return the options that every aiokafka client takes."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.uses_tls:
            options["ssl_context"] = self.ssl_context
        if self.uses_sasl:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        return options


@dataclass(frozen=True, slots=True)
class Fault:
    """Why no broker was reached: one sentence. ``refused``: one answered, and no waiting changes its answer."""

    sentence: str
    refused: bool = False


async def find_fault(bootstrap_servers: str, security: Security) -> Fault:
    """Return why a client cannot be started, or cannot go on.

    aiokafka itself says only that it is "unable to bootstrap", whatever each broker answered: so each is asked once
    more, and then each that they name as a member of the cluster. A refusal by one counts for all, for they share
    their users and their certificate authority.
    """
    asked = [(host, port) for host, port, _ in collect_hosts(bootstrap_servers, randomize=False)]
    faults: list[Fault] = []
    for host, port in asked:  # grows by what the brokers name
        found = await _look(host, port, security)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            asked += [place for place in found if place not in asked]
    refused = [fault for fault in faults if fault.refused]
    return (refused or faults or [Fault(f"Kafka at {bootstrap_servers} does not answer in time")])[0]


async def _look(host: str, port: int, security: Security) -> Fault | list[tuple[str, int]]:
    """Return what is wrong with one broker, else the addresses of the cluster's brokers."""
    place = f"Kafka at {host}:{port}"
    reached = False
    try:
        async with asyncio.timeout(LOOK_S_MAX):
            _, writer = await asyncio.open_connection(host, port)
            reached = True
            writer.close()
            connection = await create_conn(host, port, **security.client_options())
            try:
                metadata = await connection.send(MetadataRequest([]))
            finally:
                connection.close()
    except socket.gaierror:
        return Fault(f"no Kafka broker answers at {host}:{port}: the name is not known")
    except (KafkaError, OSError, TimeoutError, ValueError, AssertionError) as error:
        if not reached:
            return Fault(f"no Kafka broker answers at {host}:{port}")
        return _fault_of(error, place, host, security)
    return [(broker[1], broker[2]) for broker in metadata.brokers]


def _fault_of(error: BaseException, place: str, host: str, security: Security) -> Fault:
    # TLS 1.3: a refusal of the client's certificate comes after the handshake, and closes the connection.
    cause = next((one for one in _chain(error) if isinstance(one, ssl.SSLError)), error)
    expected = f"{security.protocol} (KAFKA_SECURITY_PROTOCOL)"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Fault(_certificate_sentence(place, host, cause), refused=True)
    if isinstance(cause, ssl.SSLError):
        return _tls_fault(place, cause, expected)
    if isinstance(error, SaslAuthenticationFailed | AuthenticationFailedError):
        who = f"the credentials of the user {security.sasl_username!r} ({security.sasl_mechanism})"
        return Fault(f"{place} refuses {who}: check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD", refused=True)
    if isinstance(error, UnsupportedSaslMechanismError):
        return Fault(f"{place} does not offer {security.sasl_mechanism} (KAFKA_SASL_MECHANISM)", refused=True)
    if isinstance(error, IllegalSaslStateError):
        return Fault(f"{place} takes no credentials there, so it does not expect {expected}", refused=True)
    if isinstance(error, ValueError | AssertionError):  # SCRAM: who does not know the password cannot sign with it
        return Fault(f"{place} does not prove that it knows the user {security.sasl_username!r}", refused=True)
    return Fault(f"{place} takes the connection but does not answer: does it expect {expected}, or does it start?")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _certificate_sentence(place: str, host: str, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _OTHER_NAME:
        advice = "connect by a name that it has, or say KAFKA_SSL_CHECK_HOSTNAME=false"
        return f"the certificate of {place} is for another name than {host}: {advice}"
    reason = error.verify_message or "it cannot be verified"
    return f"the certificate of {place} is not trusted ({reason}): check KAFKA_SSL_CA_FILE"


def _tls_fault(place: str, error: ssl.SSLError, expected: str) -> Fault:
    reason = (error.reason or "the handshake failed").replace("_", " ").lower()
    if "alert" in reason:
        advice = "check KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE"
        return Fault(
            f"{place} refuses this client's certificate, or its lack of one ({reason}): {advice}", refused=True
        )
    return Fault(f"{place} does not speak TLS there ({reason}), so it does not expect {expected}", refused=True)
