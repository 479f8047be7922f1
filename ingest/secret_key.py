"""Secrets that stand for other bytes: keys that providers show in hex or base64."""

from __future__ import annotations

from collections.abc import Callable

from ingest.signature import InvalidSignature, decode_base64

KEY_BYTES_MIN = 16  # an empty or short key would let anybody sign


def hex_key(secret: bytes) -> bytes:
    """Return the key that ``secret`` is in hex.

    Raises:
        InvalidSignature: it is none, or a short one. The text does not show it.
    """
    try:
        return _long_enough(bytes.fromhex(secret.decode("ascii")))
    except ValueError as error:
        raise InvalidSignature("the secret is not hex") from error


def base64_key(secret: bytes, *, prefix: bytes = b"") -> bytes:
    """Return the key that ``secret`` is in standard base64, with or without ``prefix`` before it.

    Raises:
        InvalidSignature: it is none, or a short one. The text does not show it.
    """
    try:
        return _long_enough(decode_base64(secret.removeprefix(prefix)))
    except ValueError as error:
        hint = f", with or without {prefix.decode()} before it" if prefix else ""
        raise InvalidSignature(f"the secret is not base64{hint}") from error


def check_key(read: Callable[[bytes], object], secret: bytes) -> None:
    """Return only if ``read`` finds a key in ``secret``.

    Raises:
        ValueError: it does not.
    """
    try:
        read(secret)
    except InvalidSignature as error:
        raise ValueError(str(error)) from error


def _long_enough(key: bytes) -> bytes:
    if len(key) < KEY_BYTES_MIN:
        raise InvalidSignature(f"the secret is shorter than {KEY_BYTES_MIN} bytes")
    return key
