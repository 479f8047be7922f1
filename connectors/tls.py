"""TLS of one destination: which authorities it trusts, and the certificate by which it is known itself."""

from __future__ import annotations

import os
import ssl
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates are always verified, by ``ca_file`` alone if there is one, else by the public authorities.

    ``certificate`` (a chain) and ``key`` are PEM texts for mutual TLS; both or neither.
    """

    ca_file: str | None = None
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """Return the context of a client.

        Raises:
            ValueError: a certificate or key cannot be used; says which, never what it holds.
        """
        context = self._trusting()
        if self.certificate is not None and self.key is not None:
            _load(context, self.certificate, self.key)
        return context

    def _trusting(self) -> ssl.SSLContext:
        import httpx  # a tenth of a second, which checking a routing table need not take

        if self.ca_file is None:
            return httpx.create_ssl_context(trust_env=False)
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (ssl.SSLError, OSError) as error:
            reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
            raise ValueError(f"ca_file {self.ca_file} cannot be used: {reason}") from None


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load PEM texts: OpenSSL reads them from a file alone, which exists for that moment and is its owner's only."""
    descriptor, path = tempfile.mkstemp(prefix="headrace-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(certificate.strip() + "\n" + key.strip() + "\n")
        # A password would be asked for on the terminal: an empty one makes an encrypted key an error.
        context.load_cert_chain(path, password="")
    except (ssl.SSLError, OSError, UnicodeError) as error:
        raise ValueError(f"the client certificate or its key cannot be used: {_reason(error)}") from None
    finally:
        with suppress(OSError):
            os.unlink(path)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return "the key does not belong to the certificate"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return error.strerror or "the system refuses it"
    return "they are not PEM, or the key is encrypted"
