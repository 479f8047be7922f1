"""GitLab: the secret token itself in ``X-Gitlab-Token``, or with a signing token a Standard Webhooks signature.

Source: docs.gitlab.com, "Webhooks", "Validate payloads by using a secret token", "Sign webhook requests" and
"Delivery headers". A secret that begins with ``whsec_`` is a signing token, and then nothing but the signature counts.
The secret token signs nothing: who learns it can post any body.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from ingest.fields import text_at
from ingest.scheme import Identity, text_header
from ingest.secret_key import check_key
from ingest.signature import SignedRequest, require_equal
from ingest.standard_webhooks import SECRET_PREFIX, require_standard, standard_headers, standard_key

KEPT_HEADERS = (
    "x-gitlab-event",
    "x-gitlab-event-uuid",
    "x-gitlab-webhook-uuid",
    "x-gitlab-instance",
    "idempotency-key",
    "webhook-id",
)
RETRY_WINDOW_S = 2 * 24 * 3600  # for which recent requests can be sent again by hand; a failed one is tried again soon
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = 300  # with a signing token
ID_AT, TYPE_AT, SIGNED_ID = "Idempotency-Key", "body.object_kind", False
SIGNS_BODY = False  # the secret token, that is
SAMPLE = {"object_kind": "push", "ref": "refs/heads/main", "project": {"path_with_namespace": "mike/diaspora"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if GitLab sent the secret token, or signed this request with the signing token in five minutes.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    if secret.startswith(SECRET_PREFIX):
        require_standard(request, "webhook", secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    else:
        require_equal(secret, request.header("x-gitlab-token"))


def check_secret(secret: bytes) -> None:
    """Return only if a signing token is base64 of a key that is long enough; a secret token may be anything.

    Raises:
        ValueError: it is not.
    """
    if secret.startswith(SECRET_PREFIX):
        check_key(standard_key, secret)


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new signing token."""
    return SECRET_PREFIX + base64.b64encode(random_bytes(32))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``Idempotency-Key``, the same for a retry, and the body's kind or else ``X-Gitlab-Event``.

    Not ``X-Gitlab-Event-UUID``: the events that a webhook itself causes share it. GitLab before 17.4 sends no key.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    event_type = text_at(body, "object_kind") or text_at(body, "event_name") or text_header(request, "x-gitlab-event")
    return Identity(text_header(request, "idempotency-key"), event_type, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which GitLab would send ``body``."""
    headers = {"X-Gitlab-Event": "Push Hook", "Idempotency-Key": event_id}
    if secret.startswith(SECRET_PREFIX):
        return {**headers, **standard_headers(body, secret=secret, now_s=now_s, event_id=event_id)}
    return {**headers, "X-Gitlab-Token": secret.decode("utf-8", "surrogateescape")}
