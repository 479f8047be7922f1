"""Adyen: base64 HMAC-SHA256 of eight fields of each notification, or of the whole body in ``HmacSignature``.

Source: docs.adyen.com, "Verify HMAC signatures" and "Handle webhook events"; the libraries' ``HMACValidator``. The
notifications of payments hold their signatures themselves, over ``pspReference``, ``originalReference``,
``merchantAccountCode``, ``merchantReference``, ``amount.value``, ``amount.currency``, ``eventCode`` and ``success``
with ``:`` between: whatever else a notification says is not signed. Those of the platform have the header.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from ingest.fields import value_at
from ingest.scheme import Identity, MalformedEvent, Signed, require_text, text_field
from ingest.secret_key import check_key, hex_key
from ingest.signature import InvalidSignature, SignedRequest, hmac_sha256_base64, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 30 * 24 * 3600  # from two minutes to eight hours apart, for as long as thirty days
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "eventCode and pspReference of body.notificationItems[]", "eventCode", True
SIGNS_BODY = False  # of payments
ITEMS_MAX = 100  # Adyen sends one
FIELDS = (
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "amount.value",
    "amount.currency",
    "eventCode",
    "success",
)
ID_FIELD = "notificationItems.0.NotificationRequestItem.pspReference"
SAMPLE = {
    "live": "false",
    "notificationItems": [
        {
            "NotificationRequestItem": {
                "amount": {"currency": "EUR", "value": 1130},
                "eventCode": "AUTHORISATION",
                "merchantAccountCode": "TestMerchant",
                "merchantReference": "order-1",
                "success": "true",
            }
        }
    ],
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Adyen signed every notification of this body, or the body. No timestamp is signed.

    Raises:
        InvalidSignature: a signature is missing, repeated or malformed, or does not match, or the body has no
            notification.
    """
    key = hex_key(secret)
    received = request.optional_header("hmacsignature")
    if received is not None:
        return require_equal(hmac_sha256_base64(key, request.body), received)
    try:
        items = _items(orjson.loads(request.body))
    except (orjson.JSONDecodeError, MalformedEvent) as error:
        raise InvalidSignature(
            "the body is not JSON with notifications, and there is no header hmacsignature"
        ) from error
    if not items:
        raise InvalidSignature("the body has no notification")
    for item in items:
        signature = value_at(item, "additionalData.hmacSignature")
        if not isinstance(signature, str):
            raise InvalidSignature("a notification has no additionalData.hmacSignature")
        require_equal(hmac_sha256_base64(key, _signed_text(item)), signature.encode("utf-8", "replace"))
    return None


def check_secret(secret: bytes) -> None:
    """Return only if the secret is a key in hex, as the Customer Area shows it.

    Raises:
        ValueError: it is not.
    """
    check_key(hex_key, secret)


def split(body: object) -> Sequence[object] | None:
    """Return the notifications of a body, or ``None`` for a body that is signed as a whole.

    Raises:
        MalformedEvent: its notifications are not of Adyen's form.
    """
    if not isinstance(body, dict) or "notificationItems" not in body:
        return None
    return _items(body)


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return random_bytes(32).hex().encode()


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id for a body that is signed as a whole, and its ``type``.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_field(body, "type"), id_signed=True)


def identify_item(request: SignedRequest, item: object) -> Identity:
    """Return ``<eventCode>.<pspReference>.<success>``, by which Adyen says that two notifications are the same.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    code = text_field(item, "eventCode", required=True)
    reference = text_field(item, "pspReference", required=True)
    event_id = require_text(f"{code}.{reference}.{text_field(item, 'success')}", "the notification's id")
    return Identity(event_id, code, id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str] | Signed:
    """Return ``body`` with its notifications signed, or the header that signs a body without any."""
    try:
        parsed = orjson.loads(body)
        items = _items(parsed)
    except (orjson.JSONDecodeError, MalformedEvent):
        return {"HmacSignature": hmac_sha256_base64(hex_key(secret), body).decode(), "Protocol": "HmacSHA256"}
    for item in items:
        extra = item.get("additionalData")
        signature = hmac_sha256_base64(hex_key(secret), _signed_text(item)).decode()
        item["additionalData"] = {**(extra if isinstance(extra, dict) else {}), "hmacSignature": signature}
    return Signed({}, orjson.dumps(parsed))


def _items(body: object) -> list[dict[str, object]]:
    listed = body.get("notificationItems") if isinstance(body, dict) else None
    if not isinstance(listed, list) or len(listed) > ITEMS_MAX:
        raise MalformedEvent("the field notificationItems is no list, or a long one")
    items = [item.get("NotificationRequestItem") if isinstance(item, dict) else None for item in listed]
    if not all(isinstance(item, dict) for item in items):
        raise MalformedEvent("an item of notificationItems has no NotificationRequestItem")
    return [item for item in items if isinstance(item, dict)]


def _signed_text(item: dict[str, object]) -> bytes:
    values = [value_at(item, field) for field in FIELDS]
    if any(not isinstance(value, str | int | None) for value in values):
        raise InvalidSignature("a signed field of a notification is neither text nor a whole number")
    texts = [("true" if value else "false") if isinstance(value, bool) else str(value) for value in values]
    return ":".join("" if value is None else text for value, text in zip(values, texts, strict=True)).encode(
        "utf-8", "replace"
    )
