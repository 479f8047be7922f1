"""Notion: ``X-Notion-Signature: sha256=<hex HMAC-SHA256 of the raw body>``, keyed with the verification token.

Source: developers.notion.com, "Webhooks" and "Event types & delivery"; the library @notionhq/client,
``verifyWebhookSignature``. The token is what Notion posts first, once, when a subscription is made: receive it with a
source of scheme ``none``, read it by ``headrace event RECEIPT --body``, and change the scheme.
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Handshake, Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # up to eight attempts, the last about a day after the event
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.type", True
HEADER = BodyHeader("X-Notion-Signature", prefix=b"sha256=")
ID_FIELD = "id"
SAMPLE = {"type": "page.created", "workspace_id": "13950b26", "entity": {"id": "153104cd", "type": "page"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Notion signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def greeting(request: SignedRequest, body: object) -> Handshake | None:
    """Answer a verification token that comes unsigned, as when it is sent again; it is neither kept nor logged."""
    if request.values(b"x-notion-signature") or not isinstance(body, dict) or body.keys() != {"verification_token"}:
        return None
    return Handshake(b"", "text/plain; charset=utf-8")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id``, the same for a retry, and ``type``.

    Raises:
        MalformedEvent: there is no ``id``, or one of them is not text.
    """
    return Identity(text_field(body, "id", required=True), text_field(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Notion would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret)
