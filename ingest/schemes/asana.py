"""Asana: ``X-Hook-Signature: <hex HMAC-SHA256 of the raw body>``, with the secret of the webhook's handshake.

Source: developers.asana.com, "Webhooks guide". When a webhook is made, Asana posts its secret in ``X-Hook-Secret`` and
asks for it back; the answer to the API call that made the webhook shows the secret too: put it there into the source's
variable. Until then any secret will do. A body without events is a heartbeat.
"""

from __future__ import annotations

import re

from ingest.body_header import BodyHeader
from ingest.scheme import Handshake, Identity
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # "up to 24 hours before giving up"
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "", False
HEADER = BodyHeader("X-Hook-Signature")
SAMPLE = {
    "events": [
        {
            "action": "changed",
            "created_at": "2023-11-14T22:13:20.000Z",
            "resource": {"gid": "1337", "resource_type": "task"},
            "user": {"gid": "1", "resource_type": "user"},
        }
    ]
}

_HOOK_SECRET = re.compile(rb"[!-~]{1,256}")


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Asana signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def greeting(request: SignedRequest, body: object) -> Handshake | None:
    """Answer a new webhook with the secret that it says; it is neither kept nor logged."""
    secrets = request.values(b"x-hook-secret")
    if request.values(b"x-hook-signature") or len(secrets) != 1 or _HOOK_SECRET.fullmatch(secrets[0]) is None:
        return None
    return Handshake(b"", "text/plain; charset=utf-8", headers=(("X-Hook-Secret", secrets[0].decode()),))


def handshake(request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
    """Answer a heartbeat, which has no events."""
    if isinstance(body, dict) and body.get("events") == []:
        return Handshake(b"", "text/plain; charset=utf-8")
    return None


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id and no type, as Asana gives none: the body, with its events' ``created_at``, stands for the id."""
    return Identity(None, None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Asana would send ``body``."""
    return HEADER.sign(body, secret=secret)
