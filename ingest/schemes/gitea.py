"""Gitea and Forgejo: ``X-Gitea-Signature: <hex HMAC-SHA256 of the raw body>``.

Source: docs.gitea.com, "Webhooks"; forgejo.org/docs, "Webhooks". Forgejo sends the headers of Gitea beside its own.
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_header
from ingest.signature import SignedRequest

# The headers carry no proof: only the body is signed.
KEPT_HEADERS = ("x-gitea-event", "x-gitea-event-type", "x-gitea-delivery", "x-gitea-hook-installation-target-type")
RETRY_WINDOW_S = 0  # none by itself; a delivery is sent again by hand
ANSWER_WITHIN_S = 5  # DELIVER_TIMEOUT of the instance's configuration
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "X-Gitea-Delivery", "X-Gitea-Event", False
HEADER = BodyHeader("X-Gitea-Signature")
SAMPLE = {"ref": "refs/heads/main", "repository": {"full_name": "gitea/webhooks"}, "pusher": {"login": "gitea"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if the instance signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``X-Gitea-Delivery`` as the id and ``X-Gitea-Event`` as the type.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(text_header(request, "x-gitea-delivery"), text_header(request, "x-gitea-event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Gitea would send ``body`` as a ``push``."""
    return {
        "X-Gitea-Event": "push",
        "X-Gitea-Delivery": event_id,
        **HEADER.sign(body, secret=secret),
    }
