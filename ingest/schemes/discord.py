"""Discord: ``X-Signature-Ed25519``, hex, of ``X-Signature-Timestamp`` and raw body, with the app's public key.

Source: discord.com/developers/docs, "Webhook Events" and "Interactions overview", "Validating security request
headers". Discord waits 3 s for the answer to an interaction, which Headrace does not give: use it for webhook events,
or for interactions that nobody waits upon.
"""

from __future__ import annotations

from ingest.fields import text_at, value_at
from ingest.header_pair import KeyHeaderPair
from ingest.scheme import Handshake, Identity
from ingest.signature import SignedRequest

KEPT_HEADERS = ("x-signature-timestamp",)
RETRY_WINDOW_S = 600  # of webhook events
ANSWER_WITHIN_S = 3
TIMESTAMP_TOLERANCE_S = 1200  # twice as long: whether a retry is signed anew is not said, and the id is signed
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.event.type", True
HEADERS = KeyHeaderPair("X-Signature-Timestamp", "X-Signature-Ed25519", key="ed25519", encoding="hex")
ID_FIELD = "id"
SAMPLE = {
    "type": 2,
    "application_id": "1234560123453231555",
    "data": {"id": "771825006014889984", "name": "cardsearch"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Discord signed this request within twenty minutes of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    HEADERS.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def check_secret(secret: bytes) -> None:
    """Return only if the secret is an Ed25519 key.

    Raises:
        ValueError: it is not.
    """
    HEADERS.check_secret(secret)


def make_keys() -> tuple[bytes, bytes]:
    """Return a new private key, and the public one as Discord shows it."""
    return HEADERS.make_keys()


def handshake(request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
    """Answer a PING: of webhook events (type 0) with 204, of interactions (type 1, no event) with type 1."""
    if not isinstance(body, dict) or "event" in body or isinstance(body.get("type"), bool):
        return None
    if body.get("type") == 0:
        return Handshake(b"", "application/json", status=204)
    return Handshake(b'{"type":1}', "application/json") if body.get("type") == 1 else None


def identify(request: SignedRequest, body: object) -> Identity:
    """Return an interaction's ``id`` and ``interaction.<type>``, or no id and the type of a webhook event.

    Raises:
        MalformedEvent: one of them is not text.
    """
    if value_at(body, "event") is not None:
        return Identity(None, text_at(body, "event.type"), id_signed=True)
    kind = value_at(body, "type")
    event_type = f"interaction.{kind}" if isinstance(kind, int) and 0 <= kind < 1000 else None
    return Identity(text_at(body, "id"), event_type, id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Discord would send ``body``.

    Raises:
        CannotSign: the secret is a public key.
    """
    return HEADERS.sign(body, secret=secret, now_s=now_s)
