"""GitHub: ``X-Hub-Signature-256: sha256=<hex HMAC-SHA256 of the raw body>``.

Source: docs.github.com, "Validating webhook deliveries" and "Webhook events and payloads".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_header
from ingest.signature import SignedRequest

# The headers carry no proof: only the body is signed.
KEPT_HEADERS = (
    "x-github-event",
    "x-github-delivery",
    "x-github-hook-id",
    "x-github-hook-installation-target-type",
    "x-github-hook-installation-target-id",
)
RETRY_WINDOW_S = 3 * 24 * 3600  # redelivery by hand or API; GitHub repeats nothing by itself
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "X-GitHub-Delivery", "X-GitHub-Event", False
HEADER = BodyHeader("X-Hub-Signature-256", prefix=b"sha256=")
SAMPLE = {
    "ref": "refs/heads/main",
    "repository": {"full_name": "octo-org/octo-repo", "html_url": "https://github.com/octo-org/octo-repo"},
    "pusher": {"name": "octocat"},
    "sender": {"login": "octocat"},
    "head_commit": {"id": "6dcb09b5b57875f334f61aebed695e2e4193db5e", "message": "Fix all the bugs"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if GitHub signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``X-GitHub-Delivery`` as the id, the same for a redelivery, and ``X-GitHub-Event`` as the type.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(text_header(request, "x-github-delivery"), text_header(request, "x-github-event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which GitHub would send ``body`` as a ``push``."""
    return {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": event_id,
        **HEADER.sign(body, secret=secret),
    }
