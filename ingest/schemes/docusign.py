"""Docusign Connect: ``X-DocuSign-Signature-1: <base64 HMAC-SHA256 of the raw body>``, and ``-2`` and so on.

Source: developers.docusign.com/platform/webhooks/connect, "HMAC security", "How to validate an HMAC signature" and
"Retries". With several keys Docusign sends a numbered header for each: one that matches is enough.
"""

from __future__ import annotations

import re

from ingest.scheme import Identity, text_field
from ingest.signature import InvalidSignature, SignedRequest, hmac_sha256_base64, require_any_equal

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

_SIGNATURE = re.compile(rb"x-docusign-signature-[1-9][0-9]?[0-9]?")


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Docusign signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: there is no such header, one is repeated, or none matches.
    """
    signatures = [header for header in request.headers if _SIGNATURE.fullmatch(header[0])]
    if not signatures:
        raise InvalidSignature("the header x-docusign-signature-1 is missing")
    if len({name for name, _ in signatures}) != len(signatures):
        raise InvalidSignature("a header with a signature is repeated")
    require_any_equal(hmac_sha256_base64(secret, request.body), [value for _, value in signatures])


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Docusign gives none (the body, with its time, stands for it), and the ``event``, but of XML.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(None, text_field(body, "event") if isinstance(body, dict) else None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Docusign would send ``body``."""
    return {"X-DocuSign-Signature-1": hmac_sha256_base64(secret, body).decode()}
