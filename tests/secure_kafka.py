"""A Kafka that asks who is there: users by PLAIN and SCRAM over TLS, client certificates, and ACLs.

It is the embedded one with more listeners; the plain one stays, for the tests' own looks at the log. On it the client
is ANONYMOUS, who may do everything.
"""

from __future__ import annotations

from pathlib import Path

import trustme
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.hazmat.primitives import serialization

from headrace.broker import EmbeddedKafka
from streams.kafka import KafkaSettings
from tests.harness import free_port

USER, PASSWORD = "headrace", "pass word=,\"1'ü"  # what quoting could break, in SASL, in JAAS and in a shell
SCRAM_PASSWORD = "scram-Secret-1"
STRANGER = "stranger"  # has a password and may nothing

# What the how-to page tells an operator to grant; tests/integration/test_secure_kafka.py compares.
NEEDED = {
    "Topic": ("Create", "Describe", "DescribeConfigs", "AlterConfigs", "Read", "Write", "Delete"),
    "Group": ("Describe", "Read"),
}
# As the protocol numbers them: org.apache.kafka.common.resource.ResourceType, .acl.AclOperation and so on.
_RESOURCES = {"Topic": 2, "Group": 3}
_OPERATIONS = {
    "Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8, "DescribeConfigs": 10, "AlterConfigs": 11,
}  # fmt: skip
_PREFIXED, _ALLOW = 4, 3
_LISTENERS = {"SASL_SSL": "SASL_SSL", "SSL": "SSL", "SASL_PLAINTEXT": "SASL_PLAINTEXT"}


class Certificates:
    """An authority, the broker's certificate for 127.0.0.1, a client's, and an authority of somebody else."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.ca = directory / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.other_ca = directory / "other-ca.pem"
        trustme.CA().cert_pem.write_to_path(self.other_ca)
        self.broker = _keystore(authority.issue_cert("127.0.0.1", common_name="broker"), directory / "broker.pem")
        client = authority.issue_cert("client@headrace.test", common_name="client")
        self.client_cert, self.client_key = directory / "client-cert.pem", directory / "client-key.pem"
        self.client_cert.write_bytes(b"".join(blob.bytes() for blob in client.cert_chain_pems))
        self.client_key.write_bytes(client.private_key_pem.bytes())
        self.client_key_password = "key secret"
        self.client_key_encrypted = directory / "client-key-encrypted.pem"
        self.client_key_encrypted.write_bytes(_pkcs8(client, self.client_key_password.encode()))
        stranger = trustme.CA().issue_cert("stranger@headrace.test")
        self.stranger = _keystore(stranger, directory / "stranger.pem")


class SecureKafka(EmbeddedKafka):
    """The embedded Kafka with a listener for each security protocol."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.certificates = Certificates(data_dir / "certificates")
        self.ports = {name: free_port() for name in _LISTENERS}

    def servers(self, listener: str = "SASL_SSL", host: str = "127.0.0.1") -> str:
        """Return where clients of a security protocol connect."""
        return f"{host}:{self.ports[listener]}"

    def environment(self, mechanism: str = "SCRAM-SHA-512", listener: str = "SASL_SSL") -> dict[str, str]:
        """Return the variables of a client that is let in."""
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.servers(listener),
            "KAFKA_SECURITY_PROTOCOL": listener,
        }
        if listener.startswith("SASL"):
            environment["KAFKA_SASL_MECHANISM"] = mechanism
            environment["KAFKA_SASL_USERNAME"] = USER
            environment["KAFKA_SASL_PASSWORD"] = PASSWORD if mechanism == "PLAIN" else SCRAM_PASSWORD
        if listener.endswith("SSL"):
            environment["KAFKA_SSL_CA_FILE"] = str(self.certificates.ca)
        return environment

    async def allow(self, prefix: str) -> None:
        """Give the user what docs/how-to/use-your-own-kafka.md says that Headrace needs, behind one topic prefix."""
        async with KafkaSettings(self.bootstrap_servers).admin() as admin:
            for kind, operations in NEEDED.items():
                for operation in operations:
                    request = CreateAclsRequest(
                        _RESOURCES[kind], prefix, _PREFIXED, f"User:{USER}", "*", _OPERATIONS[operation], _ALLOW
                    )
                    response = await admin._send_request(request)
                    assert [error for error, _ in response.creation_responses] == [0], response

    def _write_settings(self) -> None:
        super()._write_settings()
        path = self.directory.properties
        settings = dict(line.split("=", 1) for line in path.read_text().splitlines())
        for name, port in self.ports.items():
            settings["listeners"] += f",{name}://127.0.0.1:{port}"
            settings["advertised.listeners"] += f",{name}://127.0.0.1:{port}"
            settings["listener.security.protocol.map"] += f",{name}:{_LISTENERS[name]}"
        settings |= {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.broker),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.ca),
            "listener.name.ssl.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:CN=client",
            "listener.name.ssl.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]*).*$/CN=$1/,DEFAULT",
        }
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        users = "".join(  # twice: JAAS, and the file
            f' user_{name}="{_quoted(password)}"' for name, password in ((USER, PASSWORD), (STRANGER, "s"))
        )
        for listener in ("sasl_ssl", "sasl_plaintext"):
            settings[f"listener.name.{listener}.plain.sasl.jaas.config"] = f"{plain}{_escaped(users)};"
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                settings[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = scram
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="latin-1")

    def _launch(self, *arguments: str) -> None:
        if "format" in arguments:
            arguments += tuple(
                f"--add-scram={mechanism}=[name={USER},password={SCRAM_PASSWORD}]"
                for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            )
        super()._launch(*arguments)


def _quoted(text: str) -> str:
    """Return text as it stands between the quotes of a JAAS configuration."""
    return _escaped(text).replace('"', '\\"')


def _escaped(text: str) -> str:
    """Return text with its backslashes doubled, for a .properties file."""
    return text.replace("\\", "\\\\")


def _pkcs8(certificate: trustme.LeafCert, password: bytes | None = None) -> bytes:
    """Return the private key in the only form that Kafka reads."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _keystore(certificate: trustme.LeafCert, path: Path) -> Path:
    path.write_bytes(_pkcs8(certificate) + b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return path
