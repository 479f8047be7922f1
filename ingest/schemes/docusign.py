"""Docusign Connect: ``X-DocuSign-Signature-1: <base64 HMAC-SHA256 of the raw body>``.

Source: developers.docusign.com/platform/webhooks/connect, "HMAC security" and "Retries". With several
keys Docusign numbers the headers: the source has the secret of the first.
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest, hmac_sha256_base64, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 15 * 24 * 3600  # until acknowledged, at most 15 days
ANSWER_WITHIN_S = 100
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.event", False
SAMPLE = {
    "event": "envelope-completed",
    "generatedDateTime": "2023-11-14T22:13:20.0000000Z",
    "data": {"envelopeId": "e4a8bb8d"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Docusign signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    require_equal(hmac_sha256_base64(secret, request.body), request.header("x-docusign-signature-1"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Docusign gives none (the body, with its time, stands for it), and the ``event``, but of XML.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(None, text_field(body, "event") if isinstance(body, dict) else None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Docusign would send ``body``."""
    return {"X-DocuSign-Signature-1": hmac_sha256_base64(secret, body).decode()}
