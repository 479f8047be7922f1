"""No signature: anybody who can reach the address can post. A source of this scheme needs ``allow_unsigned``.

Source: none; for producers in a closed network that cannot sign.
"""

from __future__ import annotations

from ingest.scheme import Identity
from ingest.signature import SignedRequest

SIGNED = False
KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # unknown: the source's dedup_ttl decides
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "", False


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return always."""


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id and no type: the source's ``event_id`` may say where the id is."""
    return Identity(None, None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return no headers."""
    return {}
