"""Webex: ``X-Spark-Signature: <hex HMAC-SHA1 of the raw body>``.

Source: developer.webex.com/docs, "Webhooks", "Handling requests from Webex Messaging" and "Authenticating requests".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.fields import joined_type
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # the documentation names none
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "resource and event of the body", False
HEADER = BodyHeader("X-Spark-Signature", algorithm="sha1")
SAMPLE = {"id": "Y2lzY29z", "resource": "messages", "event": "created", "data": {"id": "M1", "roomId": "R1"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Webex signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id (the body's ``id`` is the webhook's; the body stands for it), and the type, as ``messages.created``.

    Raises:
        MalformedEvent: one of them is not text.
    """
    resource, event = text_field(body, "resource"), text_field(body, "event")
    event_type = joined_type(resource, event)
    return Identity(None, event_type, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Webex would send ``body``."""
    return HEADER.sign(body, secret=secret)
