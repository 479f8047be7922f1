"""Buildkite: ``X-Buildkite-Signature: timestamp=<seconds>,signature=<hex HMAC-SHA256 of "<seconds>.<raw body>">``.

Source: buildkite.com/docs/apis/webhooks/pipelines, "Webhook signature". The token in ``X-Buildkite-Token`` is for
scheme ``bearer`` with ``header: X-Buildkite-Token`` and ``prefix: ""``.
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest
from ingest.timed_header import TimedHeader

KEPT_HEADERS = ("x-buildkite-event",)
RETRY_WINDOW_S = 0  # the documentation names none
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "", "body.event", False
HEADER = TimedHeader("X-Buildkite-Signature", time=b"timestamp", signature=b"signature")
SAMPLE = {"event": "build.finished", "build": {"id": "f62a1b4d", "number": 123, "state": "passed"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Buildkite signed this request within five minutes of now.

    Raises:
        InvalidSignature: the header is missing, repeated, malformed or stale, or no signature of it matches.
    """
    HEADER.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Buildkite gives none (the body stands for it), and the ``event``.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    return Identity(None, text_field(body, "event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Buildkite would send ``body``."""
    return {"X-Buildkite-Event": "build.finished", **HEADER.sign(body, secret=secret, now_s=now_s)}
