"""WooCommerce: ``X-WC-Webhook-Signature: <base64 HMAC-SHA256 of the raw body>``.

Source: woocommerce.com/document/webhooks; the class ``WC_Webhook`` of WooCommerce. The shop first posts an unsigned
``webhook_id=<number>`` to see whether somebody answers.
"""

from __future__ import annotations

import re

from ingest.body_header import BodyHeader
from ingest.scheme import Handshake, Identity, text_header
from ingest.signature import SignedRequest

# The headers carry no proof: only the body is signed.
KEPT_HEADERS = (
    "x-wc-webhook-source",
    "x-wc-webhook-topic",
    "x-wc-webhook-resource",
    "x-wc-webhook-event",
    "x-wc-webhook-id",
    "x-wc-webhook-delivery-id",
)
RETRY_WINDOW_S = 0  # a failed delivery is not sent again; after five in a row the webhook is disabled
ANSWER_WITHIN_S = 60
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "X-WC-Webhook-Delivery-ID", "X-WC-Webhook-Topic", False
HEADER = BodyHeader("X-WC-Webhook-Signature", encoding="base64")
SAMPLE = {"id": 727, "status": "processing", "currency": "EUR", "total": "29.35"}

_PING = re.compile(rb"webhook_id=[0-9]{1,20}")


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if the shop signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def greeting(request: SignedRequest, body: object) -> Handshake | None:
    """Answer the unsigned ping of a webhook that is being saved."""
    return Handshake(b"", "text/plain; charset=utf-8") if _PING.fullmatch(request.body) else None


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``X-WC-Webhook-Delivery-ID`` and ``X-WC-Webhook-Topic``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    event_type = text_header(request, "x-wc-webhook-topic")
    return Identity(text_header(request, "x-wc-webhook-delivery-id"), event_type, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which a shop would send ``body`` as ``order.created``."""
    return {
        "X-WC-Webhook-Topic": "order.created",
        "X-WC-Webhook-Delivery-ID": event_id,
        **HEADER.sign(body, secret=secret),
    }
