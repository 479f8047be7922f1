"""Providers' public keys: parsed once, and signatures checked with them.

A key is given as the provider shows it: hex, base64 of DER, or PEM. What signs is a PKCS #8 private key in base64 or
PEM, which only a provider has; it is for trying a source out with keys of one's own.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from ingest.scheme import CannotSign
from ingest.signature import InvalidSignature, decode_base64

KEYS_MAX = 64  # parsed keys kept in memory
KEY_BYTES_MAX = 16 * 1024
_ED25519_HEX = re.compile(rb"[0-9A-Fa-f]{64}")
_HEX = re.compile(rb"(?:[0-9a-f]{2})*")


@lru_cache(maxsize=KEYS_MAX)
def ed25519_key(secret: bytes) -> ed25519.Ed25519PublicKey:
    """Return the Ed25519 key of 32 bytes in hex or base64, or of a PEM.

    Raises:
        InvalidSignature: it is none. The text does not show it.
    """
    text = secret.strip()
    try:
        if _ED25519_HEX.fullmatch(text):
            return ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.decode()))
        if not text.startswith(b"-----"):
            return ed25519.Ed25519PublicKey.from_public_bytes(decode_base64(text))
    except ValueError as error:
        raise InvalidSignature("the secret is no Ed25519 public key in hex, base64 or PEM") from error
    key = _public(text)
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InvalidSignature("the secret is a key of another kind than Ed25519")
    return key


@lru_cache(maxsize=KEYS_MAX)
def ecdsa_key(secret: bytes) -> ec.EllipticCurvePublicKey:
    """Return the ECDSA key on P-256 of a SubjectPublicKeyInfo in base64 or PEM.

    Raises:
        InvalidSignature: it is none. The text does not show it.
    """
    key = _public(secret.strip())
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidSignature("the secret is a key of another kind than ECDSA on P-256")
    return key


def public_key(secret: bytes) -> PublicKeyTypes:
    """Return the public key of any kind of a SubjectPublicKeyInfo in base64 or PEM.

    Raises:
        InvalidSignature: it is none. The text does not show it.
    """
    return _public(secret.strip())


def require_ed25519(key: ed25519.Ed25519PublicKey, signature: bytes, message: bytes) -> None:
    """Return only if ``signature``, raw, is that of ``message``.

    Raises:
        InvalidSignature: it is not.
    """
    try:
        key.verify(signature, message)
    except WrongSignature as error:
        raise InvalidSignature("the signature does not match") from error


def require_ecdsa(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    """Return only if ``signature``, in DER, is that of the SHA-256 of ``message``.

    Raises:
        InvalidSignature: it is not.
    """
    try:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except (WrongSignature, ValueError) as error:
        raise InvalidSignature("the signature does not match") from error


def require_rsa(
    key: rsa.RSAPublicKey, signature: bytes, message: bytes, algorithm: hashes.HashAlgorithm | None = None
) -> None:
    """Return only if ``signature`` is the PKCS #1 v1.5 signature of ``message`` by this hash, SHA-256 without one.

    Raises:
        InvalidSignature: it is not.
    """
    try:
        key.verify(signature, message, padding.PKCS1v15(), algorithm or hashes.SHA256())
    except (WrongSignature, ValueError) as error:
        raise InvalidSignature("the signature does not match") from error


def decode_signature_base64(text: bytes) -> bytes:
    """Return the signature that ``text`` is, in base64 as an encoder writes it.

    Raises:
        InvalidSignature: it is not.
    """
    try:
        signature = decode_base64(text)
    except ValueError as error:
        raise InvalidSignature("the signature is not base64") from error
    if base64.b64encode(signature) != text:  # unused bits that are not zero: another text for the same signature
        raise InvalidSignature("the signature is not base64 as an encoder writes it")
    return signature


def decode_signature_hex(text: bytes) -> bytes:
    """Return the signature that ``text`` is, in lower-case hex.

    Raises:
        InvalidSignature: it is not.
    """
    if _HEX.fullmatch(text) is None:
        raise InvalidSignature("the signature is not lower-case hex")
    return bytes.fromhex(text.decode())


def private_key(signing_key: bytes) -> PrivateKeyTypes:
    """Return the private key of a PKCS #8 in base64 or PEM, with which one signs as the provider would.

    Raises:
        CannotSign: it is none, as what a provider shows is its public key.
    """
    text = signing_key.strip()
    try:
        if text.startswith(b"-----"):
            return load_pem_private_key(text, None)
        return load_der_private_key(decode_base64(text), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CannotSign("this key verifies and does not sign: only the provider has its private key") from error


def new_ed25519_keys() -> tuple[bytes, bytes]:
    """Return a new private key in base64, and its public one in hex."""
    key = ed25519.Ed25519PrivateKey.generate()
    return _encoded(key), key.public_key().public_bytes_raw().hex().encode()


def new_ecdsa_keys() -> tuple[bytes, bytes]:
    """Return a new private key on P-256, and its public one as SubjectPublicKeyInfo, both in base64."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _encoded(key), base64.b64encode(public)


def new_rsa_key() -> bytes:
    """Return a new RSA private key in base64."""
    return _encoded(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _encoded(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return base64.b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


@lru_cache(maxsize=KEYS_MAX)
def _public(text: bytes) -> PublicKeyTypes:
    if len(text) > KEY_BYTES_MAX:
        raise InvalidSignature("the secret is too long to be a key")
    try:
        if text.startswith(b"-----"):
            return load_pem_public_key(text)
        return load_der_public_key(decode_base64(text))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidSignature("the secret is no public key in base64 or PEM") from error
