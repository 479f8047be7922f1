"""Meta (Facebook, Instagram, Messenger, WhatsApp): ``X-Hub-Signature-256: sha256=<hex HMAC-SHA256 of the raw body>``.

Source: developers.facebook.com/docs/graph-api/webhooks/getting-started, "Verification requests" and "Validating
payloads". The secret is the app's; the address is checked by a GET with the verify token that the app's owner chose.
"""

from __future__ import annotations

import hmac
from typing import Annotated

from pydantic import Field

from ingest.body_header import BodyHeader
from ingest.scheme import EnvName, Handshake, Identity, SchemeOptions, challenge_answer, text_field
from ingest.signature import InvalidSignature, SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 7 * 24 * 3600  # of WhatsApp; others for 36 hours
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.object", False
HEADER = BodyHeader("X-Hub-Signature-256", prefix=b"sha256=")
SAMPLE = {"object": "page", "entry": [{"id": "1", "time": 1700000000, "changes": [{"field": "feed", "value": {}}]}]}


class Options(SchemeOptions):
    """The scheme's keys of a source."""

    verify_token_env: Annotated[
        EnvName | None, Field(description="The variable of the verify token, which the check of the address needs.")
    ] = None


def verify(request: SignedRequest, *, secret: bytes, now_s: float, options: Options) -> None:
    """Return only if Meta signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def challenge(request: SignedRequest, *, secrets: tuple[bytes, ...], now_s: float, options: Options) -> Handshake:
    """Return ``hub.challenge`` of a check of the address that knows the verify token.

    Raises:
        InvalidSignature: it does not, or has no challenge.
    """
    if request.parameter("hub.mode") != "subscribe":
        raise InvalidSignature("the parameter hub.mode is not subscribe")
    token = (request.parameter("hub.verify_token") or "").encode("utf-8", "replace")
    if not hmac.compare_digest(options.secret("verify_token_env"), token):
        raise InvalidSignature("the parameter hub.verify_token is another")
    return challenge_answer(request.parameter("hub.challenge"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Meta gives none (the body stands for it), and the ``object`` that the body is about.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_field(body, "object"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, options: Options) -> dict[str, str]:
    """Return the header with which Meta would send ``body``."""
    return HEADER.sign(body, secret=secret)
