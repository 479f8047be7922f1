"""Paystack: ``X-Paystack-Signature: <hex HMAC-SHA512 of the raw body>``, with the secret key.

Source: paystack.com/docs/payments/webhooks, "Signature validation" and "Go live checklist".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 73 * 3600  # every three minutes four times, then every hour for 72 hours
ANSWER_WITHIN_S = 30  # in test mode; of live mode it is not said
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.event", False
HEADER = BodyHeader("X-Paystack-Signature", algorithm="sha512")
SAMPLE = {
    "event": "charge.success",
    "data": {"id": 302961, "reference": "qTPrJoy9Bx", "amount": 10000, "currency": "NGN"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Paystack signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Paystack gives none (the body stands for it), and the ``event``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(None, text_field(body, "event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Paystack would send ``body``."""
    return HEADER.sign(body, secret=secret)
