"""A time in one header, and a signature of it and the raw body in another: an HMAC, or made with a private key."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ingest.public_key import (
    decode_signature_base64,
    decode_signature_hex,
    ecdsa_key,
    ed25519_key,
    new_ecdsa_keys,
    new_ed25519_keys,
    private_key,
    require_ecdsa,
    require_ed25519,
)
from ingest.scheme import CannotSign
from ingest.secret_key import check_key
from ingest.signature import SignedRequest, hmac_sha256_hex, require_equal, require_fresh, require_fresh_ms


@dataclass(frozen=True, slots=True)
class HeaderPair:
    """The names of both headers, and the signed ``text``, in which time and body stand for the two ``%b``.

    ``prefix`` stands before the signature; ``unit`` is that of the time.
    """

    time: str
    signature: str
    text: bytes = b"%b%b"
    prefix: bytes = b""
    unit: Literal["s", "ms"] = "s"
    digest: Callable[[bytes, bytes], bytes] = hmac_sha256_hex

    def verify(self, request: SignedRequest, *, secret: bytes, now_s: float, age_s_max: float) -> None:
        """Return only if the signature is that of time and body, and the time is within ``age_s_max`` of now.

        Raises:
            InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
        """
        time = request.header(self.time.lower())
        require = require_fresh if self.unit == "s" else require_fresh_ms
        require(time, now_s=now_s, age_s_max=age_s_max)
        expected = self.prefix + self.digest(secret, self.text % (time, request.body))
        require_equal(expected, request.header(self.signature.lower()))

    def sign(self, body: bytes, *, secret: bytes, now_s: float) -> dict[str, str]:
        """Return the headers that sign ``body`` at ``now_s``."""
        time = b"%d" % int(now_s if self.unit == "s" else now_s * 1000)
        signature = self.prefix + self.digest(secret, self.text % (time, body))
        return {self.time: time.decode(), self.signature: signature.decode()}


@dataclass(frozen=True, slots=True)
class KeyHeaderPair:
    """The same where the provider signs with a private key, and the secret is its public one; the time in seconds."""

    time: str
    signature: str
    key: Literal["ed25519", "ecdsa"]
    encoding: Literal["hex", "base64"] = "base64"
    text: bytes = b"%b%b"

    def verify(self, request: SignedRequest, *, secret: bytes, now_s: float, age_s_max: float) -> None:
        """Return only if the signature is that of time and body, and the time is within ``age_s_max`` of now.

        Raises:
            InvalidSignature: a header is missing, repeated, malformed or stale, or does not match; or the secret is no
                such key.
        """
        time = request.header(self.time.lower())
        require_fresh(time, now_s=now_s, age_s_max=age_s_max)
        decoded = decode_signature_hex if self.encoding == "hex" else decode_signature_base64
        signature = decoded(request.header(self.signature.lower()))
        text = self.text % (time, request.body)
        if self.key == "ed25519":
            require_ed25519(ed25519_key(secret), signature, text)
        else:
            require_ecdsa(ecdsa_key(secret), signature, text)

    def check_secret(self, secret: bytes) -> None:
        """Return only if the secret is a public key of this kind.

        Raises:
            ValueError: it is not.
        """
        check_key(ed25519_key if self.key == "ed25519" else ecdsa_key, secret)

    def make_keys(self) -> tuple[bytes, bytes]:
        """Return a new private key, and its public one as a provider shows it."""
        return new_ed25519_keys() if self.key == "ed25519" else new_ecdsa_keys()

    def sign(self, body: bytes, *, secret: bytes, now_s: float) -> dict[str, str]:
        """Return the headers that sign ``body`` at ``now_s``.

        Raises:
            CannotSign: the secret is a public key, or one of another kind.
        """
        key, time = private_key(secret), b"%d" % int(now_s)
        text = self.text % (time, body)
        if self.key == "ed25519" and isinstance(key, ed25519.Ed25519PrivateKey):
            signature = key.sign(text)
        elif self.key == "ecdsa" and isinstance(key, ec.EllipticCurvePrivateKey):
            signature = key.sign(text, ec.ECDSA(hashes.SHA256()))
        else:
            raise CannotSign(f"the secret is a key of another kind than {self.key}")
        encoded = signature.hex() if self.encoding == "hex" else base64.b64encode(signature).decode()
        return {self.time: time.decode(), self.signature: encoded}
