"""JSON Web Tokens (RFC 7519) as proof of a request, with the algorithm pinned by the receiver."""

from __future__ import annotations

import base64
import binascii
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from jwt.types import Options

from ingest.signature import InvalidSignature

TOKEN_BYTES_MAX = 16 * 1024
_NO_CLAIMS: Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
_TOKEN = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)")


def read_token(token: bytes, key: bytes | Any, *, algorithms: Sequence[str]) -> dict[str, Any]:
    """Return the claims of ``token`` if ``key`` signed it by one of ``algorithms``; no claim is judged here.

    Args:
        token: in compact form.
        key: the secret, or a public key.
        algorithms: those that fit the key; what the token's header says decides among them, never beyond.

    Raises:
        InvalidSignature: it is no such token, or is not signed with the key.
    """
    match = _TOKEN.fullmatch(token)
    if match is None or len(token) > TOKEN_BYTES_MAX:
        raise InvalidSignature("the token is not a signed token in compact form")
    _require_canonical(match[1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of short keys, which the provider chose
            claims = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                # The clock is an argument here and not there.
                options=_NO_CLAIMS,
            )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise InvalidSignature(f"the token does not hold: {_reason(error)}") from error
    if not isinstance(claims, dict):
        raise InvalidSignature("the token's claims are no object")
    return claims


def require_valid_now(claims: Mapping[str, Any], *, now_s: float, leeway_s: float) -> None:
    """Return only if ``exp`` is ahead and ``nbf`` and ``iat`` are not, where they are there.

    Raises:
        InvalidSignature: one of them is, or is no number.
    """
    times = {name: _time_s(claims, name) for name in ("exp", "nbf", "iat")}
    if times["exp"] is not None and now_s > times["exp"] + leeway_s:
        raise InvalidSignature("the token has expired")
    for name in ("nbf", "iat"):
        time_s = times[name]
        if time_s is not None and now_s < time_s - leeway_s:
            raise InvalidSignature(f"the token's {name} is in the future")


def issued_at_s(claims: Mapping[str, Any]) -> float:
    """Return the claim ``iat``.

    Raises:
        InvalidSignature: it is missing, or is no number.
    """
    time_s = _time_s(claims, "iat")
    if time_s is None:
        raise InvalidSignature("the token has no iat")
    return time_s


def text_claim(claims: Mapping[str, Any], name: str) -> bytes:
    """Return a claim that must be text.

    Raises:
        InvalidSignature: it is not there, or is not text.
    """
    value = claims.get(name)
    if not isinstance(value, str):
        raise InvalidSignature(f"the token's {name} is missing or not text")
    return value.encode("utf-8", "surrogatepass")


def make_token(claims: Mapping[str, Any], key: bytes | Any, algorithm: str) -> str:
    """Return ``claims`` as a signed token."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of short keys, as above
        return jwt.encode(dict(claims), key, algorithm=algorithm)


def _time_s(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSignature(f"the token's {name} is no number")
    try:
        time_s = float(value)
    except OverflowError as error:
        raise InvalidSignature(f"the token's {name} is no time") from error
    if not math.isfinite(time_s):
        raise InvalidSignature(f"the token's {name} is no time")
    return time_s


def _require_canonical(signature: bytes) -> None:
    try:
        raw = base64.urlsafe_b64decode(signature + b"=" * (-len(signature) % 4))
    except binascii.Error as error:
        raise InvalidSignature("the token's signature is not base64url") from error
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != signature:  # another text for the same signature
        raise InvalidSignature("the token's signature is not base64url as an encoder writes it")


def _reason(error: Exception) -> str:
    """Return what is wrong with a token; PyJWT's own words may repeat what stands in it."""
    if isinstance(error, jwt.InvalidSignatureError):
        return "its signature does not match"
    if isinstance(error, jwt.InvalidAlgorithmError):
        return "its alg is none that the source takes"
    return "the key does not fit its alg" if isinstance(error, jwt.InvalidKeyError) else "it cannot be read"
