"""Dropbox: ``X-Dropbox-Signature: <hex HMAC-SHA256 of the raw body>``, with the app's secret.

Source: dropbox.com/developers/reference/webhooks, and its earlier "Webhooks documentation" for the retries. The address
is checked by a GET whose ``challenge`` is given back. A notification says whose files changed and no more: no id, and
the body of later ones is the same, so that a repeat cannot be told from news. Only what comes within a second of the
same is a duplicate: one too many lists the changes once more, one too few would miss a change.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ingest.body_header import BodyHeader
from ingest.scheme import Handshake, Identity, SchemeOptions, challenge_answer
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 600  # "over the course of about ten minutes"; dedup_ttl is shorter all the same
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "", False
HEADER = BodyHeader("X-Dropbox-Signature")
SAMPLE = {"list_folder": {"accounts": ["dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc"]}, "delta": {"users": [12345678]}}


class Options(SchemeOptions):
    """The scheme's keys of a source."""

    dedup_ttl: Annotated[
        str | int,
        Field(description="For how long a body is remembered: later notifications have the same one, as have repeats."),
    ] = "1s"


def verify(request: SignedRequest, *, secret: bytes, now_s: float, options: Options) -> None:
    """Return only if Dropbox signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def challenge(request: SignedRequest, *, secrets: tuple[bytes, ...], now_s: float, options: Options) -> Handshake:
    """Return the ``challenge`` of a check of the address, which anybody may ask for.

    Raises:
        InvalidSignature: there is none.
    """
    answer = challenge_answer(request.parameter("challenge"))
    return Handshake(answer.body, answer.content_type, headers=(("X-Content-Type-Options", "nosniff"),))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id and no type, as Dropbox gives none: the body stands for the id."""
    return Identity(None, None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, options: Options) -> dict[str, str]:
    """Return the header with which Dropbox would send ``body``."""
    return HEADER.sign(body, secret=secret)
