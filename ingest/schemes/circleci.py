"""CircleCI: ``circleci-signature: v1=<hex HMAC-SHA256 of the raw body>``, several with commas.

Source: circleci.com/docs, "Webhooks" and "Webhooks reference", "Validate webhooks".
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest, hmac_sha256_hex, require_any_equal, signatures_in

KEPT_HEADERS = ("circleci-event-type",)
RETRY_WINDOW_S = 0  # a failed delivery is sent again "at a later time"
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.type", True
ID_FIELD = "id"
SAMPLE = {"type": "workflow-completed", "workflow": {"id": "fda08377", "name": "build", "status": "success"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if CircleCI signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or no ``v1`` of it matches.
    """
    expected = hmac_sha256_hex(secret, request.body)
    require_any_equal(expected, signatures_in(request, "circleci-signature", b"v1"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id``, the same for a retry, and ``type``.

    Raises:
        MalformedEvent: there is no ``id``, or one of them is not text.
    """
    return Identity(text_field(body, "id", required=True), text_field(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which CircleCI would send ``body``, which holds its own id."""
    signature = hmac_sha256_hex(secret, body).decode()
    return {"circleci-event-type": "workflow-completed", "circleci-signature": f"v1={signature}"}
