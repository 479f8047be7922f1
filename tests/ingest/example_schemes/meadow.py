"""Meadow, who does not exist, does everything that the contract of schemes allows: hex HMAC-SHA256 of address and body.

Source: none; it is here to test the engine.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ingest.scheme import (
    EnvName,
    Handshake,
    Identity,
    MalformedEvent,
    SchemeOptions,
    Signed,
    challenge_answer,
    id_field,
    text_field,
)
from ingest.signature import InvalidSignature, SignedRequest, hmac_sha256_hex, require_equal, require_fresh

KEPT_HEADERS = ("meadow-topic",)
RETRY_WINDOW_S = 3600
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = 60
ID_AT, TYPE_AT, SIGNED_ID = "body[].id", "body[].type", True
SIGNS_URL = True
DOCUMENT_HOSTS = ("certificates.meadow.example",)
SAMPLE = [{"id": 1, "type": "cow.milked"}]
ID_FIELD = "0.id"


class Options(SchemeOptions):
    """The scheme's keys of a source."""

    pepper: str = ""
    verify_token_env: Annotated[EnvName | None, Field(description="The token of the first GET.")] = None


def verify(request: SignedRequest, *, secret: bytes, now_s: float, options: Options, document: bytes) -> None:
    """Return only if Meadow signed address and body within a minute of now."""
    timestamp = request.header("meadow-timestamp")
    require_fresh(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    address, mark, query = request.public_url.partition("?")
    query = "&".join(pair for pair in query.split("&") if not pair.startswith("signature="))
    expected = _signature(
        secret, options, document, timestamp, f"{address}{mark if query else ''}{query}", request.body
    )
    require_equal(expected, (request.parameter("signature") or "").encode())


def needs(request: SignedRequest, *, options: Options) -> str:
    """Return the address that the request names."""
    return request.header("meadow-certificate").decode("latin-1")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id`` and ``type``."""
    return Identity(id_field(body, "id"), text_field(body, "type"), id_signed=True)


identify_item = identify


def split(body: object) -> list[object] | None:
    """Return the items of an array."""
    return body if isinstance(body, list) else None


def handshake(
    request: SignedRequest, body: object, *, secret: bytes, now_s: float, options: Options
) -> Handshake | None:
    """Answer a ping with what only the owner of the secret can compute."""
    if not isinstance(body, dict) or body.get("type") != "ping":
        return None
    if not isinstance(body.get("nonce"), str):
        raise MalformedEvent("the field nonce is missing")
    return Handshake(hmac_sha256_hex(secret, body["nonce"].encode()), "text/plain", 202, (("Meadow-Pong", "1"),))


def challenge(request: SignedRequest, *, secrets: tuple[bytes, ...], now_s: float, options: Options) -> Handshake:
    """Answer the first GET with its challenge."""
    require_equal(options.secret("verify_token_env"), (request.parameter("token") or "").encode())
    return challenge_answer(request.parameter("challenge"))


def greeting(request: SignedRequest, body: object) -> Handshake | None:
    """Answer the first POST, which brings the secret that later ones are signed with."""
    if len(request.values(b"meadow-hello")) != 1 or request.values(b"meadow-timestamp"):
        return None
    return Handshake(b"", "text/plain", 204)


def sign(
    body: bytes, *, request: SignedRequest, secret: bytes, now_s: float, event_id: str, options: Options
) -> Signed:
    """Return the headers and the query with which Meadow would send ``body``."""
    timestamp = b"%d" % int(now_s)
    signature = _signature(secret, options, b"certificate", timestamp, request.public_url, body)
    certificate = f"https://{DOCUMENT_HOSTS[0]}/1.pem"
    headers = {"Meadow-Timestamp": timestamp.decode(), "Meadow-Certificate": certificate}
    return Signed(headers, query=f"signature={signature.decode()}")


def _signature(secret: bytes, options: Options, document: bytes, timestamp: bytes, address: str, body: bytes) -> bytes:
    if document != b"certificate":
        raise InvalidSignature("the certificate is another")
    return hmac_sha256_hex(secret, b"\n".join([options.pepper.encode(), timestamp, address.encode(), body]))
