"""monday.com: ``Authorization: <token>``, an HS256 token signed with the app's signing secret.

Source: developer.monday.com/apps/docs, "Integration webhooks", "Verify the request" and "Webhooks", "Verifying the
URL". The body is not signed. An address is first checked with a body that has nothing but ``challenge``.
"""

from __future__ import annotations

import orjson

from ingest.fields import text_at
from ingest.scheme import Handshake, Identity, challenge_answer
from ingest.signature import InvalidSignature, SignedRequest
from ingest.web_token import make_token, read_token, require_valid_now

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3600  # every minute for half an hour
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = 60  # around exp and iat
ID_AT, TYPE_AT, SIGNED_ID = "body.event.triggerUuid", "body.event.type", False
SIGNS_BODY = False
ID_FIELD = "event.triggerUuid"
SAMPLE = {"event": {"type": "create_pulse", "boardId": 1771812698, "pulseId": 1772099344, "pulseName": "Create"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if monday.com signed the token, which is valid now.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or one of these does not hold.
    """
    claims = read_token(request.header("authorization").removeprefix(b"Bearer "), secret, algorithms=["HS256"])
    if claims.get("exp") is None:
        raise InvalidSignature("the token has no exp")
    require_valid_now(claims, now_s=now_s, leeway_s=TIMESTAMP_TOLERANCE_S)


def greeting(request: SignedRequest, body: object) -> Handshake | None:
    """Answer the check of an address with its challenge."""
    if not isinstance(body, dict) or body.keys() != {"challenge"} or not isinstance(body["challenge"], str):
        return None
    try:
        challenge = challenge_answer(body["challenge"]).body.decode()
    except InvalidSignature:
        return None
    return Handshake(orjson.dumps({"challenge": challenge}), "application/json")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the ``triggerUuid`` and ``type`` of the body's ``event``.

    Raises:
        MalformedEvent: one of them is not text.
    """
    return Identity(text_at(body, "event.triggerUuid"), text_at(body, "event.type"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which monday.com would send ``body``."""
    return {"Authorization": make_token({"iat": int(now_s), "exp": int(now_s)}, secret, "HS256")}
