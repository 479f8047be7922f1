"""Telegram bots: the secret token itself in ``X-Telegram-Bot-Api-Secret-Token``.

Source: core.telegram.org/bots/api, "setWebhook" and "Update". Nothing of the request is signed: who learns the token
can post any update.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ingest.fields import id_at
from ingest.scheme import Identity
from ingest.signature import SignedRequest, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # for which Telegram keeps an update
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.update_id", "the body's other key", False
SIGNS_BODY = False
ID_FIELD = "update_id"
SAMPLE = {"update_id": 10000, "message": {"message_id": 1365, "text": "/start", "chat": {"id": 1111111}}}

_SECRET = re.compile(rb"[A-Za-z0-9_-]{1,256}")
_KIND = re.compile(r"[a-z_]{1,64}")


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if the request has the secret token.

    Raises:
        InvalidSignature: the header is missing or repeated, or it is another.
    """
    require_equal(secret, request.header("x-telegram-bot-api-secret-token"))


def check_secret(secret: bytes) -> None:
    """Return only if the secret is of the characters that Telegram takes.

    Raises:
        ValueError: it is not.
    """
    if _SECRET.fullmatch(secret) is None:
        raise ValueError("the secret is not 1 to 256 of A-Z, a-z, 0-9, _ and -")


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return random_bytes(32).hex().encode()


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the ``update_id``, the same for a retry, and the name of the body's other key, as ``message``.

    Raises:
        MalformedEvent: there is no ``update_id``, or it is neither text nor a whole number.
    """
    kinds = [key for key in body if key != "update_id"] if isinstance(body, dict) else []
    kind = kinds[0] if len(kinds) == 1 and _KIND.fullmatch(kinds[0]) else None
    return Identity(id_at(body, "update_id", required=True), kind, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with the secret token."""
    return {"X-Telegram-Bot-Api-Secret-Token": secret.decode("utf-8", "surrogateescape")}
