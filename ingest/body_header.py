"""A signature of the raw body alone in one header, as ``X-Acme-Signature: sha256=<hex>``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ingest.signature import Algorithm, SignedRequest, hmac_base64, hmac_hex, require_equal


@dataclass(frozen=True, slots=True)
class BodyHeader:
    """Which header it is, what stands before the HMAC in it, of which hash and in which form.

    There is no timestamp: a captured request stays valid.
    """

    name: str
    prefix: bytes = b""
    algorithm: Algorithm = "sha256"
    encoding: Literal["hex", "base64"] = "hex"

    def verify(self, request: SignedRequest, *, secret: bytes) -> None:
        """Return only if the header has the signature of the body.

        Raises:
            InvalidSignature: it is missing, repeated or malformed, or does not match.
        """
        require_equal(self._value(request.body, secret), request.header(self.name.lower()))

    def sign(self, body: bytes, *, secret: bytes) -> dict[str, str]:
        """Return the header that signs ``body``."""
        return {self.name: self._value(body, secret).decode()}

    def _value(self, body: bytes, secret: bytes) -> bytes:
        encoded = hmac_hex if self.encoding == "hex" else hmac_base64
        return self.prefix + encoded(self.algorithm, secret, body)
