"""Any provider that puts an HMAC of the raw body in one header; by default hex HMAC-SHA256 in ``X-Signature``.

Source: RFC 2104. The options say which header, what stands before the signature, which hash and which encoding.
"""

from __future__ import annotations

import base64
import hmac as hashed
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ingest.scheme import Identity
from ingest.signature import SignedRequest, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # unknown: the source's dedup_ttl decides
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "", False


class Options(BaseModel):
    """The scheme's keys of a source."""

    model_config = ConfigDict(extra="forbid")

    header: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$", description="The header that holds the signature."),
    ] = "X-Signature"
    prefix: Annotated[str, Field(max_length=100, description="What stands before the signature, as sha256=.")] = ""
    algorithm: Annotated[Literal["sha256", "sha512", "sha1"], Field(description="The hash of the HMAC.")] = "sha256"
    encoding: Annotated[Literal["hex", "base64"], Field(description="How the signature is written.")] = "hex"


def verify(request: SignedRequest, *, secret: bytes, now_s: float, options: Options) -> None:
    """Return only if the body was signed with this secret. There is no timestamp: a captured request stays valid.

    Hex digits may be of either case.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    prefix = options.prefix.encode()
    received = request.header(options.header.lower())
    if options.encoding == "hex":
        received = received[: len(prefix)] + received[len(prefix) :].lower()
    require_equal(prefix + _signature(request.body, secret, options), received)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id and no type: where they are differs, so the source's ``event_id`` says it."""
    return Identity(None, None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, options: Options) -> dict[str, str]:
    """Return the header that signs ``body``."""
    return {options.header: options.prefix + _signature(body, secret, options).decode()}


def _signature(body: bytes, secret: bytes, options: Options) -> bytes:
    digest = hashed.digest(secret, body, options.algorithm)
    return digest.hex().encode() if options.encoding == "hex" else base64.b64encode(digest)
