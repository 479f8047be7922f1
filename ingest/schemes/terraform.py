"""HCP Terraform and Terraform Enterprise: ``X-TFE-Notification-Signature: <hex HMAC-SHA512 of the raw body>``.

Source: developer.hashicorp.com/terraform/cloud-docs/api-docs/notification-configurations, "Notification authenticity".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.fields import value_at
from ingest.scheme import Identity, require_text
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # none
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.notifications[0].trigger", False
HEADER = BodyHeader("X-TFE-Notification-Signature", algorithm="sha512")
SAMPLE = {
    "payload_version": 1,
    "run_id": "run-1",
    "notifications": [{"trigger": "run:completed", "run_status": "applied"}],
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Terraform signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as none is given (the body stands for it), and the trigger of the first notification.

    Raises:
        MalformedEvent: the trigger is not text.
    """
    notifications = value_at(body, "notifications")
    first = notifications[0] if isinstance(notifications, list) and notifications else None
    trigger = value_at(first, "trigger")
    return Identity(None, None if trigger is None else require_text(trigger, "the trigger"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Terraform would send ``body``."""
    return HEADER.sign(body, secret=secret)
