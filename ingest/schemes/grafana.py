"""Grafana Alerting: ``X-Grafana-Alerting-Signature: <hex HMAC-SHA256 of the raw body>``.

Source: grafana.com/docs, "Configure the webhook notifier for Alerting", "HMAC signature". Leave the timestamp
header unset: with one, Grafana signs ``<seconds>:<raw body>``, which this scheme does not check. A reminder may have
the body of the first notification: only what comes within five minutes of the same is a duplicate.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, SchemeOptions, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # as Alerting repeats a notification, with another body
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.status", False
HEADER = BodyHeader("X-Grafana-Alerting-Signature")
SAMPLE = {
    "receiver": "headrace",
    "status": "firing",
    "alerts": [{"status": "firing", "fingerprint": "c6eadffa33fcdf37"}],
}


class Options(SchemeOptions):
    """The scheme's keys of a source."""

    dedup_ttl: Annotated[
        str | int, Field(description="For how long a body is remembered: a reminder may have the same one.")
    ] = "5m"


def verify(request: SignedRequest, *, secret: bytes, now_s: float, options: Options) -> None:
    """Return only if Grafana signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Grafana gives none (the body stands for it), and the ``status``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(None, text_field(body, "status"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, options: Options) -> dict[str, str]:
    """Return the header with which Grafana would send ``body``."""
    return HEADER.sign(body, secret=secret)
