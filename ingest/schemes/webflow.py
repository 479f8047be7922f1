"""Webflow: ``X-Webflow-Signature: <hex HMAC-SHA256 of "<milliseconds>:<raw body>">``, with the app's client secret.

Source: developers.webflow.com, "Working with webhooks", "Validating request signatures". Webhooks that were made in a
site's settings have a secret of their own.
"""

from __future__ import annotations

from ingest.fields import text_at
from ingest.header_pair import HeaderPair
from ingest.scheme import Identity
from ingest.signature import SignedRequest

KEPT_HEADERS = ("x-webflow-timestamp",)
RETRY_WINDOW_S = 3600  # three times, ten minutes apart
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "", "body.triggerType", False
HEADERS = HeaderPair("X-Webflow-Timestamp", "X-Webflow-Signature", text=b"%b:%b", unit="ms")
SAMPLE = {"triggerType": "form_submission", "payload": {"name": "Contact us", "id": "6321ca84df3949bfc6752327"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Webflow signed this request within five minutes of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    HEADERS.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Webflow gives none (the body stands for it), and the ``triggerType``.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_at(body, "triggerType"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Webflow would send ``body``."""
    return HEADERS.sign(body, secret=secret, now_s=now_s)
