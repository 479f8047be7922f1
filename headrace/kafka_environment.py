"""How to reach Kafka, as the environment says it: ``KAFKA_*`` and what goes with it. Read once, at the start."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

from headrace.regular_file import open_regular
from headrace.secrets import SecretError, read_secret
from streams.security import Security

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
COMPRESSIONS = ("none", "lz4", "zstd", "gzip", "snappy")
DEFAULT_COMPRESSION = "lz4"  # docs/adr/0009-compression.md

PROTOCOL = "KAFKA_SECURITY_PROTOCOL"
MECHANISM = "KAFKA_SASL_MECHANISM"
USERNAME = "KAFKA_SASL_USERNAME"
PASSWORD = "KAFKA_SASL_PASSWORD"  # noqa: S105 - the name of a variable
CA_FILE = "KAFKA_SSL_CA_FILE"
CERT_FILE = "KAFKA_SSL_CERT_FILE"
KEY_FILE = "KAFKA_SSL_KEY_FILE"
KEY_PASSWORD = "KAFKA_SSL_KEY_PASSWORD"  # noqa: S105 - the name of a variable
CHECK_HOSTNAME = "KAFKA_SSL_CHECK_HOSTNAME"
COMPRESSION = "HEADRACE_COMPRESSION"
_SASL = (MECHANISM, USERNAME, PASSWORD, f"{PASSWORD}_FILE")
_TLS = (CA_FILE, CERT_FILE, KEY_FILE, KEY_PASSWORD, f"{KEY_PASSWORD}_FILE", CHECK_HOSTNAME)


class KafkaEnvironment:
    """The Kafka variables of one environment; ``mistakes`` has one sentence for each that cannot be used.

    An empty variable counts as unset. Neither a mistake nor a ``repr`` shows a secret.

    Args:
        servers: the bootstrap servers as configured; ``None`` for the embedded Kafka, which has no users and no TLS.
    """

    def __init__(self, environ: Mapping[str, str], servers: str | None) -> None:
        self._environ = environ
        self.mistakes: list[str] = []
        compression = self._one_of(COMPRESSION, COMPRESSIONS, DEFAULT_COMPRESSION)
        self.compression = None if compression == "none" else compression
        self._check_servers(servers)
        protocol = self._one_of(PROTOCOL, PROTOCOLS, "PLAINTEXT")
        if servers is None and protocol != "PLAINTEXT":
            self.mistakes.append(f"{PROTOCOL} is {protocol}, but KAFKA_BOOTSTRAP_SERVERS is not set")
        uses_sasl, uses_tls = protocol.startswith("SASL_"), protocol.endswith("SSL")
        if not uses_sasl:
            self._refuse(_SASL, f"{PROTOCOL} is {protocol}: say SASL_SSL or SASL_PLAINTEXT")
        if not uses_tls:
            self._refuse(_TLS, f"{PROTOCOL} is {protocol}: say SASL_SSL or SSL")
        self.security = Security(
            protocol=protocol,
            sasl_mechanism=self._mechanism() if uses_sasl else "",
            sasl_username=self._required(USERNAME, protocol) if uses_sasl else "",
            sasl_password=self._password(protocol) if uses_sasl else "",
            ssl_context=self._ssl_context() if uses_tls else None,
        )

    def _get(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _one_of(self, name: str, allowed: Iterable[str], default: str) -> str:
        value = self._get(name) or default
        if value not in allowed:
            self.mistakes.append(f"{name} is {value!r}, which is none of {', '.join(allowed)}")
            return default
        return value

    def _check_servers(self, servers: str | None) -> None:
        for server in (servers or "").split(","):
            _, colon, port = server.strip().rpartition(":")
            if servers and not (server.strip() and (not colon or (port.isascii() and port.isdigit()))):
                self.mistakes.append(f"KAFKA_BOOTSTRAP_SERVERS names {server.strip()!r}, which is not host:port")

    def _refuse(self, names: Iterable[str], because: str) -> None:
        present = [name for name in names if self._get(name)]
        if present:
            self.mistakes.append(f"{', '.join(present)} {'is' if len(present) == 1 else 'are'} set, but {because}")

    def _required(self, name: str, protocol: str) -> str:
        if not self._get(name):
            self.mistakes.append(f"{name} is not set, but {PROTOCOL} is {protocol}")
        return self._get(name)

    def _mechanism(self) -> str:
        if not self._get(MECHANISM):  # no default: PLAIN would show the password to whoever answers
            self.mistakes.append(f"{MECHANISM} is not set: say which of {', '.join(MECHANISMS)}")
            return ""
        return self._one_of(MECHANISM, MECHANISMS, "")

    def _secret(self, name: str) -> str | None:
        try:
            return read_secret(name, self._environ)
        except SecretError as error:
            self.mistakes.append(str(error))
            return None

    def _password(self, protocol: str) -> str:
        before = len(self.mistakes)
        password = self._secret(PASSWORD)
        if not password and len(self.mistakes) == before:
            self.mistakes.append(f"{PASSWORD} is not set (nor {PASSWORD}_FILE), but {PROTOCOL} is {protocol}")
        return password or ""

    # -- TLS --------------------------------------------------------------------------------------------------------

    def _ssl_context(self) -> ssl.SSLContext:
        # Not create_default_context(): Python 3.13 made it refuse a CA without an Authority Key Identifier, as keytool
        # and older scripts make them.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self._one_of(CHECK_HOSTNAME, ("true", "false"), "true") == "true"
        if self._get(CA_FILE):
            self._load_ca(context)
        else:
            context.load_default_certs()
        if self._get(CERT_FILE):
            self._load_certificate(context)
        else:
            self._refuse((KEY_FILE, KEY_PASSWORD, f"{KEY_PASSWORD}_FILE"), f"{CERT_FILE} is not")
        return context

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        password = self._secret(KEY_PASSWORD) or ""
        key_file = self._get(KEY_FILE)
        if not self._readable(CERT_FILE) or (key_file and not self._readable(KEY_FILE)):
            return
        if not key_file and b"PRIVATE KEY-----" not in Path(self._get(CERT_FILE)).read_bytes():
            self.mistakes.append(f"{CERT_FILE} holds no private key: name its file with {KEY_FILE}")
            return
        try:
            # A password of its own in any case: OpenSSL would ask for it on the terminal.
            context.load_cert_chain(self._get(CERT_FILE), key_file or None, password=lambda: password)
        except ssl.SSLError as error:
            self.mistakes.append(self._certificate_mistake(error, bool(password)))
        except ValueError:  # of more than 1,023 bytes
            self.mistakes.append(f"{KEY_PASSWORD} cannot be a password: it is too long")

    def _certificate_mistake(self, error: ssl.SSLError, has_password: bool) -> str:
        key = KEY_FILE if self._get(KEY_FILE) else CERT_FILE
        reason = error.reason or ""
        if reason == "KEY_VALUES_MISMATCH":
            return f"the key of {key} does not belong to the certificate of {CERT_FILE}"
        if b"ENCRYPTED" in Path(self._get(key)).read_bytes():
            advice = "is not its password" if has_password else "is not set"
            return f"the key of {key} cannot be read: it is encrypted, and {KEY_PASSWORD} {advice}"
        return f"{CERT_FILE} and {key} hold no certificate and key in PEM form"

    def _load_ca(self, context: ssl.SSLContext) -> None:
        if self._readable(CA_FILE):
            try:
                context.load_verify_locations(cafile=self._get(CA_FILE))
            except ssl.SSLError:
                self.mistakes.append(f"the file that {CA_FILE} names holds no certificate in PEM form")

    def _readable(self, name: str) -> bool:
        try:
            with open_regular(Path(self._get(name))) as file:
                file.read(1)
        except OSError as error:
            self.mistakes.append(f"the file that {name} names cannot be read: {self._get(name)}: {error.strerror}")
            return False
        return True
