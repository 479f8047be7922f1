"""Contentful: ``x-contentful-signature``, hex HMAC-SHA256 of method, path, the headers it names, and raw body.

Source: contentful.com/developers/docs/webhooks/request-verification; the library @contentful/node-apps-toolkit,
``verifyRequest``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from ingest.scheme import Identity, text_header
from ingest.signature import InvalidSignature, SignedRequest, hmac_sha256_hex, require_equal, require_fresh_ms

KEPT_HEADERS = ("x-contentful-topic", "x-contentful-webhook-name", "x-contentful-event-datetime")
RETRY_WINDOW_S = 3600  # twice, after 30 s and a minute
ANSWER_WITHIN_S = 30
TIMESTAMP_TOLERANCE_S = 300  # the library allows 30 s, less than the documentation's retries
ID_AT, TYPE_AT, SIGNED_ID = "", "X-Contentful-Topic", False
SIGNS_URL = True
HEADERS_MAX = 50
SAMPLE = {"sys": {"type": "Entry", "id": "6KntaYXaHSyIw8M6eo26OK", "revision": 1}, "fields": {}}

_TARGET = re.compile("https?://[^/?#]*")
_SECRET = re.compile(rb"[ -~]{64}")


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Contentful signed this request within five minutes of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match, or the time is not
            among what is signed.
    """
    timestamp = request.header("x-contentful-timestamp")
    require_fresh_ms(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    names = request.header("x-contentful-signed-headers").split(b",")
    if len(names) > HEADERS_MAX or b"x-contentful-timestamp" not in names:
        raise InvalidSignature("the header x-contentful-signed-headers is too long, or does not have the timestamp")
    try:
        headers = [(name, request.header(name.decode("ascii"))) for name in names]
    except UnicodeDecodeError as error:
        raise InvalidSignature("the header x-contentful-signed-headers is not ASCII") from error
    require_equal(
        _signature(request.method, request, headers, request.body, secret), request.header("x-contentful-signature")
    )


def check_secret(secret: bytes) -> None:
    """Return only if the secret has the 64 characters of Contentful's.

    Raises:
        ValueError: it has not.
    """
    if _SECRET.fullmatch(secret) is None:
        raise ValueError("the secret is not of 64 ASCII characters")


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return random_bytes(32).hex().encode()


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Contentful gives none (the body, with its revision, stands for it), and the topic.

    Raises:
        MalformedEvent: the topic is repeated, too long or not text.
    """
    return Identity(None, text_header(request, "x-contentful-topic"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, request: SignedRequest) -> dict[str, str]:
    """Return the headers with which Contentful would send ``body`` to the request's address."""
    timestamp = b"%d" % int(now_s * 1000)
    names = b"x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic"
    topic = b"ContentManagement.Entry.publish"
    headers = [
        (b"x-contentful-signed-headers", names),
        (b"x-contentful-timestamp", timestamp),
        (b"x-contentful-topic", topic),
    ]
    signature = _signature("POST", request, headers, body, secret)
    signed = {name.decode(): value.decode() for name, value in headers}
    return {**signed, "x-contentful-signature": signature.decode()}


def _signature(
    method: str, request: SignedRequest, headers: list[tuple[bytes, bytes]], body: bytes, secret: bytes
) -> bytes:
    path, mark, query = _TARGET.sub("", request.public_url, count=1).partition("?")
    if not path.startswith("/"):
        raise InvalidSignature("the public address is not known")
    # As the library does: the query is escaped, and then the whole as a URI, escapes and all.
    target = quote(path + mark + quote(query, safe="!*'()"), safe=";,/?:@&=+$!*'()#")
    listed = b";".join(name + b":" + value.strip() for name, value in headers)
    return hmac_sha256_hex(secret, b"\n".join((method.encode(), target.encode(), listed, body)))
