"""Shopify: ``X-Shopify-Hmac-Sha256: <base64 HMAC-SHA256 of the raw body>``, with the app's client secret.

Source: shopify.dev, "Verify webhook deliveries" and "Webhooks delivery structure".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_header
from ingest.signature import SignedRequest

# The headers carry no proof: only the body is signed.
KEPT_HEADERS = (
    "x-shopify-topic",
    "x-shopify-shop-domain",
    "x-shopify-api-version",
    "x-shopify-webhook-id",
    "x-shopify-event-id",
    "x-shopify-triggered-at",
    "x-shopify-name",
)
RETRY_WINDOW_S = 4 * 3600  # eight retries over four hours
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "X-Shopify-Webhook-Id", "X-Shopify-Topic", False
HEADER = BodyHeader("X-Shopify-Hmac-Sha256", encoding="base64")
SAMPLE = {"id": 820982911946154508, "name": "#1001", "currency": "EUR", "total_price": "42.00"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Shopify signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``X-Shopify-Webhook-Id`` as the id, the same for a retry, and ``X-Shopify-Topic`` as the type.

    Not ``X-Shopify-Event-Id``: all deliveries of one merchant's action share it, those of other topics too.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(text_header(request, "x-shopify-webhook-id"), text_header(request, "x-shopify-topic"), False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Shopify would send ``body`` as ``orders/create``."""
    return {
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Webhook-Id": event_id,
        "X-Shopify-Shop-Domain": "example.myshopify.com",
        **HEADER.sign(body, secret=secret),
    }
