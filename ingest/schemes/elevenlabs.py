"""ElevenLabs: ``ElevenLabs-Signature: t=<seconds>,v0=<hex HMAC-SHA256 of "<seconds>.<raw body>">``.

Source: elevenlabs.io/docs, "Webhooks", "Authentication" and "Retries"; the libraries' ``constructEvent``.
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest
from ingest.timed_header import TimedHeader

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3600  # where retries are switched on: four, over 41 minutes and a jitter of a tenth
ANSWER_WITHIN_S = None
# The libraries' half hour is shorter than the retries, and whether a retry is signed anew is not said. Its body is the
# same, and remembered for as long. An hour more leaves room for a late one.
TIMESTAMP_TOLERANCE_S = 7200
ID_AT, TYPE_AT, SIGNED_ID = "", "body.type", False
HEADER = TimedHeader("ElevenLabs-Signature", signature=b"v0")
SAMPLE = {"type": "post_call_transcription", "event_timestamp": 1700000000, "data": {"conversation_id": "abc"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if ElevenLabs signed this request within two hours of now.

    Raises:
        InvalidSignature: the header is missing, repeated, malformed or stale, or no signature of it matches.
    """
    HEADER.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as ElevenLabs gives none (the body stands for it), and the ``type``.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    return Identity(None, text_field(body, "type"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which ElevenLabs would send ``body``."""
    return HEADER.sign(body, secret=secret, now_s=now_s)
